-- By jobs_id, and the primary key of running. The columns are those of `row.rs`, in its order.
SELECT
    jobs.id, iif(running.job IS NULL, jobs.state, 1) AS state, jobs.queue, jobs.task, jobs.priority, jobs.due, jobs.version, jobs.max_attempts,
    coalesce(running.token, jobs.token) AS token, jobs.charged, jobs.crashes, jobs.revision, jobs.created_at, max(jobs.changed_at, coalesce(running.started_at, jobs.changed_at)) AS changed_at,
    jobs.parts, jobs.payload, jobs.rowid, 1 AS rest,
    jobs.expires, coalesce(running.started_at, jobs.started_at) AS started_at, jobs.ended_at, running.lease_expires AS lease_expires,
    coalesce(running.cancel_requested, 0) AS cancel_requested, coalesce(running.worker, jobs.worker) AS worker, iif(running.job IS NULL, jobs.ending, NULL) AS ending,
    iif(running.job IS NULL, jobs.attempt_ended_at, NULL) AS attempt_ended_at, iif(running.job IS NULL, jobs.failed, 0) AS failed, jobs.dead_reason, jobs.error, jobs.progress,
    jobs.tenant, jobs.actor, jobs.limit_key, jobs.schedule, jobs.tags, jobs.metadata, jobs.codec, jobs.extra
FROM jobs LEFT JOIN running ON running.job = jobs.rowid
WHERE jobs.id = ?1
