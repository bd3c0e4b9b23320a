//! Where a worker's heartbeat runs: on a thread of its own, or, in a
//! simulation, on the runtime that everything else runs on.

use std::future::Future;
use std::pin::Pin;

use majordomo_core::{Error, ErrorKind, Result};

/// Where a worker's heartbeat and sweeper run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spawner {
    /// On a thread and a runtime of their own, so that a handler that blocks the
    /// user's runtime costs no lease. This is the default.
    #[default]
    Thread,
    /// As a task of the runtime that the worker is started on. For simulations,
    /// where one thread and one paused clock decide the order of everything.
    Task,
}

impl Spawner {
    /// Runs `future` to its end there.
    pub(crate) fn spawn(
        self,
        name: &str,
        future: Pin<Box<dyn Future<Output = ()> + Send>>,
    ) -> Result<()> {
        match self {
            Self::Thread => on_a_thread(name, future).map_err(|source| {
                let message = format!("cannot start the thread `{name}`");
                Error::new(ErrorKind::Unavailable, message).source(source)
            }),
            Self::Task => {
                tokio::spawn(future);
                Ok(())
            }
        }
    }
}

fn on_a_thread(
    name: &str,
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || runtime.block_on(future))?;
    Ok(())
}
