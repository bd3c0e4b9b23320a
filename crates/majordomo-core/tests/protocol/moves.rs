//! What can happen next in the model, and what it leads to.
//!
//! A worker that stands still (a stopped process, a long collection of garbage)
//! needs no move of its own: nothing forces anyone to act before the next tick.

use majordomo_core::{Change, State};
use stateright::{Model, Property};

use crate::properties;
use crate::storage::{RETRY, Storage};
use crate::world::{About, BACKOFF, Call, End, Held, LEASE, Left, World};

/// How many attempts a worker runs at once: two, so that it can claim back what
/// it has lost and does not know to be lost.
const SLOTS: usize = 2;

/// The model: who takes part, and how much may happen.
#[derive(Debug)]
pub(crate) struct Protocol {
    pub(crate) storage: Storage,
    pub(crate) jobs: usize,
    pub(crate) workers: usize,
    /// How often a job can be claimed.
    pub(crate) claims: u8,
    pub(crate) left: Left,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    /// The storage's clock goes on.
    Tick,
    /// A worker claims a job; the reply may be lost.
    Claim { worker: u8, job: u8, reply: Reply },
    /// A worker renews the lease of an attempt.
    Renew { worker: u8, slot: u8, fate: Fate },
    /// An attempt has ended so, and its worker wants that written, maybe again.
    Settle {
        worker: u8,
        slot: u8,
        how: End,
        fate: Fate,
    },
    /// A worker vanishes with everything it knows.
    Die { worker: u8 },
    /// The sweeper finds a lease that has run out.
    Look { job: u8 },
    /// The sweeper ends what it has found, by what it saw then.
    Sweep { how: End, fate: Fate },
    /// A call that nobody waits for any more arrives.
    Arrive { call: Call },
    /// An operator cancels a job.
    Cancel { job: u8 },
    /// An operator has a job run again.
    Retry { job: u8 },
}

/// What becomes of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Heard,
    Lost,
}

/// What becomes of a call. One that is lost altogether is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is carried out and answered.
    Heard,
    /// It is carried out, and the answer is lost.
    ReplyLost,
    /// It is under way for longer than the caller waits.
    Late,
    /// It is carried out and answered, and a copy of it is still under way.
    Twice,
}

const FATES: [Fate; 4] = [Fate::Heard, Fate::ReplyLost, Fate::Late, Fate::Twice];

/// A number of something in a list.
fn numbered<T>(list: &[T]) -> impl Iterator<Item = (u8, &T)> {
    (0_u8..).zip(list)
}

impl Model for Protocol {
    type State = World;
    type Action = Move;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self.jobs, self.workers, self.left.clone())]
    }

    fn actions(&self, world: &World, moves: &mut Vec<Move>) {
        let faulty = world.left.faults > 0;
        let fates = &FATES[..if faulty { FATES.len() } else { 1 }];
        moves.push(Move::Tick);
        for (job, kept) in numbered(&world.jobs) {
            let claimable = kept.token < self.claims && self.storage.is_due(kept);
            // Workers are alike, so that which of them is the first means nothing.
            let known = kept.claims.iter().map(|claim| claim.worker + 1).max();
            for (worker, held) in numbered(&world.workers) {
                let is_next = worker <= known.unwrap_or(0);
                if claimable && is_next && held.len() < SLOTS {
                    let replies = [Reply::Heard, Reply::Lost];
                    let count = 1 + usize::from(faulty);
                    moves.extend(replies[..count].iter().map(|&reply| Move::Claim {
                        worker,
                        job,
                        reply,
                    }));
                }
            }
            if world.look.is_none() && self.storage.is_lease_expired(kept) {
                moves.push(Move::Look { job });
            }
            if world.left.cancels > 0 && !kept.state.is_finished() {
                moves.push(Move::Cancel { job });
            }
            if world.left.retries > 0 && kept.state.is_finished() {
                moves.push(Move::Retry { job });
            }
        }
        for (worker, held) in numbered(&world.workers) {
            for (slot, held) in numbered(held) {
                // A renewal without an answer is the same as one that is late.
                let fates_of_renewals = &[Fate::Heard, Fate::Late][..1 + usize::from(faulty)];
                let renew = |&fate: &Fate| Move::Renew { worker, slot, fate };
                moves.extend(fates_of_renewals.iter().map(renew));
                let ends = match held.ended {
                    Some(how) => vec![how],
                    None => vec![End::Completed, End::Failed, End::Released, End::Cancelled],
                };
                for how in ends {
                    moves.extend(fates.iter().map(|&fate| Move::Settle {
                        worker,
                        slot,
                        how,
                        fate,
                    }));
                }
            }
            if !held.is_empty() {
                moves.push(Move::Die { worker });
            }
        }
        if world.look.is_some() {
            for how in [End::Lost, End::Spared] {
                moves.extend(fates.iter().map(|&fate| Move::Sweep { how, fate }));
            }
        }
        moves.extend(world.late.iter().map(|&call| Move::Arrive { call }));
    }

    fn next_state(&self, before: &World, step: Move) -> Option<World> {
        let mut world = before.clone();
        self.make(&mut world, step);
        (world != *before).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::properties()
    }
}

