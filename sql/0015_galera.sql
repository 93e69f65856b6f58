-- oldest_program: 1
-- 0002 added times to the clusters that were there. Each server of a Galera cluster carries out an ALTER by itself, and
-- so by its own clock: they had different ones. A row that is written is the same everywhere.
UPDATE cluster SET created_at = created_at + INTERVAL 1 MICROSECOND, updated_at = updated_at + INTERVAL 1 MICROSECOND
;;
