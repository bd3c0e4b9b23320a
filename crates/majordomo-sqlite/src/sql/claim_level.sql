-- One seek in jobs_claim: the next priority level below ?2 that has jobs.
SELECT priority FROM jobs INDEXED BY jobs_claim
WHERE state = 0 AND queue = ?1 AND priority < ?2
ORDER BY priority DESC LIMIT 1
