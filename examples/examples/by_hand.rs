//! A task without any macro of Majordomo: the trait is all there is.

use majordomo::{Client, Context, Memory, Result, Run, Task, TaskSpec, Worker};
use serde::{Deserialize, Serialize};

/// What to do: plain data with a name.
#[derive(Serialize, Deserialize)]
struct Add {
    left: i64,
    right: i64,
}

impl Task for Add {
    type Output = i64;
    const NAME: &'static str = "add";

    fn spec() -> TaskSpec {
        TaskSpec {
            queue: "sums".into(),
            max_attempts: 3,
            ..TaskSpec::default()
        }
    }
}

/// How to do it, with the application in hand.
struct App {
    offset: i64,
}

impl Run<App> for Add {
    async fn run(self, app: &App, _cx: &Context) -> Result<i64> {
        Ok(self.left + self.right + app.offset)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let jobs = Client::new(Memory::new());
    let mut worker = Worker::new(&jobs, App { offset: 100 })
        .handle::<Add>()
        .start()
        .await?;
    let sum = jobs.enqueue(Add { left: 1, right: 2 }).await?;
    println!("the sum is {}", sum.result().await?);
    worker.stop();
    worker.wait().await?;
    Ok(())
}
