-- Walks jobs_leases, which holds the running jobs only; asked only if a control limits them.
SELECT queue, task, limit_key, count(*) FROM jobs INDEXED BY jobs_leases
WHERE state = 1 GROUP BY queue, task, limit_key
