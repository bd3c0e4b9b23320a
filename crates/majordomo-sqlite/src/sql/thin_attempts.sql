-- A range of the primary key: the second oldest goes, as `record_attempt` has it.
DELETE FROM attempts WHERE job = ?1 AND token = (
    SELECT token FROM attempts WHERE job = ?1 ORDER BY token LIMIT 1 OFFSET 1
)
