-- By the primary key of holds, and jobs_id. A hold counts until its time has
-- passed; without a time, as long as its job is there.
SELECT job FROM holds
WHERE key = ?1
  AND CASE until WHEN 2 THEN expires > ?2 ELSE EXISTS (SELECT 1 FROM jobs WHERE jobs.id = holds.job) END
