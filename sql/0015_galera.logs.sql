-- oldest_program: 1
-- The right to change the partitions of log_chunk: whoever moved `until` on alone does it, until then or until he is done.
-- On Galera an ALTER stops every server for its time; schedulers that all come at once would stop them one after another.
CREATE TABLE IF NOT EXISTS log_turn (
	id TINYINT NOT NULL PRIMARY KEY,
	until DATETIME(6) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
INSERT IGNORE INTO log_turn (id, until) VALUES (1, '2000-01-01')
;;
