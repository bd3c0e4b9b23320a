-- What the pruner looks for.
--
-- A job's own retention in microseconds, out of `extra`: nothing has to write it. What is no JSON
-- has none; the job is shown as broken by those who read it.
ALTER TABLE jobs ADD COLUMN retention INTEGER
    GENERATED ALWAYS AS (CASE WHEN json_valid(extra) THEN extra ->> '$.retention' END) VIRTUAL;

-- Finished jobs with a retention of their own, by when it has passed.
CREATE INDEX jobs_retention ON jobs (ended_at + retention)
    WHERE ended_at IS NOT NULL AND retention IS NOT NULL;
-- All others, by task first: those that are kept longer stand in nobody's way.
CREATE INDEX jobs_prune ON jobs (task, state, ended_at)
    WHERE ended_at IS NOT NULL AND retention IS NULL;
