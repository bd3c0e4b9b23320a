-- Walks at most ?4 entries of jobs_claim from the present on, without reading jobs.
SELECT due, task FROM jobs INDEXED BY jobs_claim
WHERE state = 0 AND queue = ?1 AND priority = ?2 AND due > ?3
ORDER BY due LIMIT ?4
