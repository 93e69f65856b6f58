-- oldest_program: 1
-- Triggers: a URL with a token of its own, which can do nothing but queue a task of one code.
CREATE TABLE IF NOT EXISTS code_trigger (
	id BINARY(12) NOT NULL PRIMARY KEY,
	project_id BINARY(12) NOT NULL,
	code_id BINARY(12) NOT NULL,
	name VARCHAR(255) NOT NULL,
	token BINARY(32) NOT NULL,                    -- SHA-256 of its text
	verify VARCHAR(20) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'none',
	sealed VARBINARY(1024) NULL,                  -- the secret that verifies
	options MEDIUMTEXT NOT NULL DEFAULT '{}',     -- JSON: header, prefix, encoding, ips, filter, map, delivery
	paused_at DATETIME(6) NULL,
	created_at DATETIME(6) NOT NULL DEFAULT UTC_TIMESTAMP(6),
	updated_at DATETIME(6) NOT NULL DEFAULT UTC_TIMESTAMP(6),
	UNIQUE KEY token (token),
	UNIQUE KEY name (code_id, name),
	KEY list (project_id, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
-- The last hundred requests of each, with what became of them.
CREATE TABLE IF NOT EXISTS trigger_request (
	trigger_id BINARY(12) NOT NULL,
	id BINARY(12) NOT NULL,
	at DATETIME(6) NOT NULL DEFAULT UTC_TIMESTAMP(6),
	address VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
	verdict ENUM('accepted', 'duplicate', 'filtered', 'refused') NOT NULL,
	reason VARCHAR(255) NOT NULL DEFAULT '',
	delivery VARCHAR(255) NOT NULL DEFAULT '',    -- the sender's id of it
	task_id BINARY(12) NULL,
	body VARBINARY(1024) NOT NULL DEFAULT '',     -- its first bytes
	PRIMARY KEY (trigger_id, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
