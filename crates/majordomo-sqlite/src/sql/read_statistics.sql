-- By the primary key.
SELECT
    completed, retried, snoozed, released, lost, dead, cancelled, expired,
    run_count, run_sum, run_min, run_max, wait_count, wait_sum, wait_min, wait_max
FROM statistics WHERE minute = ?1 AND task = ?2 AND queue = ?3
