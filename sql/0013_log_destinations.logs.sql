-- oldest_program: 1
-- Output that goes on to receivers of a project: where to, and how far each log was sent. Both stand beside
-- the logs, so that a log and its cursors begin in one transaction.

CREATE TABLE IF NOT EXISTS log_destination (
	id BINARY(12) NOT NULL PRIMARY KEY,
	project_id BINARY(12) NOT NULL,
	name VARCHAR(255) NOT NULL DEFAULT '',
	address VARCHAR(2048) NOT NULL,               -- http, https, udp, tcp, tls
	template VARCHAR(20) CHARACTER SET ascii NOT NULL, -- how a batch is written (lib/model/log_destination.h)
	tenant VARCHAR(255) NOT NULL DEFAULT '',      -- X-Scope-OrgID
	sealed VARBINARY(4200) NULL,                  -- Authorization, with the key of [secrets] key_file
	ca MEDIUMTEXT CHARACTER SET ascii NULL,       -- whom its TLS certificate must come from, PEM; NULL = [courier] ca_file
	paused_at DATETIME(6) NULL,
	created_at DATETIME(6) NOT NULL DEFAULT UTC_TIMESTAMP(6),
	updated_at DATETIME(6) NOT NULL DEFAULT UTC_TIMESTAMP(6),
	-- by couriers
	holder BINARY(12) NULL,                       -- who sends, until held_until
	held_until DATETIME(6) NULL,
	failures INT NOT NULL DEFAULT 0,              -- in a row
	failing_at DATETIME(6) NULL,                  -- since when
	open_at DATETIME(6) NULL,                     -- it is not called before
	error VARCHAR(500) NOT NULL DEFAULT '',       -- of the last failure
	sent_at DATETIME(6) NULL,
	sent_lines BIGINT NOT NULL DEFAULT 0,
	refused_lines BIGINT NOT NULL DEFAULT 0,      -- that it would not have
	lost_logs BIGINT NOT NULL DEFAULT 0,          -- dropped as too old before they were sent to their end
	lost_bytes BIGINT NOT NULL DEFAULT 0,
	lost_at DATETIME(6) NULL,
	ping_at DATETIME(6) NULL,                     -- a test message is asked for
	pinged_at DATETIME(6) NULL,                   -- and was answered
	ping_error VARCHAR(500) NOT NULL DEFAULT '',
	KEY project_id (project_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
-- How far the log of an attempt was sent to a destination. Made with log_head, deleted when all is sent: what
-- waits is what is here, in whatever order it was committed.
CREATE TABLE IF NOT EXISTS log_cursor (
	destination_id BINARY(12) NOT NULL,
	task_id BINARY(12) NOT NULL,
	attempt SMALLINT UNSIGNED NOT NULL,
	day INT NOT NULL,
	chunk INT NOT NULL DEFAULT 0,                 -- to read from
	seen INT NOT NULL DEFAULT 0,                  -- log_head.next when it was last read to its end
	out_byte BIGINT NOT NULL DEFAULT 0,           -- stdout was sent up to here, counted in what the job wrote
	err_byte BIGINT NOT NULL DEFAULT 0,
	out_part INT NOT NULL DEFAULT 0,              -- pieces of an unfinished long line that were sent
	err_part INT NOT NULL DEFAULT 0,
	sequence BIGINT NOT NULL DEFAULT 0,           -- messages that were sent
	PRIMARY KEY (destination_id, task_id, attempt),
	KEY day (day)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
-- Zeroes: begun by a program of an older version, sent nowhere.
ALTER TABLE log_head ADD COLUMN IF NOT EXISTS project_id BINARY(12) NOT NULL DEFAULT x'000000000000000000000000'
;;
CREATE OR REPLACE TRIGGER log_head_after_insert AFTER INSERT ON log_head FOR EACH ROW
	INSERT INTO log_cursor (destination_id, task_id, attempt, day)
		SELECT d.id, NEW.task_id, NEW.attempt, NEW.day FROM log_destination d WHERE d.project_id = NEW.project_id
