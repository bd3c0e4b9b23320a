//! States, endings, instants and counters as the numbers that are stored.

use majordomo_core::{EndingKind, State, Timestamp, time};

/// The code of a state. Indexes and statements name these numbers.
pub(crate) fn state_code(state: State) -> i64 {
    match state {
        State::Pending => 0,
        State::Running => 1,
        State::Completed => 2,
        State::Dead => 3,
        State::Cancelled => 4,
        State::Expired => 5,
    }
}

/// What `jobs.state` says of a job in this state: that it is not finished is
/// all there is said of one that runs, because `running` says the rest.
pub(crate) fn stored_state(state: State) -> i64 {
    match state {
        State::Running => state_code(State::Pending),
        other => state_code(other),
    }
}

pub(crate) fn state_of(code: i64) -> Option<State> {
    State::ALL
        .into_iter()
        .find(|state| state_code(*state) == code)
}

/// The code of an ending.
pub(crate) fn ending_code(kind: EndingKind) -> i64 {
    match kind {
        EndingKind::Completed => 0,
        EndingKind::Retried => 1,
        EndingKind::Snoozed => 2,
        EndingKind::Released => 3,
        EndingKind::Lost => 4,
        EndingKind::Dead => 5,
        EndingKind::Cancelled => 6,
        EndingKind::Expired => 7,
    }
}

pub(crate) fn ending_of(code: i64) -> Option<EndingKind> {
    EndingKind::ALL
        .into_iter()
        .find(|kind| ending_code(*kind) == code)
}

/// An instant as it is stored.
pub(crate) fn micros(instant: Timestamp) -> i64 {
    instant.as_microsecond()
}

/// A stored instant, read back. One out of range, which nothing writes, is kept
/// within it as the core has it; asked only then, because rows are full of instants.
pub(crate) fn instant(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or_else(|_| time::from_micros(micros))
}

/// A counter as it is stored. None grows to the end of an `i64`, but for sums,
/// which stop there as the contract has them stop at the end of a `u64`.
pub(crate) fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
