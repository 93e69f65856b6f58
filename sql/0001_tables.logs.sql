-- Output, in a database of its own that may live on another server. No transaction spans it and
-- the task tables: a task is settled after its last chunk is stored. Statements end at a line of
-- two semicolons.

-- The state of one attempt's log: about 60 bytes, written with each chunk.
CREATE TABLE log_head (
	task_id BINARY(12) NOT NULL,
	attempt SMALLINT UNSIGNED NOT NULL,
	day INT NOT NULL,                    -- when the attempt began: days since 1970
	next INT NOT NULL DEFAULT 0,         -- number of the next chunk
	bytes BIGINT NOT NULL DEFAULT 0,     -- end of the last chunk in what the job wrote
	`lines` BIGINT NOT NULL DEFAULT 0,
	kept BIGINT NOT NULL DEFAULT 0,      -- bytes that are stored
	closed TINYINT NOT NULL DEFAULT 0,
	PRIMARY KEY (task_id, attempt),
	KEY day (day)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
-- A chunk: one gzip member of the plain bytes. Partitions by day are made a week ahead by the
-- scheduler and dropped to free the disk.
CREATE TABLE log_chunk (
	day INT NOT NULL,
	task_id BINARY(12) NOT NULL,
	attempt SMALLINT UNSIGNED NOT NULL,
	number INT NOT NULL,
	first_byte BIGINT NOT NULL,
	first_line BIGINT NOT NULL,
	line_count INT NOT NULL,
	bytes INT NOT NULL,                  -- plain
	first_at DATETIME(6) NOT NULL,
	pieces BLOB NOT NULL,                -- stream, length and time of each (lib/store/log_store.c)
	body MEDIUMBLOB NOT NULL,
	PRIMARY KEY (day, task_id, attempt, number)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
PARTITION BY RANGE COLUMNS (day) (PARTITION pmax VALUES LESS THAN (MAXVALUE))
;;
-- Late, doubled, skipped chunks and those of a closed log are refused.
CREATE TRIGGER log_chunk_before_insert BEFORE INSERT ON log_chunk FOR EACH ROW
BEGIN
	UPDATE log_head SET next = next + 1, bytes = NEW.first_byte + NEW.bytes,
			`lines` = NEW.first_line + NEW.line_count, kept = kept + NEW.bytes
		WHERE task_id = NEW.task_id AND attempt = NEW.attempt AND closed = 0
			AND next = NEW.number AND bytes <= NEW.first_byte;
	IF ROW_COUNT() <> 1 THEN
		SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31004,
			MESSAGE_TEXT = 'this chunk is not the next one of an open log';
	END IF;
END
