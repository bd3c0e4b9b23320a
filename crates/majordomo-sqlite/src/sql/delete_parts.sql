-- A range of the primary key.
DELETE FROM job_parts WHERE job = ?1
