-- By the primary key.
SELECT value FROM job_parts WHERE job = ?1 AND kind = ?2
