//! A trial: one sentence about what every storage does, and the code that
//! finds out. Each runs on a runtime of its own.

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::pin::Pin;
use std::sync::Once;

use crate::subject::Subject;

/// Every trial, in the order of the list.
pub const TRIALS: &[Trial] = crate::with_trials!(trial_table());

/// One trial of the suite.
#[derive(Clone, Copy)]
pub struct Trial {
    /// The part of the contract it belongs to, such as `claims`.
    pub part: &'static str,
    /// The sentence, with underscores.
    pub name: &'static str,
    /// Tries it on an empty storage; panics if the sentence does not hold.
    pub body: fn(Subject) -> Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Trial {
    /// Runs it on the storage that `make` makes, on a runtime of several
    /// threads that ends with it.
    ///
    /// # Panics
    /// If the sentence does not hold.
    pub fn run(&self, make: impl AsyncFn() -> Subject) {
        runtime(|| {}).block_on(async { (self.body)(make().await).await });
    }

    /// Runs it as [`Trial::run`] does, without a word on the terminal.
    ///
    /// # Errors
    /// The message of the assertion that failed.
    pub fn outcome(&self, make: impl AsyncFn() -> Subject) -> Result<(), String> {
        quiet_outcome(async { (self.body)(make().await).await })
    }
}

/// Runs `trying` on a runtime of its own, without a word on the terminal about
/// any panic in it.
pub(crate) fn quiet_outcome<T>(trying: impl Future<Output = T>) -> Result<T, String> {
    quietly(|| runtime(|| QUIET.set(true)).block_on(trying))
}

impl fmt::Debug for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.part, self.name)
    }
}

/// The trial of this name.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn named(name: &str) -> &'static Trial {
    TRIALS
        .iter()
        .find(|trial| trial.name == name)
        .unwrap_or_else(|| panic!("there is no trial `{name}`"))
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs `trying` and gives back the message of its panic, which is not printed.
pub(crate) fn quietly<T>(trying: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                before(panic);
            }
        }));
    });
    let before = QUIET.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(trying));
    QUIET.set(before);
    outcome.map_err(|panic| message_of(panic.as_ref()))
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without words".to_owned())
}

/// A runtime whose threads each begin with `started`.
pub(crate) fn runtime(started: fn()) -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(3)
        .on_thread_start(started)
        .enable_all()
        .build()
        .expect("threads can be started")
}

/// Runs every trial on a storage, each as a `#[test]` in a module of this name.
///
/// The second argument is an `async fn() -> Subject` that makes an empty
/// storage. Trials are listed with [`TRIALS`].
///
/// ```
/// use std::sync::Arc;
///
/// use majordomo_core::{ManualClock, Memory};
/// use majordomo_testkit::Subject;
///
/// async fn make() -> Subject {
///     let clock = ManualClock::default();
///     Subject::manual(clock.clone(), Arc::new(Memory::with_clock(Arc::new(clock))))
/// }
///
/// majordomo_testkit::conformance!(memory, make);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! conformance {
    ($name:ident, $make:expr) => {
        $crate::with_trials! { trial_tests ($name, $make) }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! trial_tests {
    (($name:ident, $make:expr) $($part:ident { $($trial:ident)* })*) => {
        mod $name {
            #[allow(unused_imports, reason = "the maker may be named by its path")]
            use super::*;
            $($(
                #[test]
                fn $trial() {
                    $crate::conformance::named(stringify!($trial)).run($make);
                }
            )*)*
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! trial_table {
    (() $($part:ident { $($trial:ident)* })*) => {
        &[$($(
            $crate::conformance::Trial {
                part: stringify!($part),
                name: stringify!($trial),
                body: |subject| Box::pin(super::$part::$trial(subject)),
            },
        )*)*]
    };
}
