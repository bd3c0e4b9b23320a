-- By jobs_id.
UPDATE jobs SET lease_expires = ?2, progress = ?3, parts = ?4 WHERE id = ?1
