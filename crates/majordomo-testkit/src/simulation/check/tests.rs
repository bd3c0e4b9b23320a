//! Each rule finds the history that breaks it, and an honest history breaks none.

use std::time::Duration;

use majordomo_core::{
    Attempt, Backoff, Change, Changed, Control, DeadReason, Details, EndingKind, Hold, Inserted,
    JobId, NewJob, Pause, Payload, Proof, Refusal, Renewed, Scope, Settled, State, Tally,
    Timestamp, Verdict, When, time,
};
use majordomo_engine::Cancelled;

use super::check;
use crate::simulation::drive::Last;
use crate::simulation::history::{Answer, Ask, Entry, Event, Given};

const LEASE: Duration = Duration::from_secs(10);
const BACKOFF: Duration = Duration::from_secs(4);

fn id(number: u32) -> JobId {
    let text = format!("{number:08x}-0000-7000-8000-000000000000");
    text.parse().unwrap()
}

fn job(number: u32) -> NewJob {
    NewJob {
        id: id(number),
        max_attempts: 2,
        backoff: Backoff::fixed(BACKOFF),
        ..NewJob::new("act", Payload::json(&()).unwrap())
    }
}

fn keyed(number: u32) -> NewJob {
    NewJob {
        holds: vec![Hold::new("key")],
        ..job(number)
    }
}

fn expiring(number: u32) -> NewJob {
    NewJob {
        expires: Some(Duration::from_secs(5).into()),
        ..job(number)
    }
}

fn instant(passed: Duration) -> Timestamp {
    time::after(time::from_micros(0), passed)
}

/// A history in the making, and what is left at its end.
#[derive(Clone, Default)]
struct Story {
    passed: Duration,
    history: Vec<Entry>,
    last: Last,
}

impl Story {
    fn new() -> Self {
        Self::default()
    }

    fn wait(mut self, seconds: u64) -> Self {
        self.passed += Duration::from_secs(seconds);
        self
    }

    fn says(mut self, who: &str, event: Event) -> Self {
        self.history.push(Entry {
            passed: self.passed,
            at: instant(self.passed),
            who: who.to_owned(),
            event,
        });
        self
    }

    fn insert(self, job: NewJob) -> Self {
        self.says("client", Event::Inserted(Box::new(job), Inserted::New))
    }

    /// A client stores a job and is told so.
    fn acknowledge(self, job: NewJob) -> Self {
        let ask = Ask::Insert(vec![job.id]);
        let answer = Answer::Inserted(vec![Inserted::New]);
        self.says("client", Event::Asked(1, ask))
            .insert(job)
            .says("client", Event::Heard(1, answer))
    }

    /// A node asks for one more than it is given.
    fn claim(self, node: &str, given: &[(u32, u64)]) -> Self {
        self.claim_of(node, given, given.len() + 1)
    }

    fn claim_of(self, node: &str, given_out: &[(u32, u64)], wanted: usize) -> Self {
        let until = instant(self.passed + LEASE);
        let given = |(number, token): &(u32, u64)| Given {
            job: id(*number),
            token: *token,
            until,
        };
        let claimed = Event::Claimed {
            wanted: vec![("default".to_owned(), wanted)],
            suspects: 1,
            given: given_out.iter().map(given).collect(),
        };
        self.says(node, claimed)
    }

    fn runs(self, node: &str, number: u32, token: u64) -> Self {
        self.says(node, Event::Began(id(number), token))
    }

    fn leaves(self, node: &str, number: u32, token: u64) -> Self {
        self.says(node, Event::Left(id(number), token, "completes"))
    }

    fn renew(self, number: u32, token: u64, answer: Renewed) -> Self {
        let until = instant(self.passed + LEASE);
        let (job, node) = (id(number), "a");
        self.says(
            node,
            Event::Renewed {
                job,
                token,
                until,
                answer,
            },
        )
    }

