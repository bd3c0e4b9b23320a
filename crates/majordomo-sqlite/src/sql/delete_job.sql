-- By the primary key.
DELETE FROM jobs WHERE id = ?1
