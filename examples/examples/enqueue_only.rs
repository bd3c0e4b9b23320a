//! A program that only enqueues. It knows the task's data and no code of it, and
//! runs no worker: `work_only` does, in another process on the same file.

use majordomo::prelude::*;

/// The data of the task; in a larger program it is in a library of both sides.
#[derive(Serialize, Deserialize, Task)]
#[task(name = "greet", output = String)]
struct Greet {
    name: String,
}

#[tokio::main]
async fn main() -> Result<()> {
    let file = std::env::args().nth(1).unwrap_or("greetings.db".into());
    let jobs = Client::new(Sqlite::open(file).await?);
    for name in ["ann", "bo"] {
        jobs.enqueue(Greet { name: name.into() }).await?;
        println!("enqueued a greeting for {name}");
    }
    println!("workers here: {}", jobs.workers().await?.len());
    Ok(())
}
