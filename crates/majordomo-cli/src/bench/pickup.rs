//! How long an idle worker takes to begin a job: from the enqueue call to the
//! first line of the handler, one job at a time.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use majordomo::Client;
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::tasks::{self, App, Tell};
use crate::exit::Problem;

/// Between two jobs.
const PAUSE: Duration = Duration::from_millis(50);
/// A job that has not begun by then never will.
const STALL: Duration = Duration::from_secs(60);

/// Milliseconds.
pub(super) struct Pickup {
    pub(super) p50: f64,
    pub(super) p99: f64,
}

pub(super) async fn measure(
    client: &Client,
    samples: u32,
    concurrency: usize,
) -> Result<Pickup, Problem> {
    let (began, mut beginnings) = unbounded_channel();
    let app = Arc::new(App {
        began,
        work: None,
        worked: AtomicU64::new(0),
    });
    let mut running = tasks::worker(client, &app, concurrency).start().await?;
    let mut pause = interval(PAUSE);
    pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut waits = Vec::new();
    for number in 0..samples {
        pause.tick().await;
        let asked = Instant::now();
        client.enqueue(Tell { number }).await?;
        match timeout(STALL, beginnings.recv()).await {
            Ok(Some((begun, at))) if begun == number => waits.push(at.duration_since(asked)),
            _ => {
                return Err(Problem::failed(format!(
                    "job {number} did not begin within {} s",
                    STALL.as_secs()
                )));
            }
        }
    }
    running.stop();
    running.wait().await?;
    waits.sort_unstable();
    Ok(Pickup {
        p50: percentile(&waits, 50),
        p99: percentile(&waits, 99),
    })
}

/// The smallest value that so many percent are not above, in milliseconds.
fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    let value = sorted.get(rank - 1).copied().unwrap_or_default();
    value.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let sorted: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentile(&sorted, 50), 100.0);
        assert_eq!(percentile(&sorted, 99), 198.0);
        assert_eq!(percentile(&sorted[..1], 99), 1.0);
    }
}
