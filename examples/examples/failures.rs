//! What a task can say when it does not complete, and what becomes of its job.

use std::sync::atomic::{AtomicU32, Ordering};

use majordomo::prelude::*;

/// Charges a card, or says why it can't.
#[derive(Serialize, Deserialize, Task)]
#[task(attempts = 3, backoff = "10ms", output = String)]
enum Charge {
    /// Works at the second try.
    Flaky,
    /// The bank asks for a moment, which is nobody's fault.
    Busy,
    /// It will never work.
    Closed,
    /// Nobody wants it any more.
    Unwanted,
    /// A bug.
    Bug,
}

#[derive(Default)]
struct Bank {
    calls: AtomicU32,
}

impl Run<Bank> for Charge {
    async fn run(self, bank: &Bank, cx: &Context) -> Result<String> {
        let call = bank.calls.fetch_add(1, Ordering::SeqCst);
        match self {
            // Any error with `?` means: again, as the backoff says.
            Self::Flaky if cx.attempt() == 1 => Err(std::io::Error::other("connection reset"))?,
            Self::Flaky => Ok(format!("charged at attempt {}", cx.attempt())),
            Self::Busy if call == 0 => Err(TaskError::snooze(Duration::from_millis(10))),
            Self::Busy => Ok(format!("charged at attempt {}", cx.attempt())),
            Self::Closed => Err(TaskError::permanent("the account is closed")),
            Self::Unwanted => Err(TaskError::cancel("the order was withdrawn")),
            Self::Bug => panic!("index out of bounds"),
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    // Silence the panic's own message: it is kept with the job.
    std::panic::set_hook(Box::new(|_| {}));
    let charges = [
        ("flaky", Charge::Flaky),
        ("busy", Charge::Busy),
        ("closed", Charge::Closed),
        ("unwanted", Charge::Unwanted),
        ("bug", Charge::Bug),
    ];
    for (name, charge) in charges {
        let jobs = Client::new(Memory::new());
        let _worker = Worker::new(&jobs, Bank::default())
            .handle::<Charge>()
            .start()
            .await?;
        let handle = jobs.enqueue(charge).await?;
        let told = match handle.result().await {
            Ok(output) => output,
            Err(error) => error.to_string(),
        };
        println!(
            "{name}: {told}; {} runs",
            handle.details().await?.attempts.len()
        );
    }
    Ok(())
}
