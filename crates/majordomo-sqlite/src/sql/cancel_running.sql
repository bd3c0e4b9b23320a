-- By the primary key.
UPDATE running SET cancel_requested = ?2 WHERE job = ?1
