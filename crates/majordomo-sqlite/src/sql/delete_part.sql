-- By the primary key.
DELETE FROM job_parts WHERE job = ?1 AND kind = ?2
