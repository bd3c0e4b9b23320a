//! Trials of orders and pages: complete, without doubles, by key.

use std::collections::BTreeSet;

use majordomo_core::{
    Cursor, Filter, JobId, NewJob, Order, OrderBy, Page, State, Verdict, When, limits,
};

use super::steps::{all_pages, must, orders};
use crate::samples::{MINUTE, TASK, claim, ids, job, job_of, jobs};
use crate::subject::Subject;

/// Jobs whose due, creation and ending times all run against their ids' order.
async fn mixed(subject: &Subject) -> Vec<majordomo_core::Job> {
    let now = subject.now().await;
    let mut group = jobs(12);
    for (index, job) in group.iter_mut().enumerate() {
        // Some share a due time, so that the id has to decide.
        job.due = When::At(now - u32::try_from(index / 3).expect("it is small") * MINUTE);
    }
    let order = ids(&group);
    for part in [&group[8..], &group[..4], &group[4..8]] {
        subject.add_all(part.to_vec()).await;
        subject.advance(MINUTE).await;
    }
    let leases = subject.claim(claim(12)).await.jobs;
    for index in [5, 2, 9, 0, 7] {
        let (_, lease) = leases
            .iter()
            .find(|(_, lease)| lease.job == order[index])
            .expect("all are claimed");
        subject.end(lease, Verdict::Completed).await;
        subject.advance(MINUTE).await;
    }
    subject.find(&Filter::all()).await
}

pub(super) async fn each_order_lists_as_it_says(subject: Subject) {
    let all = mixed(&subject).await;
    assert_eq!(all.len(), 12);
    for order in orders() {
        let mut expected: Vec<_> = all
            .iter()
            .filter(|job| order.place(job).is_some())
            .collect();
        expected.sort_by_key(|job| {
            let at = match order.by {
                OrderBy::Id => None,
                OrderBy::Due => Some(job.due),
                OrderBy::Created => Some(job.created_at),
                OrderBy::Ended => job.ended_at,
            };
            (at, job.id)
        });
        if order.direction == majordomo_core::Direction::Descending {
            expected.reverse();
        }
        let expected: Vec<_> = expected.into_iter().map(|job| job.id).collect();
        for limit in [1, 5, 100] {
            let listed = all_pages(&subject, &Filter::all(), order, limit).await;
            assert_eq!(ids_of(&listed), expected, "{order:?}, {limit} a page");
        }
    }
}

pub(super) async fn an_order_by_ending_lists_only_what_has_ended(subject: Subject) {
    mixed(&subject).await;
    let listed = all_pages(
        &subject,
        &Filter::all(),
        Order::descending(OrderBy::Ended),
        2,
    )
    .await;
    assert_eq!(listed.len(), 5);
    assert!(listed.iter().all(|job| job.state == State::Completed));
}

pub(super) async fn a_full_last_page_has_no_next(subject: Subject) {
    subject.add_all(jobs(4)).await;
    let page = must(
        subject
            .storage
            .find(&Filter::all(), Order::default(), None, 4),
    )
    .await;
    assert_eq!((page.items.len(), page.next), (4, None));
    let page = must(
        subject
            .storage
            .find(&Filter::all(), Order::default(), None, 3),
    )
    .await;
    let last = page.items[2].id;
    assert_eq!(page.next, Some(Cursor::behind(last)));
}

pub(super) async fn pages_of_a_filter_hold_only_what_matches(subject: Subject) {
    let group: Vec<_> = (0..30)
        .map(|index| job_of(if index % 3 == 0 { TASK } else { "other" }))
        .collect();
    let wanted: Vec<_> = group
        .iter()
        .filter(|job| job.task == TASK)
        .map(|job| job.id)
        .collect();
    subject.add_all(group).await;
    let listed = all_pages(&subject, &Filter::all().task(TASK), Order::default(), 3).await;
    assert_eq!(ids_of(&listed), wanted);
}

pub(super) async fn pages_are_complete_and_without_doubles_while_jobs_come_and_go(
    subject: Subject,
) {
    for order in [
        Order::ascending(OrderBy::Id),
        Order::descending(OrderBy::Id),
        Order::ascending(OrderBy::Created),
    ] {
        let queue = format!("{order:?}");
        let in_queue = |job: NewJob| NewJob {
            queue: queue.clone(),
            ..job
        };
        let early: Vec<_> = jobs(10).into_iter().map(in_queue).collect();
        let kept: Vec<_> = jobs(20).into_iter().map(in_queue).collect();
        let kept_ids: BTreeSet<_> = ids(&kept).into_iter().collect();
        subject.add_all(kept).await;
        let filter = Filter::all().queue(&queue);
        let (mut seen, mut after) = (Vec::new(), None);
        for job in early {
            let Page { items, next } = must(subject.storage.find(&filter, order, after, 4)).await;
            seen.extend(ids_of(&items));
            after = next;
            if after.is_none() {
                break;
            }
            // One more before the place of the listing, one more behind it.
            subject
                .add_all(vec![job, in_queue(crate::samples::job())])
                .await;
            subject
                .change(items[0].id, majordomo_core::Change::Priority(7))
                .await;
        }
        assert!(seen.len() >= 20, "the listing ended early");
        let once: BTreeSet<_> = seen.iter().copied().collect();
        assert_eq!(once.len(), seen.len(), "a job was listed twice");
        assert!(once.is_superset(&kept_ids), "a job was passed over");
    }
}

pub(super) async fn a_page_is_cut_to_its_limit(subject: Subject) {
    subject.add_all(jobs(limits::PAGE + 1)).await;
    for limit in [limits::PAGE + 1, usize::MAX] {
        let page = must(
            subject
                .storage
                .find(&Filter::all(), Order::default(), None, limit),
        )
        .await;
        assert_eq!(
            (page.items.len(), page.next.is_some()),
            (limits::PAGE, true)
        );
    }
    let none = must(
        subject
            .storage
            .find(&Filter::all(), Order::default(), None, 0),
    )
    .await;
    assert_eq!(none.items, []);
}

pub(super) async fn a_cursor_may_point_at_a_job_that_is_gone(subject: Subject) {
    let mut expected = Vec::new();
    for _ in 0..4 {
        expected.push(subject.finish(job(), Verdict::Completed).await);
    }
    let first = must(
        subject
            .storage
            .find(&Filter::all(), Order::default(), None, 2),
    )
    .await;
    assert_eq!(
        subject.remove(&Filter::ids(expected[..2].to_vec())).await,
        2
    );
    let rest = must(
        subject
            .storage
            .find(&Filter::all(), Order::default(), first.next, 9),
    )
    .await;
    assert_eq!(ids_of(&rest.items), expected[2..]);
}

pub(super) fn ids_of(jobs: &[majordomo_core::Job]) -> Vec<JobId> {
    jobs.iter().map(|job| job.id).collect()
}
