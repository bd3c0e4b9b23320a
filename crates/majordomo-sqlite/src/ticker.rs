//! The time of one storage: its clock, kept from going back.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use majordomo_core::time::from_micros;
use majordomo_core::{Clock, Timestamp};

/// A clock shared by all connections of one storage. What it told once is never
/// undercut, whatever the clock below does.
#[derive(Debug)]
pub(crate) struct Ticker {
    clock: Arc<dyn Clock>,
    latest: AtomicI64,
}

impl Ticker {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            latest: AtomicI64::new(i64::MIN),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        let now = self.clock.now().as_microsecond();
        from_micros(now.max(self.latest.fetch_max(now, Ordering::SeqCst)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Debug)]
    struct Erratic(Mutex<Vec<i64>>);

    impl Clock for Erratic {
        fn now(&self) -> Timestamp {
            from_micros(self.0.lock().unwrap().pop().unwrap())
        }
    }

    #[test]
    fn time_stands_still_while_its_clock_goes_back() {
        let ticker = Ticker::new(Arc::new(Erratic(Mutex::new(vec![30, 5, 20]))));
        let told: Vec<i64> = (0..3).map(|_| ticker.now().as_microsecond()).collect();
        assert_eq!(told, [20, 20, 30]);
    }
}
