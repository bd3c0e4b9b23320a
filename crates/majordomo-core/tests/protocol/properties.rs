//! What must always hold in the model, and what must be possible at all.

use majordomo_core::{EndingKind, State};
use stateright::Property;

use crate::moves::Protocol;
use crate::world::{Kept, MAX_ATTEMPTS, World};

/// The property that every wrong guard breaks.
pub(crate) const ONE_ENDING: &str = "at most one ending is accepted for each claim";
/// The property that a sweeper breaks which trusts its own look.
pub(crate) const LIVE_LEASE: &str = "a lease with time left is never swept";

type Condition = fn(&Protocol, &World) -> bool;

const ALWAYS: &[(&str, Condition)] = &[
    (ONE_ENDING, |_, world| {
        all(world, |kept| {
            kept.claims.iter().all(|claim| claim.endings.len() <= 1)
        })
    }),
    (LIVE_LEASE, |_, world| !world.seen.live_swept),
    ("a stale token changes nothing", |_, world| {
        !world.seen.stale_write
    }),
    ("only legal transitions are made", |_, world| {
        !world.seen.illegal
    }),
    (
        "what a sender is told to be written is written",
        |_, world| !world.seen.false_answer,
    ),
    ("attempts never exceed the maximum", |_, world| {
        all(world, |kept| kept.charged <= MAX_ATTEMPTS)
    }),
    ("what is over stays over but for an operator", |_, world| {
        all(world, |kept| kept.over == kept.state.is_finished())
    }),
    ("a job has a lease while it runs", |_, world| {
        all(world, |kept| {
            kept.lease.is_some() == (kept.state == State::Running)
        })
    }),
    ("while a job runs its last claim is open", |_, world| {
        all(world, |kept| {
            let (earlier, last) = match kept.claims.split_last() {
                Some((last, earlier)) => (earlier, Some(last)),
                None => (&[][..], None),
            };
            let open = last.is_some_and(|claim| claim.endings.is_empty());
            open == (kept.state == State::Running)
                && earlier.iter().all(|claim| !claim.endings.is_empty())
        })
    }),
    (
        "every job can still be brought to an end",
        |model, world| model.can_still_end(world),
    ),
];

const SOMETIMES: &[(&str, Condition)] = &[
    ("a first attempt completes", |_, world| {
        any(world, |kept| ended_as(kept, &[EndingKind::Completed]))
    }),
    ("what one worker lost another completes", |_, world| {
        any(world, |kept| {
            ended_as(kept, &[EndingKind::Lost, EndingKind::Completed])
                && kept.claims[0].worker != kept.claims[1].worker
        })
    }),
    (
        "a worker claims back what it lost and does not know to be lost",
        |_, world| {
            world
                .workers
                .iter()
                .any(|held| held.len() == 2 && held[0].about.job == held[1].about.job)
        },
    ),
    ("a job fails until it is dead", |_, world| {
        any(world, |kept| {
            let retried = EndingKind::Retried;
            ended_as(kept, &[retried, retried, EndingKind::Dead]) && !kept.poison
        })
    }),
    ("a job takes three processes with it", |_, world| {
        any(world, |kept| kept.poison)
    }),
    ("a running job is cancelled", |_, world| {
        any(world, |kept| ended_as(kept, &[EndingKind::Cancelled]))
    }),
    (
        "a job completes although its cancel was asked for",
        |_, world| {
            world.left.cancels == 0 && any(world, |kept| ended_as(kept, &[EndingKind::Completed]))
        },
    ),
    (
        "an operator has a completed job run and complete again",
        |_, world| {
            any(world, |kept| {
                ended_as(kept, &[EndingKind::Completed, EndingKind::Completed])
            })
        },
    ),
];

/// All properties of the model.
pub(crate) fn properties() -> Vec<Property<Protocol>> {
    let always = ALWAYS
        .iter()
        .map(|&(name, condition)| Property::always(name, condition));
    let sometimes = SOMETIMES
        .iter()
        .map(|&(name, condition)| Property::sometimes(name, condition));
    always.chain(sometimes).collect()
}

fn all(world: &World, holds: fn(&Kept) -> bool) -> bool {
    world.jobs.iter().all(holds)
}

fn any(world: &World, holds: fn(&Kept) -> bool) -> bool {
    world.jobs.iter().any(holds)
}

/// Whether the job's claims ended in these ways, one after the other.
fn ended_as(kept: &Kept, kinds: &[EndingKind]) -> bool {
    let endings = kept.claims.iter().map(|claim| match &claim.endings[..] {
        [only] => Some(only.kind),
        _ => None,
    });
    endings.eq(kinds.iter().map(|kind| Some(*kind)))
}
