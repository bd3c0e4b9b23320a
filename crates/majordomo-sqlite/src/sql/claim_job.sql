-- By the primary key of running.
INSERT INTO running (job, token, worker, started_at, lease_expires) VALUES (?1, ?2, ?3, ?4, ?5)
