-- oldest_program: 1
-- What an operator has relaxed of the isolation of a code's jobs, change by change: the newest row of a code
-- holds. Rows are added and never changed: they are the audit. The programs' accounts may only read.
CREATE TABLE IF NOT EXISTS relaxation (
	code_id BINARY(12) NOT NULL,
	set_at DATETIME(6) NOT NULL,
	items INT UNSIGNED NOT NULL,   -- bits of lib/model/relaxation.h, all that holds after this change
	word VARCHAR(64) NOT NULL,     -- the change: 'seccomp=off', or with a minus what is as strict as before
	set_by VARCHAR(64) NOT NULL,
	PRIMARY KEY (code_id, set_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
