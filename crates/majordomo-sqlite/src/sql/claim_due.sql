-- Walks jobs_claim within one priority level, never past the present; what can't
-- be claimed is passed over in the index. The columns are those of `row.rs`, in its order.
SELECT
    id, state, queue, task, priority, due, expires, version, max_attempts, token, charged, crashes, revision,
    created_at, changed_at, started_at, ended_at, lease_expires, cancel_requested, worker, ending,
    attempt_ended_at, failed, dead_reason, error, progress, tenant, actor, limit_key, schedule,
    tags, metadata, codec, extra, parts, payload, rowid
FROM jobs INDEXED BY jobs_claim
WHERE state = 0 AND queue = ?1 AND priority = ?2 AND due <= ?3
  AND task IN (SELECT value FROM json_each(?4))
  AND (expires <= ?3 OR (
      task NOT IN (SELECT value FROM json_each(?5))
      AND (limit_key IS NULL OR limit_key NOT IN (SELECT value FROM json_each(?6)))
  ))
ORDER BY due, id
