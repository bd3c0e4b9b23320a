-- Walks jobs_expiry: due jobs of a queue past their expiry that a claim can't come by, because the
-- queue is paused or full. The columns are those of `row.rs`, in its order.
SELECT
    id, state, queue, task, priority, due, expires, version, max_attempts, token, charged, crashes, revision,
    created_at, changed_at, started_at, ended_at, lease_expires, cancel_requested, worker, ending,
    attempt_ended_at, failed, dead_reason, error, progress, tenant, actor, limit_key, schedule,
    tags, metadata, codec, extra, parts, payload, rowid
FROM jobs INDEXED BY jobs_expiry
WHERE state = 0 AND expires IS NOT NULL AND expires <= ?2 AND queue = ?1 AND due <= ?2
  AND task IN (SELECT value FROM json_each(?3))
LIMIT ?4
