-- By the primary key.
DELETE FROM running WHERE job = ?1