    fn end_by(
        self,
        proof: Proof,
        number: u32,
        token: u64,
        verdict: Verdict,
        answer: Settled,
    ) -> Self {
        let job = id(number);
        self.says(
            "a",
            Event::Ended {
                job,
                token,
                proof,
                verdict,
                answer,
            },
        )
    }

    fn end(self, number: u32, token: u64, verdict: Verdict) -> Self {
        let answer = Settled::Applied(verdict.state());
        self.end_by(Proof::Lease, number, token, verdict, answer)
    }

    /// Its lease was found to have run out, and it waits its backoff since then.
    fn sweep(self, number: u32, token: u64) -> Self {
        let since = self.lease_of(number);
        self.sweep_due(number, token, time::after(since, BACKOFF))
    }

    /// The end of the lease that was last given out or renewed.
    fn lease_of(&self, number: u32) -> Timestamp {
        let until = |entry: &Entry| match &entry.event {
            Event::Claimed { given, .. } => {
                let mut given = given.iter();
                let given = given.find(|given| given.job == id(number));
                given.map(|given| given.until)
            }
            Event::Renewed { job, until, .. } => (*job == id(number)).then_some(*until),
            _ => None,
        };
        self.history.iter().rev().find_map(until).unwrap()
    }

    fn sweep_due(self, number: u32, token: u64, due: Timestamp) -> Self {
        let verdict = Verdict::Lost { due: due.into() };
        let answer = Settled::Applied(State::Pending);
        self.end_by(Proof::Expired, number, token, verdict, answer)
    }

    fn change(self, number: u32, change: Change, state: State) -> Self {
        let changed = Event::Changed(id(number), change, Changed::Done(state));
        self.says("client", changed)
    }

    /// This is left of a job.
    fn left(mut self, new: NewJob, state: State, charged: u32, endings: &[EndingKind]) -> Self {
        let mut details = Details::of(new.into_job(instant(Duration::ZERO)));
        details.job.state = state;
        details.job.charged = charged;
        details.job.token = endings.len() as u64;
        details.job.ended_at = Some(instant(self.passed));
        for (token, kind) in (1..).zip(endings) {
            details.attempts.push(Attempt {
                token,
                worker: "a".into(),
                started_at: instant(Duration::ZERO),
                ended_at: Some(instant(self.passed)),
                ending: Some(*kind),
                error: None,
            });
            *self.last.tally.count_mut(*kind) += 1;
        }
        self.last.jobs.push(details);
        self
    }

    fn broken(&self) -> Vec<String> {
        let broken = check(&self.history, &self.last);
        broken.iter().map(ToString::to_string).collect()
    }
}

fn completed() -> Verdict {
    Verdict::Completed
}

fn retry() -> Verdict {
    Verdict::Retry {
        due: BACKOFF.into(),
    }
}

/// A job runs on a node, and is completed.
fn honest() -> Story {
    Story::new()
        .acknowledge(job(1))
        .claim("a", &[(1, 1)])
        .runs("a", 1, 1)
        .wait(1)
        .renew(1, 1, Renewed::Kept)
        .leaves("a", 1, 1)
        .end(1, 1, completed())
        .says("all", Event::Healed)
        .says("a", Event::Stopped)
}

#[test]
fn an_honest_history_breaks_nothing() {
    let plain = honest().left(job(1), State::Completed, 0, &[EndingKind::Completed]);
    assert_eq!(plain.broken(), Vec::<String>::new());
    let taken_over = Story::new()
        .acknowledge(job(1))
        .claim("a", &[(1, 1)])
        .runs("a", 1, 1)
        .wait(11)
        .sweep(1, 1)
        .renew(1, 1, Renewed::Lost)
        .wait(5)
        .claim("b", &[(1, 2)])
        .runs("b", 1, 2)
        .end_by(Proof::Lease, 1, 1, completed(), Settled::Stale)
        .end(1, 2, completed())
        .end(1, 2, completed())
        .left(
            job(1),
            State::Completed,
            1,
            &[EndingKind::Lost, EndingKind::Completed],
        );
    assert_eq!(taken_over.broken(), Vec::<String>::new());
    let expired = Story::new()
        .insert(expiring(1))
        .wait(6)
        .claim("a", &[])
        .change(1, Change::Retry { due: When::Now }, State::Pending)
        .change(1, Change::Cancel, State::Cancelled);
    let mut expired = expired.left(job(1), State::Cancelled, 0, &[]);
    *expired.last.tally.count_mut(EndingKind::Expired) += 1;
    *expired.last.tally.count_mut(EndingKind::Cancelled) += 1;
    assert_eq!(expired.broken(), Vec::<String>::new());
}

