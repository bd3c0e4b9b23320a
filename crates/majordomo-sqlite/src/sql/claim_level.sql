-- One seek in pending: the next priority level below ?2 that has jobs.
SELECT priority FROM pending
WHERE queue = ?1 AND priority < ?2
ORDER BY priority DESC LIMIT 1
