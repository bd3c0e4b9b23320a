//! How many, how long, how often: a worker's settings and what they may be.

use std::fmt;
use std::time::Duration;

use majordomo_core::{Error, Result, limits};

use crate::retention::Retention;

use super::queue::Queue;

/// The settings of a worker.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) name: String,
    pub(super) queues: Vec<Queue>,
    pub(super) concurrency: usize,
    /// How many jobs may be claimed ahead; as many as run at once, at least 16, unless given.
    pub(super) prefetch: Option<usize>,
    pub(super) lease: Duration,
    pub(super) heartbeat: Duration,
    pub(super) sweep: Duration,
    pub(super) prune: Duration,
    pub(super) retention: Retention,
    pub(super) poll: Duration,
    pub(super) timeout: Duration,
    pub(super) grace: Duration,
    pub(super) drain: Duration,
}

/// The longest any setting may be: longer is a mistake, such as milliseconds for seconds.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);
/// The most jobs at once: more is a mistake.
const MOST: usize = 100_000;
/// The shortest time between two of anything: shorter is a busy loop.
const SHORTEST: Duration = Duration::from_millis(1);

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: default_name(),
            queues: Vec::new(),
            concurrency: 64,
            prefetch: None,
            lease: Duration::from_secs(30),
            heartbeat: Duration::from_secs(10),
            sweep: Duration::from_secs(5),
            prune: Duration::from_secs(60),
            retention: Retention::default(),
            poll: Duration::from_secs(1),
            timeout: Duration::from_secs(300),
            grace: Duration::from_secs(5),
            drain: Duration::from_secs(30),
        }
    }
}

impl Settings {
    /// Refuses values out of range, naming setting, value and range.
    pub(super) fn check(&self) -> Result<()> {
        limits::check_name("worker name", &self.name)?;
        for (index, queue) in self.queues.iter().enumerate() {
            let name = &queue.name;
            limits::check_name("queue", name)?;
            if self.queues[..index].iter().any(|other| other.name == *name) {
                return Err(Error::invalid(format!(
                    "the worker's queue `{name}` is given twice"
                )));
            }
            let of = |setting: &str| format!("{setting} of queue {name}");
            within(&of("concurrency"), queue.concurrency.unwrap_or(1), 1, MOST)?;
            within(&of("weight"), queue.weight as usize, 1, 1000)?;
        }
        within("concurrency", self.concurrency, 1, MOST)?;
        within("prefetch", self.prefetch.unwrap_or(0), 0, MOST)?;
        let shortest_lease = Duration::from_millis(10);
        within_time("lease", self.lease, shortest_lease, LONGEST)?;
        within_time("heartbeat", self.heartbeat, SHORTEST, self.lease / 2)?;
        within_time("sweep", self.sweep, SHORTEST, LONGEST)?;
        within_time("prune_every", self.prune, SHORTEST, LONGEST)?;
        self.retention.check()?;
        within_time("poll", self.poll, SHORTEST, LONGEST)?;
        within_time("timeout", self.timeout, SHORTEST, LONGEST)?;
        within_time("grace", self.grace, Duration::ZERO, LONGEST)?;
        within_time("drain", self.drain, Duration::ZERO, LONGEST)
    }

    /// The time that an attempt may go on after it was told to stop by a shutdown.
    pub(super) fn shutdown_grace(&self) -> Duration {
        self.grace.min(Duration::from_secs(1))
    }
}

fn within(setting: &str, value: usize, least: usize, most: usize) -> Result<()> {
    out_of_range(setting, value, least, most, (least..=most).contains(&value))
}

fn within_time(setting: &str, value: Duration, least: Duration, most: Duration) -> Result<()> {
    let shown = |time: Duration| format!("{time:?}");
    out_of_range(
        setting,
        shown(value),
        shown(least),
        shown(most),
        (least..=most).contains(&value),
    )
}

fn out_of_range<V: fmt::Display>(
    setting: &str,
    value: V,
    least: V,
    most: V,
    inside: bool,
) -> Result<()> {
    if inside {
        return Ok(());
    }
    Err(
        Error::invalid(format!("the worker's `{setting}` is `{value}`"))
            .hint(format!("it may be from `{least}` to `{most}`")),
    )
}

