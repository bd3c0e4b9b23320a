//! The test kit of Majordomo, for tests of tasks, of programs that enqueue, and
//! of storages.
//!
//! A test of a task, with no sleep, no thread, and nothing that two tests share:
//!
//! ```
//! # use majordomo_core::Task;
//! # use majordomo_engine::{Context, Result, Run};
//! # use majordomo_testkit::Kit;
//! # #[derive(serde::Serialize, serde::Deserialize)] struct Welcome { who: String }
//! # impl Task for Welcome { type Output = String; const NAME: &'static str = "welcome"; }
//! # impl Run<()> for Welcome {
//! #     async fn run(self, _: &(), _: &Context) -> Result<String> { Ok(format!("welcome, {}", self.who)) }
//! # }
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<()> {
//! let kit = Kit::new();
//! let worker = kit.test(kit.worker(()).handle::<Welcome>())?;
//! let job = kit.jobs.enqueue(Welcome { who: "ann".into() }).await?;
//! assert_eq!(worker.run_until_idle().await?.completed(), 1);
//! assert_eq!(job.result().await?, "welcome, ann");
//! # Ok(()) }
//! ```
//!
//! For tests of tasks and programs:
//!
//! - [`kit`]: a client whose clock the test holds, workers that step, jobs that
//!   run while they are enqueued, assertions;
//! - [`majordomo_engine::Gate`]: holds a real worker before it claims.
//!
//! For tests of storages, and of what is built on them:
//!
//! - [`subject`]: a storage under test, with its time in the test's hand;
//! - [`conformance!`] runs every [`conformance::Trial`] on a storage;
//! - [`state_machine!`] compares a storage with a [`model`] over random sequences;
//! - [`guarantees!`] tries what an engine promises on a storage;
//! - [`sabotage`] takes the fence out of a storage, to show that the suite sees it;
//! - [`faulty`] makes calls fail, come late, come twice, or never;
//! - [`simulation!`] runs nodes over a storage, and a seed decides what befalls them;

pub mod conformance;
pub mod faulty;
pub mod guarantees;
pub mod kit;
pub mod machine;
pub mod model;
pub mod sabotage;
pub mod samples;
pub mod simulation;
pub mod subject;

pub use conformance::{TRIALS, Trial};
pub use faulty::Faulty;
pub use kit::{Inline, Kit, Stuck, TestWorker};
pub use simulation::Simulation;
pub use subject::Subject;

#[doc(hidden)]
pub use majordomo_core;
