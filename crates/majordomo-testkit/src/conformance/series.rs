//! Trials of `series`: what is counted, where, and that a recount agrees.

use std::collections::BTreeMap;
use std::time::Duration;

use majordomo_core::ending::EndingKind;
use majordomo_core::series::{Bucket, Spread, Tally};
use majordomo_core::{
    By, Change, Claim, DeadReason, Filter, NewJob, Query, Timestamp, Verdict, When, Width,
};

use crate::samples::{AGAIN, LEASE, LOST, MINUTE, RETRY, claim, ending, job, job_of, sweep};
use crate::subject::Subject;

fn everything(by: By) -> Query {
    let from = Timestamp::from_second(0).expect("it is in range");
    let to = Timestamp::from_second(7_000_000_000).expect("it is in range");
    Query {
        by,
        from,
        to,
        width: Width::Day,
    }
}

/// All that was ever counted, by name.
async fn totals(subject: &Subject, by: By) -> BTreeMap<String, Tally> {
    let mut totals = BTreeMap::<String, Tally>::new();
    for Bucket { name, tally, .. } in subject.series(everything(by)).await {
        totals.entry(name).or_default().merge(&tally);
    }
    totals
}

async fn total(subject: &Subject) -> Tally {
    totals(subject, By::All)
        .await
        .remove("")
        .unwrap_or_default()
}

fn counts(tally: &Tally) -> Vec<(EndingKind, u64)> {
    let counted = EndingKind::ALL.map(|kind| (kind, tally.count(kind)));
    counted
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .collect()
}

pub(super) async fn nothing_is_counted_before_anything_ends(subject: Subject) {
    subject.start(job()).await;
    subject.add(job()).await;
    for by in [By::All, By::Task, By::Queue] {
        assert_eq!(subject.series(everything(by)).await, []);
    }
}

pub(super) async fn every_ending_is_counted_once_under_its_kind(subject: Subject) {
    let verdicts = [
        Verdict::Completed,
        RETRY,
        Verdict::Snooze { due: When::Now },
        Verdict::Release,
        Verdict::Dead {
            reason: DeadReason::Permanent,
        },
        Verdict::Cancelled,
        Verdict::Expired,
    ];
    for (index, verdict) in (1_u64..).zip(verdicts) {
        let mut expected = counts(&total(&subject).await);
        for _ in 0..index {
            let lease = subject.start(job()).await;
            subject.end(&lease, verdict.clone()).await;
            // A repeat is not counted, nor is a stale ending.
            subject.end(&lease, verdict.clone()).await;
            subject.settle(sweep(&lease, LOST)).await;
            let id = lease.job;
            subject
                .change(
                    id,
                    Change::Move {
                        queue: "aside".to_owned(),
                    },
                )
                .await;
        }
        expected.push((verdict.kind(), index));
        expected.sort_unstable();
        assert_eq!(counts(&total(&subject).await), expected);
    }
}

pub(super) async fn a_lost_attempt_is_counted_as_lost(subject: Subject) {
    let lease = subject.start(job()).await;
    subject.advance(LEASE).await;
    subject.settle(sweep(&lease, LOST)).await;
    assert_eq!(counts(&total(&subject).await), [(EndingKind::Lost, 1)]);
}

pub(super) async fn a_requested_cancel_is_counted_when_the_attempt_ends(subject: Subject) {
    let lease = subject.start(job()).await;
    subject.change(lease.job, Change::Cancel).await;
    assert_eq!(counts(&total(&subject).await), []);
    subject.settle(ending(&lease, RETRY)).await;
    assert_eq!(counts(&total(&subject).await), [(EndingKind::Cancelled, 1)]);
}

pub(super) async fn jobs_that_end_without_an_attempt_are_counted_without_times(subject: Subject) {
    let id = subject.add(job()).await;
    subject.change(id, Change::Cancel).await;
    subject.change(id, Change::Cancel).await;
    let id = subject.add(job()).await;
    subject.change(id, Change::Expire).await;
    subject
        .add(NewJob {
            expires: Some(When::Now),
            ..job()
        })
        .await;
    assert_eq!(subject.claim_ids(claim(1)).await, []);
    let total = total(&subject).await;
    assert_eq!(
        counts(&total),
        [(EndingKind::Cancelled, 1), (EndingKind::Expired, 2)]
    );
    assert_eq!(
        (total.run, total.wait),
        (Spread::default(), Spread::default())
    );
}

