-- By the primary key. The row was read and added to in the same transaction.
INSERT OR REPLACE INTO statistics (
    minute, task, queue,
    completed, retried, snoozed, released, lost, dead, cancelled, expired,
    run_count, run_sum, run_min, run_max, wait_count, wait_sum, wait_min, wait_max
) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)
