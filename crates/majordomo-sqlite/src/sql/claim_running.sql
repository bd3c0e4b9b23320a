-- Walks running; asked only if a control limits them.
SELECT queue, task, limit_key, count(*) FROM running CROSS JOIN jobs ON jobs.rowid = running.job
GROUP BY queue, task, limit_key
