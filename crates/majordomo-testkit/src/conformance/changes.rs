//! Trials of `change`: what each change does, and that changes go in pages.

use majordomo_core::{
    Change, Changed, Codec, DeadReason, Edit, Filter, JobId, NewJob, Page, Payload, Refusal, State,
    Tags, Verdict, When, limits,
};

use super::steps::{must, only};
use crate::samples::{AGAIN, LEASE, LOST, MINUTE, claim, job, job_of, jobs, sweep};
use crate::subject::Subject;

pub(super) async fn a_pending_job_is_cancelled_at_once(subject: Subject) {
    let id = subject.add(job()).await;
    subject.advance(MINUTE).await;
    let (changed, window) = subject.timed(subject.change(id, Change::Cancel)).await;
    assert_eq!(changed, Changed::Done(State::Cancelled));
    let cancelled = subject.job(id).await;
    assert_eq!(
        (
            cancelled.state,
            cancelled.revision,
            cancelled.cancel_requested
        ),
        (State::Cancelled, 2, false)
    );
    assert!(window.holds(cancelled.ended_at) && window.holds(cancelled.changed_at));
    assert_eq!(
        subject.claim_ids(claim(1)).await,
        [],
        "it never starts after the answer"
    );
}

pub(super) async fn a_running_job_is_asked_to_stop_once(subject: Subject) {
    let lease = subject.start(job()).await;
    let before = subject.job(lease.job).await;
    for _ in 0..2 {
        assert_eq!(
            subject.change(lease.job, Change::Cancel).await,
            Changed::Done(State::Running)
        );
        let asked = subject.job(lease.job).await;
        assert_eq!(
            (asked.state, asked.cancel_requested, asked.ended_at),
            (State::Running, true, None)
        );
        assert_eq!(
            asked.revision,
            before.revision + 1,
            "asking twice changes nothing"
        );
        assert_eq!(
            (asked.lease, asked.token),
            (before.lease.clone(), before.token)
        );
    }
}

/// A job that died after three charged attempts, one of them lost.
async fn dead_job(subject: &Subject, new: NewJob) -> JobId {
    let id = subject.add(new).await;
    for _ in 0..2 {
        let lease = subject.take().await;
        subject.advance(LEASE).await;
        subject.settle(sweep(&lease, LOST)).await;
    }
    let lease = subject.take().await;
    subject
        .end(
            &lease,
            Verdict::Dead {
                reason: DeadReason::Exhausted,
            },
        )
        .await;
    id
}

pub(super) async fn an_operators_retry_begins_anew(subject: Subject) {
    let id = dead_job(&subject, job()).await;
    let dead = subject.details(id).await;
    assert_eq!(
        (dead.job.charged, dead.job.crashes, dead.job.token),
        (3, 2, 3)
    );
    let (changed, window) = subject.timed(subject.change(id, AGAIN)).await;
    assert_eq!(changed, Changed::Done(State::Pending));
    let pending = subject.details(id).await;
    assert_eq!((pending.job.charged, pending.job.crashes), (0, 0));
    assert_eq!(
        (pending.job.ended_at, pending.job.dead_reason),
        (None, None)
    );
    assert_eq!(pending.job.revision, dead.job.revision + 1);
    assert!(window.holds(pending.job.due) && window.holds(pending.job.changed_at));
    assert_eq!(
        (pending.attempts, pending.job.created_at),
        (dead.attempts, dead.job.created_at)
    );
    assert_eq!(subject.take().await.job, id);
}

pub(super) async fn an_operators_retry_never_resets_the_token(subject: Subject) {
    let id = subject.add(job()).await;
    let mut leases = Vec::new();
    for round in 1..=3 {
        let lease = subject.take().await;
        assert_eq!(lease.token, round);
        subject.end(&lease, Verdict::Completed).await;
        subject.change(id, AGAIN).await;
        assert_eq!(subject.job(id).await.token, round);
        leases.push(lease);
    }
    let current = subject.take().await;
    for old in &leases {
        let stale = crate::samples::ending(old, Verdict::Cancelled);
        assert_eq!(subject.settle(stale).await, majordomo_core::Settled::Stale);
    }
    assert_eq!(current.token, 4);
    subject.end(&current, Verdict::Completed).await;
}

pub(super) async fn an_operators_retry_is_due_when_it_says(subject: Subject) {
    let id = subject.finish(job(), Verdict::Completed).await;
    let (_, window) = subject
        .timed(subject.change(
            id,
            Change::Retry {
                due: When::In(10 * MINUTE),
            },
        ))
        .await;
    assert!(window.after(10 * MINUTE).holds(subject.job(id).await.due));
    subject.advance(9 * MINUTE).await;
    assert_eq!(subject.claim_ids(claim(1)).await, []);
    subject.advance(MINUTE).await;
    assert_eq!(subject.claim_ids(claim(1)).await, [id]);
}