/// These words are among what the checker says of this story.
fn finds(words: &str, story: Story) {
    let broken = story.broken();
    assert!(
        broken.iter().any(|broken| broken.contains(words)),
        "`{words}` is not among {broken:#?}"
    );
}

#[test]
fn lost_and_doubled_jobs_are_found() {
    finds("R1: job-1 was acknowledged and is not there", honest());
    finds("R1: job-1 is gone", Story::new().insert(job(1)));
    finds(
        "R1: nobody stored job-1",
        Story::new().left(job(1), State::Completed, 0, &[]),
    );
    finds(
        "R1: job-1 was claimed and never stored",
        Story::new().claim("a", &[(1, 1)]),
    );
    finds(
        "R3: job-1 was stored twice",
        Story::new().insert(job(1)).insert(job(1)),
    );
    finds(
        "R4: job-1 is still pending",
        Story::new()
            .insert(job(1))
            .says("all", Event::Healed)
            .left(job(1), State::Pending, 0, &[]),
    );
}

#[test]
fn stale_writes_are_found() {
    let taken_over = || {
        Story::new()
            .insert(job(1))
            .claim("a", &[(1, 1)])
            .wait(11)
            .sweep(1, 1)
            .wait(5)
            .claim("b", &[(1, 2)])
    };
    finds(
        "R5: a stale ending of job-1 was accepted",
        taken_over().end(1, 1, completed()),
    );
    finds(
        "R5: a stale ending of job-1 was accepted",
        taken_over().end(1, 2, completed()).end(1, 2, retry()),
    );
    finds(
        "R5: a stale renewal of job-1 was accepted",
        taken_over().renew(1, 1, Renewed::Kept),
    );
    finds(
        "R5: the current attempt of job-1 was told that it is lost",
        taken_over().renew(1, 2, Renewed::Lost),
    );
    finds(
        "R5: the ending of the current attempt of job-1 was refused",
        taken_over().end_by(Proof::Lease, 1, 2, completed(), Settled::Stale),
    );
    finds(
        "R5: job-1 was swept although its lease was alive",
        taken_over().sweep(1, 2),
    );
    finds(
        "R5: job-1 was given token 2 after 2",
        taken_over()
            .end(1, 2, Verdict::Release)
            .claim("a", &[(1, 2)]),
    );
    finds(
        "R5: job-1 started when it was completed",
        taken_over().end(1, 2, completed()).claim("a", &[(1, 3)]),
    );
    finds(
        "R5: job-1 went to dead by Completed",
        taken_over().end_by(
            Proof::Lease,
            1,
            2,
            completed(),
            Settled::Applied(State::Dead),
        ),
    );
}

#[test]
fn two_attempts_at_once_are_found() {
    let running = || {
        Story::new()
            .insert(job(1))
            .claim("a", &[(1, 1)])
            .runs("a", 1, 1)
    };
    finds(
        "R6: job-1 started while its attempt 1 was not over",
        running().claim("b", &[(1, 2)]),
    );
    finds(
        "and neither lost its lease",
        running().claim("b", &[(1, 2)]).runs("b", 1, 2),
    );
    finds(
        "R6: attempt 1 of job-1 began twice",
        running().runs("a", 1, 1),
    );
    finds(
        "R6: attempt 1 of job-1 began where it was not given",
        Story::new()
            .insert(job(1))
            .claim("a", &[(1, 1)])
            .runs("b", 1, 1),
    );
    finds(
        "run at once in one process",
        running()
            .wait(11)
            .sweep(1, 1)
            .wait(5)
            .claim("a", &[(1, 2)])
            .runs("a", 1, 2),
    );
    finds(
        "R12: a has stopped and still runs",
        running().says("a", Event::Stopped),
    );
}

