//! Replies that never came.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use majordomo_core::JobId;

use super::tasks::{Act, all_jobs, client};
use crate::faulty::{Chance, Faulty, Verbs};
use crate::subject::Subject;

/// 10,000 jobs by 50 callers, where one call in five never arrives and one
/// reply in five never comes back: 10,000 ids, 10,000 rows.
pub(super) async fn r03_an_enqueue_whose_reply_was_lost_can_be_repeated(subject: Subject) {
    const CALLERS: usize = 50;
    const EACH: usize = 200;
    let faulty = Faulty::new(Arc::clone(&subject.storage), 3);
    let faulty = Arc::new(faulty.with(
        Verbs::Insert,
        Chance {
            refused: 0.2,
            lost: 0.2,
        },
    ));
    let jobs = client(&(Arc::clone(&faulty) as Arc<dyn majordomo_core::Storage>))
        .patience(Duration::from_secs(600));
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let jobs = jobs.clone();
            tokio::spawn(async move {
                let mut ids = Vec::with_capacity(EACH);
                for number in 0..EACH {
                    let handle = jobs
                        .enqueue(Act::Return(number as u64))
                        .await
                        .expect("it is stored in the end");
                    assert!(handle.is_new());
                    ids.push(handle.id());
                }
                ids
            })
        })
        .collect();
    let mut ids = BTreeSet::new();
    for caller in callers {
        ids.extend(caller.await.expect("a caller ends"));
    }
    let stored: Vec<JobId> = all_jobs(&*subject.storage)
        .await
        .into_iter()
        .map(|job| job.id)
        .collect();
    assert_eq!(ids.len(), CALLERS * EACH);
    assert_eq!(
        stored,
        Vec::from_iter(ids),
        "what is stored is what was acknowledged, once each"
    );
    assert!(
        faulty.calls(Verbs::Insert).lost > 500,
        "the storage was not faulty enough to show anything"
    );
}
