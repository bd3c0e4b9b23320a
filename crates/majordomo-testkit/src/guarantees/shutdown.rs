//! The end of a worker.

use std::time::Duration;

use majordomo_core::{EndingKind, State};
use majordomo_engine::CancelReason;

use super::tasks::{Act, App, all_jobs, client, details, worker};
use crate::subject::Subject;

/// Some jobs end within the drain time and some do not: the first are
/// completed, the others are told and given back, and none costs an attempt.
pub(super) async fn r12_g70_gx12_a_drain_lets_jobs_finish_and_gives_the_others_back(
    subject: Subject,
) {
    let jobs = client(&subject.storage);
    let app = App::new();
    let worker = worker(&jobs, &app)
        .concurrency(20)
        .drain(Duration::from_secs(3600));
    let mut running = worker.start().await.expect("a worker starts");
    let finishing = jobs
        .enqueue_many((0..10).map(|_| Act::Wait))
        .await
        .expect("jobs are stored");
    app.has_started(10).await;
    running.stop();
    let late = jobs.enqueue(Act::Return(1)).await.expect("a job is stored");
    app.gate.send_replace(true);
    running
        .wait()
        .await
        .expect("the worker ends once they have");
    for handle in finishing {
        assert_eq!(handle.state().await.expect("a state"), State::Completed);
    }
    assert_eq!(
        details(&*subject.storage, late.id()).await.job.token,
        0,
        "nothing is claimed after the signal"
    );
    jobs.cancel(late.id()).await.expect("it is cancelled");

    let app = App::new();
    let worker = super::tasks::worker(&jobs, &app)
        .concurrency(20)
        .drain(Duration::from_millis(1));
    let mut running = worker.start().await.expect("a worker starts");
    let given_back = jobs
        .enqueue_many((0..10).map(|_| Act::Wait))
        .await
        .expect("jobs are stored");
    app.has_started(10).await;
    running.stop();
    running.wait().await.expect("the worker ends");
    for handle in given_back {
        let found = details(&*subject.storage, handle.id()).await;
        assert_eq!(
            (found.job.state, found.job.charged, found.job.crashes),
            (State::Pending, 0, 0)
        );
        assert_eq!(found.attempts[0].ending, Some(EndingKind::Released));
    }
    let told: Vec<_> = app
        .told
        .lock()
        .expect("no panic")
        .iter()
        .map(|(_, reason)| *reason)
        .collect();
    assert_eq!(told, [CancelReason::Shutdown; 10]);
    assert_eq!(all_jobs(&*subject.storage).await.len(), 21, "none is lost");
}

/// The second signal waits for nothing, not even for a blocked thread.
pub(super) async fn r12_g70_a_second_signal_ends_at_once(subject: Subject) {
    let jobs = client(&subject.storage);
    let app = App::new();
    let worker = worker(&jobs, &app)
        .drain(Duration::from_secs(3600))
        .grace(Duration::from_secs(3600));
    let mut running = worker.start().await.expect("a worker starts");
    let waiting = jobs.enqueue(Act::Wait).await.expect("a job is stored");
    let blocked = jobs
        .enqueue(super::tasks::Hog)
        .await
        .expect("a job is stored");
    app.has_started(2).await;
    running.stop();
    running.stop_now();
    let ended = tokio::time::timeout(super::tasks::PATIENCE, running.wait()).await;
    ended
        .expect("it waits for nothing")
        .expect("the worker ends");
    for id in [waiting.id(), blocked.id()] {
        let job = details(&*subject.storage, id).await.job;
        assert_eq!(
            (job.state, job.charged, job.lease),
            (State::Pending, 0, None)
        );
    }
    app.gate.send_replace(true);
}
