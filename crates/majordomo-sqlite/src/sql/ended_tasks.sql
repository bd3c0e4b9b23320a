task IN (
    -- The tasks that have ended jobs, each by one step in jobs_prune, but for those named.
    WITH RECURSIVE ended (name) AS (
        SELECT min(task) FROM jobs INDEXED BY jobs_prune
            WHERE ended_at IS NOT NULL AND retention IS NULL
        UNION ALL
        SELECT (SELECT min(task) FROM jobs INDEXED BY jobs_prune
            WHERE ended_at IS NOT NULL AND retention IS NULL AND task > name)
        FROM ended WHERE name IS NOT NULL
    )
    SELECT name FROM ended WHERE name IS NOT NULL
        AND name NOT IN (SELECT value FROM json_each(?))
)
