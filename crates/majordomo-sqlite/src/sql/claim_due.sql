-- Walks pending within one priority level, never past the present; what can't be claimed is passed
-- over there. The columns are the first of `row.rs`, in its order.
SELECT
    jobs.id, jobs.state AS state, jobs.queue, jobs.task, jobs.priority, jobs.due, jobs.version, jobs.max_attempts,
    jobs.token AS token, jobs.charged, jobs.crashes, jobs.revision, jobs.created_at, jobs.changed_at AS changed_at,
    jobs.parts, jobs.payload, jobs.rowid, coalesce(
        jobs.worker, jobs.expires, jobs.error, jobs.progress, jobs.tenant, jobs.actor, jobs.limit_key,
        jobs.schedule, jobs.tags, jobs.metadata, jobs.codec, jobs.extra, jobs.dead_reason
    ) IS NOT NULL AS rest
FROM pending CROSS JOIN jobs ON jobs.rowid = pending.job
WHERE pending.queue = ?1 AND pending.priority = ?2 AND pending.due <= ?3
  AND pending.task IN (SELECT value FROM json_each(?4))
  AND (?7 OR pending.expires <= ?3 OR (
      pending.task NOT IN (SELECT value FROM json_each(?5))
      AND (pending.limit_key IS NULL OR pending.limit_key NOT IN (SELECT value FROM json_each(?6)))
  ))
ORDER BY pending.due, pending.id
