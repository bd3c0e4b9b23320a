-- By jobs_id: what the rules want to know about a job that completes. The last but one column says
-- whether the rest of the row is sound and names no holds.
SELECT
    state, token, charged, crashes, revision, cancel_requested, due, started_at, task, queue, parts,
    (extra IS NULL OR (json_valid(extra) AND instr(extra, '"holds"') = 0))
    AND (tags IS NULL OR json_valid(tags))
    AND (metadata IS NULL OR json_valid(metadata))
    AND (progress IS NULL OR json_valid(progress))
    AND (error IS NULL OR json_valid(error)),
    rowid
FROM jobs WHERE id = ?1
