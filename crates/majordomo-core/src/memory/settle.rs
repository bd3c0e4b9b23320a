//! Renew and settle: the writes about a running attempt, each behind the fence.

use jiff::Timestamp;

use crate::ending::{self, Ending, EndingKind};
use crate::job::{Attempt, Details, record_log};
use crate::progress;
use crate::series::Span;
use crate::storage::{Beat, Renewed, Settled};
use crate::time;

use super::tables::Tables;

impl Tables {
    /// Takes in a sign of life.
    pub(super) fn renew(&mut self, beat: Beat, now: Timestamp) -> Renewed {
        let current = self
            .jobs
            .get(&beat.lease.job)
            .is_some_and(|details| beat.lease.is_current(&details.job));
        if !current {
            return Renewed::Lost;
        }
        let cancel_asked = self.update(beat.lease.job, |details| {
            if let Some(lease) = &mut details.job.lease {
                lease.expires = time::after(now, beat.extend);
            }
            report(details, beat.progress, now);
            record_log(&mut details.log, beat.log);
            if beat.checkpoint.is_some() {
                details.checkpoint = beat.checkpoint;
            }
            details.job.cancel_requested
        });
        if cancel_asked == Some(true) {
            Renewed::CancelAsked
        } else {
            Renewed::Kept
        }
    }

    /// Ends an attempt.
    pub(super) fn settle(&mut self, ending: Ending, now: Timestamp) -> Settled {
        let Some(details) = self.jobs.get(&ending.lease.job) else {
            return Settled::Stale;
        };
        if !ending.is_admitted(&details.job, now) {
            return match details
                .attempts
                .iter()
                .find(|attempt| ending.is_repeat_of(attempt))
            {
                Some(Attempt {
                    ending: Some(kind), ..
                }) => Settled::Applied(kind.state()),
                _ => Settled::Stale,
            };
        }
        let span = Span::of(&details.job);
        let id = ending.lease.job;
        let ended = self.update(id, |details| end(details, ending, now));
        let Some(kind) = ended else {
            return Settled::Stale;
        };
        self.close(id, Some((kind, span)), now);
        Settled::Applied(kind.state())
    }
}

fn end(details: &mut Details, ending: Ending, now: Timestamp) -> EndingKind {
    let kind = ending::apply(&mut details.job, &ending, now);
    if let Some(attempt) = details
        .attempts
        .iter_mut()
        .find(|attempt| attempt.token == ending.lease.token)
    {
        attempt.ended_at = Some(now);
        attempt.ending = Some(kind);
        attempt.error = ending.error;
    }
    report(details, ending.progress, now);
    record_log(&mut details.log, ending.log);
    if kind == EndingKind::Completed {
        details.output = ending.output;
        details.checkpoint = None;
    } else if ending.checkpoint.is_some() {
        details.checkpoint = ending.checkpoint;
    }
    kind
}

fn report(details: &mut Details, report: Option<progress::Progress>, now: Timestamp) {
    if let Some(mut report) = report {
        report.at = now;
        details.job.progress = Some(report.clone());
        progress::record(&mut details.history, report);
    }
}
