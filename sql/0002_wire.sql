-- oldest_program: 1
-- What the whole IronWorker API needs. Programs of version 1 go on beside it: new columns have
-- defaults, and a deleted code leaves its project, where they look for it.

-- A deleted code keeps its row, for its tasks: its project becomes its own id, so that its name is
-- free and nobody finds it.
ALTER TABLE code
	ADD COLUMN IF NOT EXISTS deleted_at DATETIME(6) NULL,
	ADD COLUMN IF NOT EXISTS deleted_from BINARY(12) NULL, -- the project that had it
	ADD KEY IF NOT EXISTS deleted (deleted_from, name)
;;
-- W3C trace context of the request that queued it.
ALTER TABLE task ADD COLUMN IF NOT EXISTS traceparent VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin NULL
;;
-- On the wire a cluster's id is its number as 24 hex digits. memory, disk_space, cpu_share and autoscale
-- are kept as they were given.
ALTER TABLE cluster
	ADD COLUMN IF NOT EXISTS user_id BINARY(12) NULL,      -- whose; NULL = everybody's
	ADD COLUMN IF NOT EXISTS memory BIGINT NOT NULL DEFAULT 536870912,       -- bytes
	ADD COLUMN IF NOT EXISTS disk_space BIGINT NOT NULL DEFAULT 10737418240, -- bytes
	ADD COLUMN IF NOT EXISTS cpu_share INT NOT NULL DEFAULT 0,
	ADD COLUMN IF NOT EXISTS autoscale MEDIUMTEXT NOT NULL DEFAULT '',       -- JSON object or ''
	ADD COLUMN IF NOT EXISTS created_at DATETIME(6) NOT NULL DEFAULT UTC_TIMESTAMP(6),
	ADD COLUMN IF NOT EXISTS updated_at DATETIME(6) NOT NULL DEFAULT UTC_TIMESTAMP(6),
	ADD COLUMN IF NOT EXISTS deleted_at DATETIME(6) NULL
;;
CREATE TABLE IF NOT EXISTS cluster_share (
	cluster_id INT NOT NULL,
	user_id BINARY(12) NOT NULL,
	PRIMARY KEY (cluster_id, user_id),
	KEY user_id (user_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
-- Queues tasks at its times. next_at: when it is due; after the last run it keeps that run's time.
CREATE TABLE IF NOT EXISTS schedule (
	id BINARY(12) NOT NULL PRIMARY KEY,
	project_id BINARY(12) NOT NULL,
	code_id BINARY(12) NOT NULL,
	state ENUM('scheduled', 'complete', 'cancelled') NOT NULL DEFAULT 'scheduled',
	start_at DATETIME(6) NOT NULL,
	end_at DATETIME(6) NULL,                 -- nothing is queued after it
	next_at DATETIME(6) NOT NULL,
	last_at DATETIME(6) NULL,
	run_every_s BIGINT NOT NULL DEFAULT 0,   -- 0 = once
	run_times BIGINT NOT NULL DEFAULT 0,     -- 0 = no limit
	run_count BIGINT NOT NULL DEFAULT 0,
	priority TINYINT NOT NULL DEFAULT -1,    -- of its tasks, like the next five; -1 = the code's
	timeout_s INT NOT NULL DEFAULT 0,
	task_delay_s BIGINT NOT NULL DEFAULT 0,
	cluster_name VARCHAR(255) NOT NULL DEFAULT '',
	label VARCHAR(255) NOT NULL DEFAULT '',
	payload MEDIUMBLOB NOT NULL DEFAULT '',
	msg VARCHAR(500) NOT NULL DEFAULT '',
	created_at DATETIME(6) NOT NULL DEFAULT UTC_TIMESTAMP(6),
	updated_at DATETIME(6) NOT NULL DEFAULT UTC_TIMESTAMP(6),
	KEY list (project_id, id),
	KEY due (state, next_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
-- Registry logins, sealed (AES-256-GCM) with the key that [secrets] key_file holds.
CREATE TABLE IF NOT EXISTS credential (
	project_id BINARY(12) NOT NULL,
	server VARCHAR(255) NOT NULL,            -- '' = Docker Hub
	sealed VARBINARY(8192) NOT NULL,
	created_at DATETIME(6) NOT NULL DEFAULT UTC_TIMESTAMP(6),
	PRIMARY KEY (project_id, server)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
-- First answers to requests with an Idempotency-Key, for 24 hours; in the transaction that queues.
CREATE TABLE IF NOT EXISTS idempotency (
	project_id BINARY(12) NOT NULL,
	`key` BINARY(32) NOT NULL,               -- SHA-256 of user id, path and the header's text
	body BINARY(32) NOT NULL,                -- SHA-256
	answer MEDIUMTEXT NOT NULL,
	created_at DATETIME(6) NOT NULL DEFAULT UTC_TIMESTAMP(6),
	PRIMARY KEY (project_id, `key`),
	KEY created_at (created_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
-- scrypt: 'N$r$p$salt$hash' in hex; '' = signs in by token alone.
ALTER TABLE user ADD COLUMN IF NOT EXISTS password VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT ''
