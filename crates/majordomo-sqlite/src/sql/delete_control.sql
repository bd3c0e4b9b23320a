-- By the primary key.
DELETE FROM controls WHERE kind = ?1 AND name = ?2
