-- The whole table, which is small.
SELECT kind, name, control FROM controls