pub(super) async fn an_operators_retry_outlives_a_passed_expiry(subject: Subject) {
    let lasting = NewJob {
        expires: Some(When::In(LEASE)),
        ..job()
    };
    let unexpired = subject.finish(lasting, Verdict::Completed).await;
    let id = subject
        .add(NewJob {
            expires: Some(When::In(MINUTE)),
            ..job()
        })
        .await;
    subject.advance(MINUTE).await;
    assert_eq!(subject.claim_ids(claim(1)).await, []);
    for id in [id, unexpired] {
        assert_eq!(
            subject.change(id, AGAIN).await,
            Changed::Done(State::Pending)
        );
    }
    assert_eq!(
        subject.job(id).await.expires,
        None,
        "or it would end before it starts"
    );
    assert!(
        subject.job(unexpired).await.expires.is_some(),
        "a time to come still counts"
    );
    assert_eq!(subject.claim_ids(claim(2)).await.len(), 2);
}

pub(super) async fn a_rescheduled_job_is_due_at_its_new_time(subject: Subject) {
    let [sooner, later] = [
        NewJob {
            due: When::In(30 * MINUTE),
            ..job()
        },
        job(),
    ];
    subject.add_all(vec![sooner.clone(), later.clone()]).await;
    subject
        .change(sooner.id, Change::Reschedule { due: When::Now })
        .await;
    let (changed, window) = subject
        .timed(subject.change(
            later.id,
            Change::Reschedule {
                due: When::In(30 * MINUTE),
            },
        ))
        .await;
    assert_eq!(changed, Changed::Done(State::Pending));
    let moved = subject.job(later.id).await;
    assert!(window.after(30 * MINUTE).holds(moved.due) && window.holds(moved.changed_at));
    assert_eq!(moved.revision, 2);
    assert_eq!(subject.claim_ids(claim(2)).await, [sooner.id]);
}

pub(super) async fn a_moved_job_is_claimed_from_its_new_queue(subject: Subject) {
    let id = subject.add(job()).await;
    let elsewhere = Change::Move {
        queue: "elsewhere".to_owned(),
    };
    assert_eq!(
        subject.change(id, elsewhere).await,
        Changed::Done(State::Pending)
    );
    assert_eq!(subject.claim_ids(claim(1)).await, []);
    let queues = vec![("elsewhere".to_owned(), 1)];
    assert_eq!(
        subject
            .claim_ids(majordomo_core::Claim { queues, ..claim(1) })
            .await,
        [id]
    );
}

pub(super) async fn a_new_priority_moves_a_job_ahead(subject: Subject) {
    let id = subject.add_all(jobs(3)).await;
    subject.change(id[2], Change::Priority(5)).await;
    subject.change(id[0], Change::Priority(-5)).await;
    assert_eq!(subject.claim_ids(claim(3)).await, [id[2], id[1], id[0]]);
}

pub(super) async fn an_edit_changes_what_it_names_and_no_more(subject: Subject) {
    let id = subject
        .add(NewJob {
            tags: Tags::none().with("old"),
            ..job()
        })
        .await;
    let before = subject.job(id).await;
    let payload = Payload {
        codec: Codec::named("sealed"),
        bytes: vec![0, 255, 7],
    };
    let edit = Edit {
        payload: Some(payload.clone()),
        ..Edit::default()
    };
    assert_eq!(
        subject.change(id, Change::Edit(edit)).await,
        Changed::Done(State::Pending)
    );
    let edited = subject.job(id).await;
    assert_eq!(
        (&edited.payload, &edited.tags, edited.revision),
        (&payload, &before.tags, 2)
    );
    let tags = Tags::none().with("new");
    let edit = Edit {
        tags: Some(tags.clone()),
        if_revision: Some(2),
        ..Edit::default()
    };
    subject.change(id, Change::Edit(edit)).await;
    let edited = subject.job(id).await;
    assert_eq!(
        (&edited.payload, &edited.tags, edited.revision),
        (&payload, &tags, 3)
    );
    assert_eq!(subject.find_ids(&Filter::all().tag("old")).await, []);
    assert_eq!(subject.find_ids(&Filter::all().tag("new")).await, [id]);
    assert_eq!(
        (edited.due, edited.state, edited.token),
        (before.due, before.state, before.token)
    );
}

