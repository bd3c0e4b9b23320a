-- By the number of the row, which was read in the same transaction: what an attempt has to say.
UPDATE jobs SET progress = ?2, parts = ?3 WHERE rowid = ?1