pub(super) async fn a_cancel_after_a_retry_counts_no_time_twice(subject: Subject) {
    let lease = subject.start(job()).await;
    subject.end(&lease, RETRY).await;
    subject.change(lease.job, Change::Cancel).await;
    let total = total(&subject).await;
    assert_eq!(
        counts(&total),
        [(EndingKind::Retried, 1), (EndingKind::Cancelled, 1)]
    );
    assert_eq!((total.run.count, total.wait.count), (1, 1));
}

pub(super) async fn run_and_wait_times_are_those_of_the_attempt(subject: Subject) {
    for (wait, run) in [(10 * MINUTE, MINUTE), (2 * MINUTE, 5 * MINUTE)] {
        subject.add(job()).await;
        subject.advance(wait).await;
        let lease = subject.take().await;
        subject.advance(run).await;
        subject.end(&lease, Verdict::Completed).await;
    }
    let total = total(&subject).await;
    // On a clock that runs, the calls themselves take a little.
    let about = |micros: u64, minutes: u64| {
        let expected = minutes * 60_000_000;
        assert!(
            (expected..expected + 30_000_000).contains(&micros),
            "{micros} µs are not {minutes} min"
        );
    };
    assert_eq!((total.wait.count, total.run.count), (2, 2));
    about(total.wait.sum, 12);
    about(total.wait.min, 2);
    about(total.wait.max, 10);
    about(total.run.sum, 6);
    about(total.run.min, 1);
    about(total.run.max, 5);
}

pub(super) async fn series_are_broken_down_by_task_and_queue(subject: Subject) {
    for (task, queue, count) in [("b", "x", 1), ("a", "y", 2), ("a", "x", 3)] {
        for _ in 0..count {
            subject
                .add(NewJob {
                    queue: queue.to_owned(),
                    ..job_of(task)
                })
                .await;
            let queues = vec![(queue.to_owned(), 1)];
            let claimed = subject
                .claim(Claim {
                    queues,
                    ..crate::samples::claim_of(&[task], 1)
                })
                .await;
            subject.end(&claimed.jobs[0].1, Verdict::Completed).await;
        }
    }
    let completed = async |by: By| -> Vec<(String, u64)> {
        totals(&subject, by)
            .await
            .into_iter()
            .map(|(name, tally)| (name, tally.completed))
            .collect()
    };
    let named = |name: &str, count: u64| (name.to_owned(), count);
    assert_eq!(completed(By::All).await, [named("", 6)]);
    assert_eq!(completed(By::Task).await, [named("a", 5), named("b", 1)]);
    assert_eq!(completed(By::Queue).await, [named("x", 4), named("y", 2)]);
}

/// Moves the time on to the start of an hour, so that a trial knows where its buckets lie.
async fn to_the_hour(subject: &Subject) -> Timestamp {
    let now = subject.now().await;
    let next = Width::Hour.start_of(now) + Duration::from_secs(3600);
    subject
        .advance(majordomo_core::time::between(now, next))
        .await;
    next
}

pub(super) async fn buckets_lie_in_order_and_empty_ones_are_left_out(subject: Subject) {
    let hour = to_the_hour(&subject).await;
    for (task, minutes) in [("b", 0), ("a", 5), ("b", 0), ("a", 115)] {
        subject.advance(minutes * MINUTE).await;
        subject.finish(job_of(task), Verdict::Completed).await;
    }
    let read = async |width: Width, to: u32| -> Vec<(u64, String, u64)> {
        let query = Query {
            by: By::Task,
            from: hour,
            to: hour + to * MINUTE,
            width,
        };
        let buckets = subject.series(query).await;
        buckets
            .into_iter()
            .map(|bucket| {
                let minutes = majordomo_core::time::between(hour, bucket.start).as_secs() / 60;
                (minutes, bucket.name, bucket.tally.completed)
            })
            .collect()
    };
    let bucket = |minutes: u64, name: &str, count: u64| (minutes, name.to_owned(), count);
    let minutes = [
        bucket(0, "b", 1),
        bucket(5, "a", 1),
        bucket(5, "b", 1),
        bucket(120, "a", 1),
    ];
    assert_eq!(read(Width::Minute, 180).await, minutes);
    assert_eq!(
        read(Width::Hour, 180).await,
        [bucket(0, "a", 1), bucket(0, "b", 2), bucket(120, "a", 1)]
    );
    assert_eq!(
        read(Width::Minute, 120).await,
        minutes[..3],
        "the end is not included"
    );
    assert_eq!(read(Width::Minute, 5).await, minutes[..1]);
    assert_eq!(read(Width::Minute, 0).await, []);
}

