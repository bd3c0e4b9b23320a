-- By the number of the row, which was read in the same transaction: what few pending jobs have. The
-- columns are the last of `row.rs`, in its order.
SELECT
    jobs.expires, jobs.started_at, jobs.ended_at, NULL AS lease_expires, 0 AS cancel_requested, jobs.worker,
    jobs.ending, jobs.attempt_ended_at, jobs.failed, jobs.dead_reason, jobs.error, jobs.progress, jobs.tenant,
    jobs.actor, jobs.limit_key, jobs.schedule, jobs.tags, jobs.metadata, jobs.codec, jobs.extra
FROM jobs WHERE rowid = ?1
