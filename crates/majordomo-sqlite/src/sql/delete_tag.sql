-- By the primary key.
DELETE FROM job_tags WHERE tag = ?1 AND job = ?2
