-- A range of the primary key.
SELECT token, worker, started_at, ended_at, ending, error FROM attempts WHERE job = ?1 ORDER BY token
