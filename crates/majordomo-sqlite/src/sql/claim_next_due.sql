-- Walks at most ?4 entries of pending from the present on, without reading jobs.
SELECT due, task FROM pending
WHERE queue = ?1 AND priority = ?2 AND due > ?3
ORDER BY due LIMIT ?4
