-- By the numbers of the rows: these jobs wait to be claimed.
INSERT OR ROLLBACK INTO pending (queue, priority, due, id, job, token, task, limit_key, expires)
SELECT queue, priority, due, id, rowid, token, task, limit_key, expires FROM jobs WHERE rowid BETWEEN ?1 AND ?2
