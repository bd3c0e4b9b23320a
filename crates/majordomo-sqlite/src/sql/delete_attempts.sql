-- A range of the primary key.
DELETE FROM attempts WHERE job = ?1