/// The machine's name, if it can be told.
pub(super) fn host() -> Option<String> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .or_else(|| std::env::var("COMPUTERNAME").ok());
    let host: String = host?.chars().filter(|c| !c.is_control()).take(60).collect();
    let host = host.trim();
    (!host.is_empty()).then(|| host.to_owned())
}

/// Tells processes apart, also across machines and restarts.
fn default_name() -> String {
    format!(
        "{}-{}-{:06x}",
        host().unwrap_or_else(|| "host".to_owned()),
        std::process::id(),
        fastrand::u32(..1 << 24)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g59_every_bad_value_is_named_with_its_range() {
        Settings::default().check().unwrap();
        type Spoil = fn(&mut Settings);
        let table: [(Spoil, &str); 13] = [
            (
                |s| s.prefetch = Some(100_001),
                "`prefetch` is `100001` (hint: it may be from `0` to `100000`)",
            ),
            (
                |s| s.queues = vec![Queue::new("mail").concurrency(0)],
                "`concurrency of queue mail` is `0` (hint: it may be from `1` to `100000`)",
            ),
            (
                |s| s.queues = vec![Queue::new("mail").weight(1001)],
                "`weight of queue mail` is `1001` (hint: it may be from `1` to `1000`)",
            ),
            (
                |s| s.concurrency = 0,
                "`concurrency` is `0` (hint: it may be from `1` to `100000`)",
            ),
            (
                |s| s.lease = Duration::ZERO,
                "`lease` is `0ns` (hint: it may be from `10ms`",
            ),
            (
                |s| s.heartbeat = Duration::from_secs(16),
                "`heartbeat` is `16s` (hint: it may be from `1ms` to `15s`)",
            ),
            (|s| s.sweep = Duration::ZERO, "`sweep` is `0ns`"),
            (
                |s| s.prune = Duration::ZERO,
                "`prune_every` is `0ns` (hint: it may be from `1ms`",
            ),
            (
                |s| s.retention = Retention::every(Duration::ZERO),
                "the retention of `completed` jobs is `0ns`",
            ),
            (|s| s.poll = Duration::ZERO, "`poll` is `0ns`"),
            (
                |s| s.timeout = Duration::MAX,
                "`timeout` is `18446744073709551615.999999999s`",
            ),
            (
                |s| s.queues = vec!["a".into(), "a".into()],
                "queue `a` is given twice",
            ),
            (|s| s.name = "a\nb".into(), "worker name `a\\nb`"),
        ];
        for (spoil, expected) in table {
            let mut settings = Settings::default();
            spoil(&mut settings);
            let error = settings.check().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    /// What the docs of the worker say is what it does.
    #[test]
    fn g55_the_documented_defaults_are_the_values_in_the_code() {
        let docs = include_str!("mod.rs");
        let opening: String = docs
            .lines()
            .skip_while(|line| !line.starts_with("/// Defaults: "))
            .take_while(|line| *line != "///")
            .flat_map(|line| line.strip_prefix("/// "))
            .flat_map(|line| [line, " "])
            .collect();
        let settings = Settings::default();
        let seconds = |time: Duration| time.as_secs();
        let says = [
            format!("{} jobs at once;", settings.concurrency),
            format!("a lease of {} s renewed", seconds(settings.lease)),
            format!("renewed every {} s;", seconds(settings.heartbeat)),
            format!("a sweep every {} s;", seconds(settings.sweep)),
            format!("{} minutes for an attempt;", seconds(settings.timeout) / 60),
            format!("{} s to drain at shutdown;", seconds(settings.drain)),
        ];
        for says in says {
            assert!(opening.contains(&says), "`{says}` is not in: {opening}");
        }
        assert_eq!(settings.poll, Duration::from_secs(1));
        assert!(opening.contains("a look for work at least once a second;"));
        assert_eq!(settings.prune, Duration::from_secs(60));
        assert!(opening.contains("every minute a prune"));
        let at = format!("at once; {} by default,", settings.concurrency);
        assert!(docs.contains(&at), "`{at}` is not in the docs");
        let grace = format!("dropped; {} s by default", seconds(settings.grace));
        assert!(docs.contains(&grace), "`{grace}` is not in the docs");
    }

    #[test]
    fn two_workers_have_two_names() {
        assert_ne!(default_name(), default_name());
    }
}
