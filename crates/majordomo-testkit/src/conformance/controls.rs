//! Trials of controls: pauses and limits, as `claim` enforces them.

use majordomo_core::{
    Claim, Control, ErrorKind, JobId, NewJob, Pause, Scope, State, Verdict, When,
};

use super::steps::{must, refused};
use crate::samples::{
    MINUTE, QUEUE, RETRY, TASK, beat, claim, claim_of, ending, job, job_of, jobs,
};
use crate::subject::Subject;

fn paused() -> Control {
    Control {
        paused: Some(Pause {
            note: "deploy – ü".to_owned(),
            until: None,
        }),
        max_running: None,
    }
}

fn at_most(most: u32) -> Control {
    Control {
        paused: None,
        max_running: Some(most),
    }
}

fn queue() -> Scope {
    Scope::Queue(QUEUE.to_owned())
}

async fn set(subject: &Subject, scope: Scope, control: Control) {
    must(subject.storage.set_control(scope, control)).await;
}

pub(super) async fn controls_are_read_back_in_the_order_of_their_scopes(subject: Subject) {
    assert_eq!(must(subject.storage.controls()).await, []);
    let until = Some(subject.now().await + MINUTE);
    let both = Control {
        paused: Some(Pause {
            note: String::new(),
            until,
        }),
        max_running: Some(u32::MAX),
    };
    let mut expected = vec![
        (Scope::LimitKey("smtp".to_owned()), at_most(0)),
        (Scope::Task("b".to_owned()), paused()),
        (Scope::Task("a".to_owned()), at_most(3)),
        (Scope::Queue("póczta".to_owned()), both),
        (Scope::Queue("a".to_owned()), paused()),
    ];
    for (scope, control) in expected.clone() {
        set(&subject, scope, control).await;
    }
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(must(subject.storage.controls()).await, expected);
}

pub(super) async fn a_control_is_replaced_and_the_default_removes_it(subject: Subject) {
    set(&subject, queue(), paused()).await;
    set(&subject, queue(), at_most(2)).await;
    assert_eq!(
        must(subject.storage.controls()).await,
        [(queue(), at_most(2))]
    );
    set(&subject, queue(), Control::default()).await;
    set(
        &subject,
        Scope::Task("never set".to_owned()),
        Control::default(),
    )
    .await;
    assert_eq!(must(subject.storage.controls()).await, []);
}

pub(super) async fn a_control_of_a_bad_name_is_refused(subject: Subject) {
    let long = "x".repeat(201);
    for (name, kind) in [
        ("", ErrorKind::Invalid),
        ("a\nb", ErrorKind::Invalid),
        (&long, ErrorKind::TooLarge),
    ] {
        let scopes =
            [Scope::Queue, Scope::Task, Scope::LimitKey].map(|scope| scope(name.to_owned()));
        for scope in scopes {
            assert_eq!(
                refused(subject.storage.set_control(scope, paused()).await),
                kind
            );
        }
    }
    assert_eq!(must(subject.storage.controls()).await, []);
}

pub(super) async fn nothing_is_claimed_from_a_paused_queue(subject: Subject) {
    let id = subject.add(job()).await;
    let elsewhere = subject
        .add(NewJob {
            queue: "elsewhere".to_owned(),
            ..job()
        })
        .await;
    set(&subject, queue(), paused()).await;
    let both = Claim {
        queues: vec![(QUEUE.to_owned(), 9), ("elsewhere".to_owned(), 9)],
        ..claim(9)
    };
    assert_eq!(subject.claim_ids(both.clone()).await, [elsewhere]);
    assert_eq!(subject.job(id).await.state, State::Pending);
    set(&subject, queue(), Control::default()).await;
    assert_eq!(subject.claim_ids(both).await, [id]);
}

pub(super) async fn nothing_of_a_paused_task_is_claimed_and_it_hides_no_other(subject: Subject) {
    let blocked: Vec<_> = (0..100)
        .map(|_| NewJob {
            priority: 5,
            ..job_of("blocked")
        })
        .collect();
    let first = subject.add_all(blocked).await[0];
    let free = subject.add(job()).await;
    set(&subject, Scope::Task("blocked".to_owned()), paused()).await;
    let claim = claim_of(&[TASK, "blocked"], 1);
    assert_eq!(subject.claim_ids(claim.clone()).await, [free]);
    assert_eq!(subject.claim_ids(claim.clone()).await, []);
    set(
        &subject,
        Scope::Task("blocked".to_owned()),
        Control::default(),
    )
    .await;
    assert_eq!(subject.claim_ids(claim).await, [first]);
}

fn keyed(key: &str) -> NewJob {
    NewJob {
        limit_key: Some(key.to_owned()),
        priority: 1,
        ..job()
    }
}

pub(super) async fn nothing_of_a_paused_limit_key_is_claimed_and_it_hides_no_other(
    subject: Subject,
) {
    let blocked = subject.add(keyed("smtp")).await;
    let (other, without) = (subject.add(keyed("http")).await, subject.add(job()).await);
    set(&subject, Scope::LimitKey("smtp".to_owned()), paused()).await;
    assert_eq!(subject.claim_ids(claim(9)).await, [other, without]);
    set(
        &subject,
        Scope::LimitKey("smtp".to_owned()),
        Control::default(),
    )
    .await;
    assert_eq!(subject.claim_ids(claim(9)).await, [blocked]);
}

