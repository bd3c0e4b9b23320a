-- By the primary key of running.
UPDATE running SET lease_expires = ?2 WHERE job = ?1