pub(super) async fn a_query_is_rounded_down_to_the_minute(subject: Subject) {
    let hour = to_the_hour(&subject).await;
    subject.finish(job(), Verdict::Completed).await;
    let within = |from: u64, to: u64| Query {
        by: By::All,
        from: hour + Duration::from_secs(from),
        to: hour + Duration::from_secs(to),
        width: Width::Minute,
    };
    assert_eq!(
        subject.series(within(59, 61)).await.len(),
        1,
        "the minute is counted whole"
    );
    assert_eq!(
        subject.series(within(0, 59)).await,
        [],
        "its end lies in the same minute"
    );
    assert_eq!(subject.series(within(60, 120)).await, []);
}

pub(super) async fn series_survive_the_removal_of_their_jobs(subject: Subject) {
    for verdict in [Verdict::Completed, Verdict::Cancelled] {
        subject.finish(job(), verdict).await;
    }
    let before = subject.series(everything(By::Task)).await;
    assert_eq!(subject.remove(&Filter::all()).await, 2);
    assert_eq!(subject.series(everything(By::Task)).await, before);
    assert_eq!(
        counts(&before[0].tally),
        [(EndingKind::Completed, 1), (EndingKind::Cancelled, 1)]
    );
}

pub(super) async fn series_equal_a_recount(subject: Subject) {
    let kinds = [
        Verdict::Completed,
        RETRY,
        Verdict::Release,
        Verdict::Dead {
            reason: DeadReason::Exhausted,
        },
        Verdict::Snooze { due: When::Now },
        Verdict::Completed,
        Verdict::Cancelled,
    ];
    let mut group = crate::samples::jobs(20);
    for (index, job) in group.iter_mut().enumerate() {
        job.queue = ["x", "y"][index % 2].to_owned();
    }
    subject.add_all(group).await;
    for round in 0..8_usize {
        subject.advance(17 * MINUTE).await;
        let queues = vec![("x".to_owned(), 4), ("y".to_owned(), 3)];
        let claimed = subject.claim(Claim { queues, ..claim(0) }).await.jobs;
        subject.advance(MINUTE).await;
        let endings = claimed.iter().enumerate().map(|(index, (_, lease))| {
            let verdict = &kinds[(round + index) % kinds.len()];
            ending(lease, verdict.clone())
        });
        subject.settle_all(endings.collect()).await;
        if round == 4 {
            for job in subject.find(&Filter::all().finished()).await.iter().take(5) {
                subject.change(job.id, AGAIN).await;
            }
        }
    }
    let mut recount = BTreeMap::<String, Tally>::new();
    for job in subject.find(&Filter::all()).await {
        for attempt in subject.details(job.id).await.attempts {
            let (Some(kind), Some(ended)) = (attempt.ending, attempt.ended_at) else {
                continue;
            };
            let tally = recount.entry(job.queue.clone()).or_default();
            *tally.count_mut(kind) += 1;
            tally
                .run
                .add(majordomo_core::time::between(attempt.started_at, ended));
        }
    }
    let counted = totals(&subject, By::Queue).await;
    assert_eq!(counted.len(), 2);
    for (queue, tally) in counted {
        let recounted = &recount[&queue];
        assert_eq!(counts(&tally), counts(recounted), "queue `{queue}`");
        assert_eq!(tally.run, recounted.run, "queue `{queue}`");
        assert_eq!(tally.wait.count, tally.run.count);
    }
}
