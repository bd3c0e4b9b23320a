//! The span that every attempt runs in, so that each line its code logs says of
//! which job it is.

use std::sync::Arc;

use majordomo_core::Job;
use tracing::Span;

use crate::live::Live;

/// The target of the span, for filters: `majordomo_engine::job=off` saves its
/// cost, a microsecond or two for each attempt.
pub(crate) const TARGET: &str = "majordomo_engine::job";

/// Opens the span of an attempt. It is as important as an error, so that it is
/// there for whatever is logged at all; if nothing is, it costs nothing.
pub(crate) fn open(job: &Job, live: &Arc<Live>) -> Span {
    let open = || {
        tracing::error_span!(
            target: TARGET,
            "job",
            id = %job.id,
            task = job.task,
            queue = job.queue,
            attempt = job.charged + 1,
            worker = live.lease.worker,
        )
    };
    #[cfg(feature = "capture")]
    return crate::capture::hand_over(live, open);
    #[cfg(not(feature = "capture"))]
    open()
}
