//! The promises of the engine on a storage, each by the number it has in the
//! table of promises (`docs/guarantees.md`). Where the conformance suite asks
//! what a storage answers, these ask what becomes of jobs.
//!
//! What takes real processes, real signals and real disks is not here: the
//! crash rig of `cargo xtask` and the tests of each storage have that.

mod cancel;
mod crash;
mod fleet;
mod limit;
mod old;
mod outage;
mod retry;
mod shutdown;
mod strange;
mod tasks;
mod unclear;
mod whole;

use std::future::Future;
use std::pin::Pin;

use crate::subject::Subject;

/// A promise that can be tried on a storage.
#[derive(Clone, Copy)]
pub struct Guarantee {
    /// Its number and sentence.
    pub name: &'static str,
    /// Tries it on an empty storage; panics if it is not kept.
    pub body: fn(Subject) -> Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl std::fmt::Debug for Guarantee {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Runs the promise of this name on the storage that `make` makes.
///
/// # Panics
/// If the promise is not kept.
pub fn run(name: &str, make: impl AsyncFn() -> Subject) {
    let found = GUARANTEES.iter().find(|guarantee| guarantee.name == name);
    let guarantee = found.unwrap_or_else(|| panic!("there is no guarantee `{name}`"));
    if !guarantee.name.contains("panics") {
        return crate::conformance::runtime(|| {})
            .block_on(async { (guarantee.body)(make().await).await });
    }
    // Panics by the thousand are what it is about, so none is printed but its own.
    let outcome = crate::conformance::quiet_outcome(async { (guarantee.body)(make().await).await });
    outcome.unwrap_or_else(|message| panic!("{message}"));
}

/// Hands the list of promises to a macro.
#[doc(hidden)]
#[macro_export]
macro_rules! with_guarantees {
    ($then:ident $given:tt) => {
        $crate::$then! { $given
            unclear { r03_an_enqueue_whose_reply_was_lost_can_be_repeated }
            crash {
                r05_an_attempt_whose_lease_was_taken_over_can_change_nothing
                r09_a_job_that_kills_its_process_three_times_is_poison_and_its_neighbours_are_not
                r13_gx2_the_jobs_of_a_vanished_worker_run_again_after_lease_and_sweep
            }
            retry {
                g62_one_of_a_hundred_panics_and_the_others_complete_once
                r08_attempts_never_exceed_the_maximum_and_no_retry_starts_early
                r10_panics_are_contained_and_recorded
                r11_a_blocked_thread_stops_no_heartbeat_and_no_neighbour
                r11_a_blocking_attempt_keeps_its_slot_and_lease_until_it_ends
            }
            outage {
                g25_gx11_an_ending_is_written_in_the_end_and_the_handler_ran_once
                r06_a_worker_that_claims_its_own_lost_job_never_runs_it_twice_at_once
                r24_an_outage_beyond_the_lease_charges_no_job_of_a_living_worker
                r24_lost_replies_cost_no_attempt
                r24_gx12_a_shutdown_after_an_outage_still_writes_what_was_done
            }
            strange {
                r17_a_clock_that_jumps_either_way_loses_no_job
                r24_answers_that_come_late_cost_no_attempt
                r24_calls_that_are_carried_out_twice_lose_no_job
                r24_jobs_of_a_claim_that_nobody_heard_of_run_after_their_lease
                r24_a_claim_that_is_never_answered_costs_no_attempt
                r24_an_ending_and_a_heartbeat_that_are_never_answered_cost_no_attempt
                r24_a_worker_whose_storage_never_answers_still_stops
            }
            shutdown {
                r12_g70_gx12_a_drain_lets_jobs_finish_and_gives_the_others_back
                r12_g70_a_second_signal_ends_at_once
            }
            limit {
                r18_an_expired_job_never_starts
                r22_limits_are_typed_errors_before_any_write
                r22_progress_is_written_a_few_times_a_second
                r23_no_more_is_claimed_than_can_start
            }
            old {
                r27_pruning_loses_no_job_while_jobs_are_enqueued_and_run
                r27_claims_come_through_in_the_middle_of_a_prune
                r27_g113_each_finished_job_is_kept_as_long_as_it_its_task_or_its_state_says
                r27_pruners_at_once_that_fail_or_die_remove_each_old_job_once
                r27_what_a_pruned_job_held_and_counted_stays
                r27_a_worker_prunes_by_itself_and_goes_on_after_failures
            }
            whole {
                g73_a_job_is_enqueued_run_and_completed
                gx13_a_retry_without_a_wait_waits_all_the_same
                g30_a_claim_that_is_dropped_at_any_moment_loses_no_job
                g81_after_any_attempt_a_job_is_in_a_legal_state
            }
            cancel { r19_a_cancel_has_one_winner_and_both_sides_are_told }
            fleet {
                r20_a_worker_leaves_unknown_tasks_to_others
                r21_what_does_not_decode_is_parked_with_its_bytes
            }
        }
    };
}

/// Runs every promise on a storage, each as a `#[test]` in a module of this name.
/// The second argument is an `async fn() -> Subject` that makes an empty storage
/// on a manual clock.
#[macro_export]
macro_rules! guarantees {
    ($name:ident, $make:expr) => {
        $crate::with_guarantees! { guarantee_tests ($name, $make) }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! guarantee_tests {
    (($name:ident, $make:expr) $($part:ident { $($guarantee:ident)* })*) => {
        mod $name {
            #[allow(unused_imports, reason = "the maker may be named by its path")]
            use super::*;
            $($(
                #[test]
                fn $guarantee() {
                    $crate::guarantees::run(stringify!($guarantee), $make);
                }
            )*)*
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! guarantee_table {
    (() $($part:ident { $($guarantee:ident)* })*) => {
        &[$($(
            Guarantee {
                name: stringify!($guarantee),
                body: |subject| Box::pin($part::$guarantee(subject)),
            },
        )*)*]
    };
}

/// Every promise.
pub const GUARANTEES: &[Guarantee] = crate::with_guarantees!(guarantee_table());
