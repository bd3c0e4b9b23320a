//! Values that no worker or client can work with: each is refused at the start,
//! in words that name setting, value and range.

use std::time::Duration;

use majordomo_core::{Memory, Task};
use majordomo_engine::{Client, Context, Queue, Result, Run, Worker};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Nothing;

impl Task for Nothing {
    type Output = ();
    const NAME: &'static str = "nothing";
}

impl Run<()> for Nothing {
    async fn run(self, _: &(), _: &Context) -> Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn g59_each_bad_setting_is_refused_at_the_start_in_exactly_these_words() {
    type Spoil = fn(Worker<()>) -> Worker<()>;
    let opening = "the worker's `";
    let table: [(Spoil, &str); 8] = [
        (
            |worker| worker.concurrency(0),
            "concurrency` is `0` (hint: it may be from `1` to `100000`)",
        ),
        (
            |worker| worker.concurrency(100_001),
            "concurrency` is `100001` (hint: it may be from `1` to `100000`)",
        ),
        (
            |worker| worker.prefetch(100_001),
            "prefetch` is `100001` (hint: it may be from `0` to `100000`)",
        ),
        (
            |worker| worker.poll(Duration::ZERO),
            "poll` is `0ns` (hint: it may be from `1ms` to `31622400s`)",
        ),
        (
            |worker| worker.sweep(Duration::ZERO),
            "sweep` is `0ns` (hint: it may be from `1ms` to `31622400s`)",
        ),
        (
            |worker| worker.heartbeat(Duration::from_secs(20)),
            "heartbeat` is `20s` (hint: it may be from `1ms` to `15s`)",
        ),
        (
            |worker| worker.queue(Queue::new("mail").concurrency(0)),
            "concurrency of queue mail` is `0` (hint: it may be from `1` to `100000`)",
        ),
        (
            |worker| worker.queue(Queue::new("mail").weight(0)),
            "weight of queue mail` is `0` (hint: it may be from `1` to `1000`)",
        ),
    ];
    for (spoil, expected) in table {
        let jobs = Client::new(Memory::new());
        let worker = Worker::new(&jobs, ()).handle::<Nothing>();
        let error = spoil(worker).start().await.unwrap_err().to_string();
        assert_eq!(error, format!("{opening}{expected}"));
        assert!(jobs.workers().await.unwrap().is_empty(), "nothing started");
    }
}
