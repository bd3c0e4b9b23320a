//! Cancels that meet claims and completions.

use std::sync::Arc;

use majordomo_core::{Claim, Ending, Renewed, Settled, State, Task, Verdict};
use majordomo_engine::Cancelled;

use super::tasks::{Act, client, details};
use crate::samples::{LEASE, beat};
use crate::subject::Subject;

/// Each job is cancelled while it is being claimed and completed. Either the
/// cancel came first and it never starts, or it hears of it, or it was over;
/// what both sides were told is what is stored.
pub(super) async fn r19_a_cancel_has_one_winner_and_both_sides_are_told(subject: Subject) {
    const RACES: usize = 1000;
    let jobs = client(&subject.storage);
    let node = subject.node().await;
    let mut seen = [0_usize; 3];
    for number in 0..RACES {
        let id = jobs
            .enqueue(Act::Return(number as u64))
            .await
            .expect("a job is stored")
            .id();
        let runner = {
            let node = Arc::clone(&node);
            tokio::spawn(async move {
                let claim = Claim {
                    worker: "runner".to_owned(),
                    queues: vec![("default".to_owned(), 1)],
                    tasks: vec![Act::NAME.to_owned()],
                    lease: LEASE,
                    suspects: 1,
                };
                let (_, lease) = node.claim(claim).await.expect("a claim").jobs.pop()?;
                // Half of them look whether they should go on.
                let asked = number % 2 == 0
                    && node.renew(vec![beat(&lease)]).await.expect("a beat")
                        == [Renewed::CancelAsked];
                let verdict = if asked {
                    Verdict::Cancelled
                } else {
                    Verdict::Completed
                };
                let settled = node
                    .settle(vec![Ending::new(lease, verdict)], None)
                    .await
                    .expect("an ending")
                    .0;
                Some((asked, settled))
            })
        };
        let told = jobs.cancel(id).await.expect("an answer");
        let run = runner.await.expect("the runner ends");
        let stored = details(&*subject.storage, id).await.job.state;
        match (told, run) {
            (Cancelled::Done, None) => {
                assert_eq!(stored, State::Cancelled);
                seen[0] += 1;
            }
            (Cancelled::Requested, Some((asked, settled))) => {
                let expected = if asked {
                    State::Cancelled
                } else {
                    State::Completed
                };
                assert_eq!(
                    (settled, stored),
                    (vec![Settled::Applied(expected)], expected)
                );
                seen[1] += 1;
            }
            (Cancelled::AlreadyFinished(state), Some((false, settled))) => {
                assert_eq!((state, stored), (State::Completed, State::Completed));
                assert_eq!(settled, [Settled::Applied(State::Completed)]);
                seen[2] += 1;
            }
            contradiction => {
                panic!("the two sides were told {contradiction:?}, and the job is {stored}")
            }
        }
    }
    assert_eq!(seen.iter().sum::<usize>(), RACES);
}