#[test]
fn too_many_and_too_early_attempts_are_found() {
    let failed = || {
        Story::new()
            .insert(job(1))
            .claim("a", &[(1, 1)])
            .end(1, 1, retry())
    };
    finds("and was due at", failed().wait(1).claim("a", &[(1, 2)]));
    let again = || failed().wait(5).claim("a", &[(1, 2)]);
    finds("to be tried again after 2 of 2", again().end(1, 2, retry()));
    finds(
        "R8: job-1 has had all its 2 attempts",
        again().end(1, 2, retry()).wait(5).claim("a", &[(1, 3)]),
    );
    let soon = Verdict::Retry {
        due: Duration::from_secs(1).into(),
    };
    finds(
        "before its backoff of 4s",
        Story::new()
            .insert(job(1))
            .claim("a", &[(1, 1)])
            .end(1, 1, soon),
    );
    finds(
        "R8: job-1 has token 1 and 2 charged attempts",
        failed().left(job(1), State::Pending, 2, &[EndingKind::Retried]),
    );
    finds(
        "R8: job-1 has had 3 attempts",
        failed().left(job(1), State::Dead, 3, &[EndingKind::Retried]),
    );
    finds(
        "R8: job-1 was run again when it was running",
        again().change(1, Change::Retry { due: When::Now }, State::Pending),
    );
}

#[test]
fn a_lost_job_waits_from_the_end_of_its_lease() {
    let lost = || {
        Story::new()
            .insert(job(1))
            .claim("a", &[(1, 1)])
            .wait(8)
            .renew(1, 1, Renewed::Kept)
            .wait(13)
    };
    let end = time::after(instant(Duration::from_secs(8)), LEASE);
    let swept = |wait: Duration| lost().sweep_due(1, 1, time::after(end, wait));
    let honest = swept(BACKOFF)
        .wait(1)
        .claim("b", &[(1, 2)])
        .end(1, 2, completed());
    let endings = [EndingKind::Lost, EndingKind::Completed];
    let honest = honest.left(job(1), State::Completed, 1, &endings);
    assert_eq!(honest.broken(), Vec::<String>::new());
    let moment = Duration::from_micros(1);
    finds("before its backoff of 4s", swept(BACKOFF - moment));
    finds("after its backoff of 4s", swept(BACKOFF + moment));
    let from_the_sweep = time::after(instant(Duration::from_secs(21)), BACKOFF);
    finds(
        "after its backoff of 4s",
        lost().sweep_due(1, 1, from_the_sweep),
    );
    finds("and was due at", swept(BACKOFF).claim("b", &[(1, 2)]));
}

#[test]
fn a_start_after_the_lease_is_found() {
    let late = |renewed: bool, wait: u64| {
        let story = Story::new().insert(job(1)).claim("a", &[(1, 1)]).wait(5);
        let story = match renewed {
            true => story.renew(1, 1, Renewed::Kept),
            false => story,
        };
        story.wait(wait).runs("a", 1, 1)
    };
    let words = "R6: attempt 1 of job-1 began after its lease had run out";
    finds(words, late(false, 5));
    finds(words, late(true, 10));
    for honest in [late(false, 4), late(true, 9)] {
        let broken = honest.broken();
        assert!(
            !broken.iter().any(|broken| broken.contains("lease")),
            "{broken:#?}"
        );
    }
}

