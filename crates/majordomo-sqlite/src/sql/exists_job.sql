-- By the primary key.
SELECT 1 FROM jobs WHERE id = ?1
