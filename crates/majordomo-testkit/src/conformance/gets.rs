//! Trials of `get`.

use majordomo_core::{JobId, Verdict};

use super::steps::must;
use crate::samples::{job, jobs};
use crate::subject::Subject;

pub(super) async fn jobs_are_given_in_the_order_asked(subject: Subject) {
    let id = subject.add_all(jobs(3)).await;
    let asked = [id[2], JobId::new(), id[0], id[2]];
    let got = must(subject.storage.get(&asked)).await;
    let got: Vec<_> = got
        .into_iter()
        .map(|details| details.map(|details| details.job.id))
        .collect();
    assert_eq!(got, [Some(id[2]), None, Some(id[0]), Some(id[2])]);
}

pub(super) async fn getting_nothing_gives_nothing(subject: Subject) {
    assert_eq!(must(subject.storage.get(&[])).await, []);
    assert_eq!(must(subject.storage.get(&[JobId::new()])).await, [None]);
}

pub(super) async fn a_job_is_given_in_every_state(subject: Subject) {
    let lease = subject.start(job()).await;
    assert_eq!(subject.job(lease.job).await.lease, Some(lease.clone()));
    subject.end(&lease, Verdict::Completed).await;
    assert_eq!(subject.job(lease.job).await.lease, None);
}

pub(super) async fn a_thousand_jobs_are_given_at_once(subject: Subject) {
    let id = subject.add_all(jobs(1000)).await;
    let got = must(subject.storage.get(&id)).await;
    let got: Vec<_> = got
        .into_iter()
        .flatten()
        .map(|details| details.job.id)
        .collect();
    assert_eq!(got, id);
}