#[test]
fn a_broken_order_is_found() {
    let urgent = || NewJob {
        priority: 1,
        ..job(2)
    };
    let two = || Story::new().insert(job(1)).insert(urgent());
    finds(
        "these of `default` come first: job-2",
        two().claim_of("a", &[(1, 1)], 1),
    );
    finds(
        "a claim left due jobs of `default` behind",
        two().claim("a", &[(2, 1)]),
    );
    finds("is not in order", two().claim("a", &[(1, 1), (2, 1)]));
    finds(
        "2 of `default` were given, 1 were asked for",
        two().claim_of("a", &[(2, 1), (1, 1)], 1),
    );
}

#[test]
fn jobs_beyond_a_limit_are_found() {
    let limited = |control: Control| {
        let scope = Scope::Queue("default".into());
        Story::new()
            .says("client", Event::Controlled(scope, control))
            .insert(job(1))
            .insert(job(2))
            .claim("a", &[(1, 1), (2, 1)])
    };
    let one = Control {
        max_running: Some(1),
        ..Control::default()
    };
    finds("limits: job-2 started beyond", limited(one));
    let paused = Control {
        paused: Some(Pause::default()),
        ..Control::default()
    };
    finds("limits: job-1 started beyond", limited(paused));
}

#[test]
fn suspects_that_run_together_are_found() {
    let mut story = Story::new().insert(suspect(1)).insert(suspect(2));
    for token in 1..=2 {
        story = story
            .claim("a", &[(1, token), (2, token)])
            .wait(11)
            .sweep(1, token)
            .sweep(2, token)
            .wait(5);
    }
    let story = story
        .claim("a", &[(1, 3), (2, 3)])
        .runs("a", 1, 3)
        .runs("a", 2, 3);
    let broken = story.broken();
    for words in [
        "R9: more suspects were given",
        "R9: job-2 is not the only suspect",
    ] {
        assert!(
            broken.iter().any(|broken| broken.contains(words)),
            "{broken:#?}"
        );
    }
}

fn suspect(number: u32) -> NewJob {
    NewJob {
        max_attempts: 9,
        ..job(number)
    }
}

#[test]
fn broken_keys_are_found() {
    finds(
        "R15: job-2 takes `key` from job-1",
        Story::new().insert(keyed(1)).insert(keyed(2)),
    );
    finds(
        "R15: job-1 takes `key` from job-2",
        Story::new()
            .insert(keyed(1))
            .change(1, Change::Cancel, State::Cancelled)
            .insert(keyed(2))
            .change(1, Change::Retry { due: When::Now }, State::Pending),
    );
    let conflict = Event::Inserted(Box::new(keyed(2)), Inserted::Existing(id(1)));
    finds(
        "R15: job-1 stands in the way of job-2",
        Story::new().insert(job(1)).says("client", conflict),
    );
}

#[test]
fn late_starts_are_found() {
    finds(
        "after its expiry",
        Story::new()
            .insert(expiring(1))
            .wait(6)
            .claim("a", &[(1, 1)]),
    );
    finds(
        "R18: job-1 began 30s after its claim",
        Story::new()
            .insert(expiring(1))
            .claim("a", &[(1, 1)])
            .wait(30)
            .runs("a", 1, 1),
    );
    finds(
        "R18: job-1 was expired too early",
        Story::new()
            .insert(expiring(1))
            .change(1, Change::Expire, State::Expired),
    );
}

