-- By the primary key.
DELETE FROM documents WHERE key = ?1