pub(super) async fn a_pause_ends_by_itself(subject: Subject) {
    let id = subject.add(job()).await;
    let until = Some(subject.now().await + 10 * MINUTE);
    let pause = Control {
        paused: Some(Pause {
            note: String::new(),
            until,
        }),
        max_running: None,
    };
    set(&subject, queue(), pause).await;
    subject.advance(9 * MINUTE).await;
    assert_eq!(subject.claim_ids(claim(1)).await, []);
    subject.advance(MINUTE).await;
    assert_eq!(subject.claim_ids(claim(1)).await, [id]);
}

pub(super) async fn a_pause_stops_no_running_attempt(subject: Subject) {
    let lease = subject.start(job()).await;
    set(&subject, queue(), paused()).await;
    assert_eq!(
        subject.renew(beat(&lease)).await,
        majordomo_core::Renewed::Kept
    );
    subject.end(&lease, RETRY).await;
    assert_eq!(subject.claim_ids(claim(1)).await, []);
    let (_, claimed) = subject
        .settle_then(vec![ending(&lease, RETRY)], claim(1))
        .await;
    assert_eq!(
        claimed.jobs,
        [],
        "the claim of a settle obeys the controls too"
    );
}

pub(super) async fn at_most_so_many_of_a_queue_run(subject: Subject) {
    at_most_so_many_run(&subject, queue(), job).await;
}

pub(super) async fn at_most_so_many_of_a_task_run(subject: Subject) {
    at_most_so_many_run(&subject, Scope::Task(TASK.to_owned()), job).await;
}

pub(super) async fn at_most_so_many_of_a_limit_key_run(subject: Subject) {
    at_most_so_many_run(&subject, Scope::LimitKey("smtp".to_owned()), || {
        keyed("smtp")
    })
    .await;
}

async fn at_most_so_many_run(subject: &Subject, scope: Scope, make: fn() -> NewJob) {
    let id = subject.add_all((0..6).map(|_| make()).collect()).await;
    set(subject, scope.clone(), at_most(2)).await;
    let claimed = subject.claim(claim(9)).await.jobs;
    assert_eq!(claimed.len(), 2);
    assert_eq!(subject.claim_ids(claim(9)).await, []);
    subject.end(&claimed[0].1, Verdict::Completed).await;
    assert_eq!(
        subject.claim_ids(claim(9)).await,
        [id[2]],
        "one ended, so one may start"
    );
    let (_, then) = subject
        .settle_then(vec![ending(&claimed[1].1, Verdict::Completed)], claim(9))
        .await;
    assert_eq!(
        then.jobs.len(),
        1,
        "the claim of a settle counts its endings"
    );
    set(subject, scope.clone(), at_most(1)).await;
    assert_eq!(
        subject.claim_ids(claim(9)).await,
        [],
        "a lower limit stops nobody who runs"
    );
    assert_eq!(
        subject
            .find_ids(&majordomo_core::Filter::all().state(State::Running))
            .await
            .len(),
        2
    );
    set(subject, scope.clone(), at_most(0)).await;
    assert_eq!(subject.claim_ids(claim(9)).await, []);
    set(subject, scope, Control::default()).await;
    assert_eq!(subject.claim_ids(claim(9)).await.len(), 2);
}

pub(super) async fn every_limit_that_covers_a_job_counts(subject: Subject) {
    let group = vec![
        keyed("smtp"),
        keyed("smtp"),
        keyed("http"),
        keyed("http"),
        job(),
    ];
    let id: Vec<JobId> = subject.add_all(group).await;
    set(&subject, Scope::LimitKey("smtp".to_owned()), at_most(1)).await;
    set(&subject, queue(), at_most(3)).await;
    assert_eq!(subject.claim_ids(claim(9)).await, [id[0], id[2], id[3]]);
    set(&subject, queue(), Control::default()).await;
    assert_eq!(subject.claim_ids(claim(9)).await, [id[4]]);
}

pub(super) async fn a_limit_counts_over_all_queues_and_workers(subject: Subject) {
    let elsewhere = |job: NewJob| NewJob {
        queue: "elsewhere".to_owned(),
        ..job
    };
    subject
        .add_all(vec![job(), job(), elsewhere(job()), elsewhere(job())])
        .await;
    set(&subject, Scope::Task(TASK.to_owned()), at_most(3)).await;
    let mut claimed = subject.claim_ids(crate::samples::claim_by("ann", 2)).await;
    let queues = vec![("elsewhere".to_owned(), 9)];
    claimed.extend(
        subject
            .claim_ids(Claim {
                queues,
                ..crate::samples::claim_by("bob", 0)
            })
            .await,
    );
    assert_eq!(claimed.len(), 3);
}

pub(super) async fn a_limit_does_not_count_what_waits(subject: Subject) {
    set(&subject, queue(), at_most(1)).await;
    let id = subject.add_all(jobs(2)).await;
    let lease = subject.take().await;
    assert_eq!(lease.job, id[0]);
    subject
        .end(
            &lease,
            Verdict::Retry {
                due: When::In(MINUTE),
            },
        )
        .await;
    assert_eq!(subject.claim_ids(claim(9)).await, [id[1]]);
    subject.advance(MINUTE).await;
    assert_eq!(subject.claim_ids(claim(9)).await, []);
}
