-- By jobs_id.
DELETE FROM jobs WHERE id = ?1
