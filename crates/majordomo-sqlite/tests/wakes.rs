//! Who is woken by what, within a process and across.

mod common;

use std::future::{Future, poll_fn};
use std::task::Poll;

use common::{claim, fixture, insert, job, settle};
use majordomo_core::{Control, Scope, Storage, Verdict, Wake, Wakes, When};
use majordomo_sqlite::Sqlite;

async fn is_quiet(wakes: &mut Box<dyn Wakes>) -> bool {
    let mut next = Box::pin(wakes.next());
    poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx).is_pending())).await
}

#[tokio::test]
async fn each_write_wakes_whom_it_concerns_and_a_look_wakes_nobody() {
    let fixture = fixture().await;
    let storage = &fixture.storage;
    let mut wakes = storage.wakes().unwrap();
    insert(storage, vec![job()]).await;
    assert!(wakes.next().await.work);
    let lease = claim(storage, 1).await.jobs.remove(0).1;
    assert!(is_quiet(&mut wakes).await, "a claim is nobody's news");
    settle(storage, &lease, Verdict::Snooze { due: When::Now }).await;
    assert_eq!(wakes.next().await, Wake::ALL);
    let lease = claim(storage, 1).await.jobs.remove(0).1;
    settle(storage, &lease, Verdict::Completed).await;
    assert_eq!(wakes.next().await, Wake::NEWS);
    storage
        .set_control(
            Scope::Queue("q".into()),
            Control {
                max_running: Some(1),
                paused: None,
            },
        )
        .await
        .unwrap();
    assert_eq!(wakes.next().await, Wake::WORK);
    claim(storage, 1).await;
    storage.get(&[lease.job]).await.unwrap();
    assert!(is_quiet(&mut wakes).await);
}

#[tokio::test]
async fn a_commit_of_another_node_wakes_and_ones_own_does_not_echo() {
    let fixture = fixture().await;
    let mut wakes = fixture.storage.wakes().unwrap();
    insert(&fixture.storage, vec![job()]).await;
    assert_eq!(wakes.next().await, Wake::WORK);
    let other = Sqlite::open(fixture.path()).await.unwrap();
    // Opening wrote nothing; what is heard next is the insert of the other node.
    insert(&other, vec![job()]).await;
    assert_eq!(wakes.next().await, Wake::ALL);
    drop(other);
    // The writer looks at the file after each answer; by the second one an echo would be here.
    claim(&fixture.storage, 9).await;
    claim(&fixture.storage, 9).await;
    assert!(is_quiet(&mut wakes).await);
}
