-- By the primary key.
INSERT OR REPLACE INTO attempts (job, token, worker, started_at, ended_at, ending, error)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
