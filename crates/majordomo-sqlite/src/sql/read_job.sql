-- By jobs_id. The columns are those of `row.rs`, in its order.
SELECT
    id, state, queue, task, priority, due, expires, version, max_attempts, token, charged, crashes, revision,
    created_at, changed_at, started_at, ended_at, lease_expires, cancel_requested, worker, ending,
    attempt_ended_at, failed, dead_reason, error, progress, tenant, actor, limit_key, schedule,
    tags, metadata, codec, extra, parts, payload, rowid
FROM jobs WHERE id = ?1
