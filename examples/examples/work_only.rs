//! A program that only works: it runs what `enqueue_only` has left in the same
//! file, until nothing is left.

use majordomo::prelude::*;
use majordomo::{Filter, Order, State};

/// The data of the task, as `enqueue_only` has it.
#[derive(Serialize, Deserialize, Task)]
#[task(name = "greet", output = String)]
struct Greet {
    name: String,
}

impl Run<()> for Greet {
    async fn run(self, _app: &(), _cx: &Context) -> Result<String> {
        Ok(format!("greeted {}", self.name))
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let file = std::env::args().nth(1).unwrap_or("greetings.db".into());
    let jobs = Client::new(Sqlite::open(file).await?);
    let waiting = Filter::all().task("greet").state(State::Pending);
    let left = jobs.find(&waiting, Order::default(), None, 1000).await?;
    let mut worker = Worker::new(&jobs, ()).handle::<Greet>().start().await?;
    for job in left.items {
        println!("{}", jobs.handle::<Greet>(job.id).result().await?);
    }
    worker.stop();
    worker.wait().await?;
    Ok(())
}
