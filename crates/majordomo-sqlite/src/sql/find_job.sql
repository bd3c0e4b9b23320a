-- By jobs_id.
SELECT rowid FROM jobs WHERE id = ?1
