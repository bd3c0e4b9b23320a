-- A range of the primary key: attempts of one claim that have ended.
DELETE FROM running WHERE job BETWEEN ?1 AND ?2 AND token = ?3 AND cancel_requested = 0