pub(super) async fn an_edit_of_another_revision_is_refused(subject: Subject) {
    let id = subject.add(job()).await;
    subject.change(id, Change::Priority(1)).await;
    let before = subject.job(id).await;
    for revision in [1, 3] {
        let edit = Edit {
            tags: Some(Tags::none().with("x")),
            if_revision: Some(revision),
            ..Edit::default()
        };
        assert_eq!(
            subject.change(id, Change::Edit(edit)).await,
            Changed::Refused(Refusal::Revision(2))
        );
    }
    assert_eq!(subject.job(id).await, before);
}

pub(super) async fn an_expired_job_is_ended_by_a_change_too(subject: Subject) {
    let id = subject
        .add(NewJob {
            expires: Some(When::Now),
            ..job_of("nobody-knows")
        })
        .await;
    let filter = Filter {
        past_expiry: true,
        ..Filter::all()
    };
    let page = must(subject.storage.change(&filter, &Change::Expire, None, 10)).await;
    assert_eq!(page.items, [(id, Changed::Done(State::Expired))]);
    let expired = subject.job(id).await;
    assert!(expired.ended_at.is_some());
    assert_eq!(subject.find_ids(&filter).await, []);
}

pub(super) async fn a_change_answers_for_each_job_in_the_order_of_ids(subject: Subject) {
    let finished = subject.finish(job(), Verdict::Completed).await;
    let running = subject.start(job()).await.job;
    let pending = subject.add(job()).await;
    let page = must(
        subject
            .storage
            .change(&Filter::all(), &Change::Cancel, None, 10),
    )
    .await;
    let expected = [
        (finished, Changed::Refused(Refusal::State(State::Completed))),
        (running, Changed::Done(State::Running)),
        (pending, Changed::Done(State::Cancelled)),
    ];
    assert_eq!(
        (page.items.as_slice(), page.next),
        (expected.as_slice(), None)
    );
}

pub(super) async fn a_change_goes_in_pages_and_can_be_resumed(subject: Subject) {
    let id = subject.add_all(jobs(25)).await;
    let filter = Filter::all().state(State::Pending);
    let (mut changed, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let Page { items, next } =
            must(subject.storage.change(&filter, &Change::Cancel, after, 10)).await;
        pages += 1;
        assert!(pages <= 3, "25 jobs are three pages of 10");
        changed.extend(items.into_iter().map(|(id, answer)| {
            assert_eq!(answer, Changed::Done(State::Cancelled));
            id
        }));
        assert_eq!(
            subject
                .find_ids(&Filter::all().state(State::Cancelled))
                .await,
            changed,
            "a page is written whole"
        );
        let Some(next) = next else { break };
        assert_eq!(Some(&next), changed.last());
        after = Some(next);
    }
    assert_eq!((changed, pages), (id, 3));
}

pub(super) async fn a_change_begins_behind_the_place_it_is_given(subject: Subject) {
    let id = subject.add_all(jobs(5)).await;
    let page = must(
        subject
            .storage
            .change(&Filter::all(), &Change::Priority(3), Some(id[2]), 10),
    )
    .await;
    let done = |id: JobId| (id, Changed::Done(State::Pending));
    assert_eq!(page.items, [done(id[3]), done(id[4])]);
    let untouched: Vec<_> = subject
        .find(&Filter::all())
        .await
        .iter()
        .map(|job| job.priority)
        .collect();
    assert_eq!(untouched, [0, 0, 0, 3, 3]);
}

pub(super) async fn a_change_of_nothing_answers_nothing(subject: Subject) {
    let id = subject.add(job()).await;
    let before = subject.job(id).await;
    for (filter, limit) in [
        (Filter::ids([]), 10),
        (Filter::all().queue("none"), 10),
        (Filter::all(), 0),
    ] {
        let page = must(
            subject
                .storage
                .change(&filter, &Change::Cancel, None, limit),
        )
        .await;
        assert_eq!(page.items, []);
    }
    assert_eq!(subject.job(id).await, before);
}

pub(super) async fn a_change_is_cut_to_a_page(subject: Subject) {
    let id = subject.add_all(jobs(limits::PAGE + 1)).await;
    let page = must(
        subject
            .storage
            .change(&Filter::all(), &Change::Cancel, None, usize::MAX),
    )
    .await;
    assert_eq!(
        (page.items.len(), page.next),
        (limits::PAGE, Some(id[limits::PAGE - 1]))
    );
    assert_eq!(
        only(subject.find(&Filter::all().state(State::Pending)).await).id,
        id[limits::PAGE]
    );
}