impl Protocol {
    fn make(&self, world: &mut World, step: Move) {
        match step {
            Move::Tick => tick(world),
            Move::Claim { worker, job, reply } => {
                let about = self.storage.claim(world, job, worker);
                match reply {
                    Reply::Heard => {
                        world.workers[usize::from(worker)].push(Held { about, ended: None })
                    }
                    Reply::Lost => world.left.faults -= 1,
                }
            }
            Move::Renew { worker, slot, fate } => {
                let about = world.workers[usize::from(worker)][usize::from(slot)].about;
                if self.carry(world, Call::Renew(about), fate) && !self.storage.renew(world, about)
                {
                    world.workers[usize::from(worker)].remove(usize::from(slot));
                }
            }
            Move::Settle {
                worker,
                slot,
                how,
                fate,
            } => {
                let held = &mut world.workers[usize::from(worker)];
                let about = held[usize::from(slot)].about;
                if matches!(fate, Fate::Heard | Fate::Twice) {
                    // Written, or refused: either way it is off the worker's hands.
                    held.remove(usize::from(slot));
                } else {
                    held[usize::from(slot)].ended = Some(how);
                }
                if self.carry(world, Call::Settle(about, how), fate) {
                    self.storage.settle(world, about, how);
                }
            }
            Move::Die { worker } => world.workers[usize::from(worker)].clear(),
            Move::Look { job } => world.look = seen(world, job),
            Move::Sweep { how, fate } => {
                let Some(about) = world.look else { return };
                if self.carry(world, Call::Settle(about, how), fate) {
                    self.storage.settle(world, about, how);
                }
                if fate != Fate::ReplyLost {
                    world.look = None;
                }
            }
            Move::Arrive { call } => {
                world.late.retain(|late| *late != call);
                match call {
                    Call::Renew(about) => self.storage.renew(world, about),
                    Call::Settle(about, how) => self.storage.settle(world, about, how),
                };
            }
            Move::Cancel { job } => {
                world.left.cancels -= 1;
                self.storage.change(world, job, &Change::Cancel);
            }
            Move::Retry { job } => {
                world.left.retries -= 1;
                self.storage.change(world, job, &RETRY);
            }
        }
    }

    /// Sends a call on its way, and says whether it is carried out now.
    fn carry(&self, world: &mut World, call: Call, fate: Fate) -> bool {
        if fate == Fate::Heard {
            return true;
        }
        world.left.faults -= 1;
        if matches!(fate, Fate::Late | Fate::Twice) && !world.late.contains(&call) {
            world.late.push(call);
            // Which set out first means nothing.
            world.late.sort_unstable();
        }
        fate != Fate::Late
    }

    /// Whether every job comes to an end if from now on nobody acts but one
    /// worker and the sweeper, without any fault.
    pub(crate) fn can_still_end(&self, world: &World) -> bool {
        let mut world = world.clone();
        let (worker, steps) = (0, 8 * (LEASE + BACKOFF + 3));
        for job in 0..self.jobs {
            let index = u8::try_from(job).expect("there are few jobs");
            for _ in 0..steps {
                let kept = &world.jobs[job];
                match kept.state {
                    State::Pending if self.storage.is_due(kept) => {
                        let about = self.storage.claim(&mut world, index, worker);
                        self.storage.settle(&mut world, about, End::Completed);
                    }
                    State::Running if self.storage.is_lease_expired(kept) => {
                        if let Some(about) = seen(&world, index) {
                            self.storage.settle(&mut world, about, End::Lost);
                        }
                    }
                    State::Pending | State::Running => tick(&mut world),
                    _ => break,
                }
            }
        }
        world.jobs.iter().all(|kept| kept.state.is_finished())
    }
}

fn tick(world: &mut World) {
    for kept in &mut world.jobs {
        kept.due_in = kept.due_in.saturating_sub(1);
        if let Some((_, left)) = &mut kept.lease {
            *left = left.saturating_sub(1);
        }
    }
}

/// What the sweeper sees of a running job.
fn seen(world: &World, job: u8) -> Option<About> {
    let kept = &world.jobs[usize::from(job)];
    let (worker, _) = kept.lease?;
    Some(About {
        job,
        token: kept.token,
        worker,
        charged: kept.charged,
        crashes: kept.crashes,
    })
}
