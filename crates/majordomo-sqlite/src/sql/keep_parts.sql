-- By the number of the row, which was read in the same transaction.
UPDATE jobs SET parts = ?2 WHERE rowid = ?1
