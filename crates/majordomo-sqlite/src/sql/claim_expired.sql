-- Walks pending_expiry: due jobs of a queue past their expiry that a claim can't come by, because the
-- queue is paused or full. The columns are the first of `row.rs`, in its order.
SELECT
    jobs.id, jobs.state AS state, jobs.queue, jobs.task, jobs.priority, jobs.due, jobs.version, jobs.max_attempts,
    jobs.token AS token, jobs.charged, jobs.crashes, jobs.revision, jobs.created_at, jobs.changed_at AS changed_at,
    jobs.parts, jobs.payload, jobs.rowid, coalesce(
        jobs.worker, jobs.expires, jobs.error, jobs.progress, jobs.tenant, jobs.actor, jobs.limit_key,
        jobs.schedule, jobs.tags, jobs.metadata, jobs.codec, jobs.extra, jobs.dead_reason
    ) IS NOT NULL AS rest
FROM pending INDEXED BY pending_expiry CROSS JOIN jobs ON jobs.rowid = pending.job
WHERE pending.expires IS NOT NULL AND pending.expires <= ?2 AND pending.queue = ?1 AND pending.due <= ?2
  AND pending.task IN (SELECT value FROM json_each(?3))
LIMIT ?4
