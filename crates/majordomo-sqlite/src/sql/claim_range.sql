-- A range of the primary key of pending: all jobs between two of a level, both included, begin to run.
INSERT OR ROLLBACK INTO running (job, token, worker, started_at, lease_expires)
SELECT job, token + 1, ?7, ?8, ?9 FROM pending
WHERE queue = ?1 AND priority = ?2 AND (due, id) >= (?3, ?4) AND (due, id) <= (?5, ?6)