#[test]
fn cancels_that_do_not_hold_are_found() {
    let cancelled = || {
        Story::new()
            .insert(job(1))
            .says("client", Event::Asked(2, Ask::Cancel(id(1))))
            .change(1, Change::Cancel, State::Cancelled)
            .says(
                "client",
                Event::Heard(2, Answer::Cancelled(Cancelled::Done)),
            )
    };
    finds(
        "R19: job-1 started after it was cancelled",
        cancelled().claim("a", &[(1, 1)]),
    );
    finds(
        "began after its client was told that it would not",
        cancelled().runs("a", 1, 1),
    );
    // A retry that was under way all the while may come after the cancel.
    let asks_to_retry = Event::Asked(1, Ask::Retry(id(1)));
    let cancel = |story: Story| {
        story
            .says("client", Event::Asked(2, Ask::Cancel(id(1))))
            .change(1, Change::Cancel, State::Cancelled)
            .says(
                "client",
                Event::Heard(2, Answer::Cancelled(Cancelled::Done)),
            )
            .change(1, Change::Retry { due: When::Now }, State::Pending)
            .claim("a", &[(1, 1)])
            .runs("a", 1, 1)
    };
    let words = "began after its client was told that it would not";
    let under_way = Story::new().insert(job(1)).says("client", asks_to_retry);
    let heard = Event::Heard(1, Answer::Retried);
    let crossed = cancel(under_way.clone()).broken();
    assert!(!crossed.iter().any(|broken| broken.contains(words)));
    finds(words, cancel(under_way.says("client", heard)));
    let refused = Changed::Refused(Refusal::State(State::Pending));
    finds(
        "R19: a cancel of job-1 was refused",
        Story::new()
            .insert(job(1))
            .says("client", Event::Changed(id(1), Change::Cancel, refused)),
    );
    let asked = || {
        Story::new()
            .insert(job(1))
            .claim("a", &[(1, 1)])
            .change(1, Change::Cancel, State::Running)
    };
    finds(
        "R19: job-1 was not told of its cancel",
        asked().renew(1, 1, Renewed::Kept),
    );
    finds(
        "R5: job-1 went to pending by Cancelled",
        asked().end(1, 1, retry()),
    );
    finds(
        "R19: job-1 is said to be running",
        Story::new()
            .insert(job(1))
            .change(1, Change::Cancel, State::Running),
    );
    finds(
        "R19: job-1 was cancelled when it was completed",
        honest().change(1, Change::Cancel, State::Cancelled),
    );
}

#[test]
fn lost_endings_and_wrong_statistics_are_found() {
    finds(
        "R24: attempt 1 of job-1 was acknowledged as completed, and is Some(Lost)",
        honest().left(job(1), State::Completed, 0, &[EndingKind::Lost]),
    );
    finds(
        "R5: job-1 is dead, and must be completed",
        honest().left(job(1), State::Dead, 0, &[EndingKind::Completed]),
    );
    let mut story = honest().left(job(1), State::Completed, 0, &[EndingKind::Completed]);
    story.last.tally = Tally::default();
    finds("statistics: they say 0 completed, and there were 1", story);
    let dead = Verdict::Dead {
        reason: DeadReason::Permanent,
    };
    let mut story = Story::new()
        .insert(job(1))
        .claim("a", &[(1, 1)])
        .end(1, 1, dead)
        .left(job(1), State::Dead, 1, &[EndingKind::Dead]);
    assert_eq!(story.broken(), Vec::<String>::new());
    *story.last.tally.count_mut(EndingKind::Dead) = 2;
    finds("statistics: they say 2 dead", story);
}

#[test]
fn idle_nodes_and_lost_leases_after_the_faults_are_found() {
    let calm = || {
        Story::new()
            .says("a", Event::Started)
            .says("all", Event::Healed)
            .wait(16)
            .insert(job(1))
    };
    finds(
        "R24: job-1 waits, and a has nothing to do",
        calm().wait(9).says("a", Event::CutOff),
    );
    finds(
        "R11: a lives, and lost its lease of job-1",
        calm().claim("a", &[(1, 1)]).wait(11).sweep(1, 1),
    );
    finds(
        "R19: attempt 1 of job-1 does not hear of its cancel",
        calm()
            .claim("a", &[(1, 1)])
            .runs("a", 1, 1)
            .change(1, Change::Cancel, State::Running)
            .wait(13)
            .renew(1, 1, Renewed::CancelAsked),
    );
}

#[test]
fn a_clock_that_goes_back_and_an_engine_that_spins_are_found() {
    let mut story = honest();
    story.passed = Duration::ZERO;
    finds("law 3", story.says("client", Event::Healed));
    finds("no spin", Story::new().says("a", Event::Spun));
}
