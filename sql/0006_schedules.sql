-- oldest_program: 1
-- Schedules that fire: what one may say of them besides IronWorker's fields, and the ledger. Programs
-- of earlier versions go on beside it: what they do not know has defaults.

-- accounted_to: every nominal time up to here is in the ledger; NULL = none yet. next_at is when the
-- next one is due (with its jitter), the index's copy of what follows from the other columns.
ALTER TABLE schedule
	ADD COLUMN IF NOT EXISTS accounted_to DATETIME(6) NULL,
	ADD COLUMN IF NOT EXISTS cron VARCHAR(255) NOT NULL DEFAULT '',          -- '' = run_every_s
	ADD COLUMN IF NOT EXISTS time_zone VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '', -- '' = UTC
	ADD COLUMN IF NOT EXISTS zone_digest BINARY(8) NULL,                     -- of the zone's file that next_at follows from
	ADD COLUMN IF NOT EXISTS dst_gap ENUM('auto', 'end', 'skip') NOT NULL DEFAULT 'auto',
	ADD COLUMN IF NOT EXISTS dst_repeat ENUM('auto', 'first', 'second', 'both') NOT NULL DEFAULT 'auto',
	ADD COLUMN IF NOT EXISTS misfire ENUM('one', 'skip', 'all') NOT NULL DEFAULT 'one',
	ADD COLUMN IF NOT EXISTS misfire_limit INT NOT NULL DEFAULT 100,         -- of 'all'
	ADD COLUMN IF NOT EXISTS misfire_window_s BIGINT NOT NULL DEFAULT 86400, -- of 'all'
	ADD COLUMN IF NOT EXISTS misfire_after_s BIGINT NOT NULL DEFAULT 10,     -- so late is missed
	ADD COLUMN IF NOT EXISTS overlap ENUM('allow', 'skip', 'queue_one', 'queue_all', 'replace') NOT NULL DEFAULT 'allow',
	ADD COLUMN IF NOT EXISTS jitter_s BIGINT NOT NULL DEFAULT 0,
	ADD COLUMN IF NOT EXISTS exclude_dates TEXT NOT NULL DEFAULT '',         -- a line each: 2031-12-25 or 12-25
	ADD COLUMN IF NOT EXISTS exclude_calendars TEXT NOT NULL DEFAULT '',     -- a name a line
	ADD COLUMN IF NOT EXISTS payload_times TINYINT NOT NULL DEFAULT 0,       -- 1 = placeholders in the payload are filled in
	ADD COLUMN IF NOT EXISTS retries SMALLINT NOT NULL DEFAULT -1,           -- -1 = the code's, like the next
	ADD COLUMN IF NOT EXISTS retries_delay_s INT NOT NULL DEFAULT -1,
	ADD COLUMN IF NOT EXISTS last_task_id BINARY(12) NULL,                   -- of the last fire: what overlap looks at
	ADD COLUMN IF NOT EXISTS waiting INT NOT NULL DEFAULT 0,                 -- fires that wait for the end of that one
	ADD COLUMN IF NOT EXISTS waiting_from DATETIME(6) NULL,                  -- no waiting fire is older
	ADD COLUMN IF NOT EXISTS paused_at DATETIME(6) NULL,
	ADD COLUMN IF NOT EXISTS pauses INT NOT NULL DEFAULT 0,                  -- rows in schedule_pause
	ADD KEY IF NOT EXISTS waiting (waiting),
	ADD KEY IF NOT EXISTS zone (state, time_zone, zone_digest)
;;
-- The ledger: what became of each nominal time, exactly one thing. A waiting fire becomes a fired one.
CREATE TABLE IF NOT EXISTS fire (
	schedule_id BINARY(12) NOT NULL,
	nominal DATETIME(6) NOT NULL,
	outcome ENUM('fired', 'caught_up', 'missed', 'overlap', 'dst', 'excluded', 'paused', 'refused', 'waiting',
		'run_now', 'backfilled') NOT NULL,
	due DATETIME(6) NOT NULL,                -- nominal and jitter
	at DATETIME(6) NOT NULL,                 -- when it was decided
	task_id BINARY(12) NULL,
	note VARCHAR(255) NOT NULL DEFAULT '',
	PRIMARY KEY (schedule_id, nominal),
	KEY at (at),
	CONSTRAINT fire_has_task CHECK ((task_id IS NOT NULL) = (outcome IN ('fired', 'caught_up', 'run_now', 'backfilled')))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
-- Who paused and resumed, when and why. Times between from_at and to_at are paused in the ledger.
CREATE TABLE IF NOT EXISTS schedule_pause (
	schedule_id BINARY(12) NOT NULL,
	from_at DATETIME(6) NOT NULL,
	to_at DATETIME(6) NULL,
	paused_by VARCHAR(255) NOT NULL DEFAULT '',
	reason VARCHAR(500) NOT NULL DEFAULT '',
	resumed_by VARCHAR(255) NOT NULL DEFAULT '',
	PRIMARY KEY (schedule_id, from_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
-- Dates on which schedules that name it do not run.
CREATE TABLE IF NOT EXISTS calendar (
	project_id BINARY(12) NOT NULL,
	name VARCHAR(255) NOT NULL,
	dates MEDIUMTEXT NOT NULL,               -- as schedule.exclude_dates
	updated_at DATETIME(6) NOT NULL DEFAULT UTC_TIMESTAMP(6),
	PRIMARY KEY (project_id, name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
-- Retries of one task, where its schedule says so; NULL = its code's.
ALTER TABLE task
	ADD COLUMN IF NOT EXISTS retries SMALLINT NULL,
	ADD COLUMN IF NOT EXISTS retries_delay_s INT NULL
;;
CREATE OR REPLACE SQL SECURITY DEFINER VIEW fire_history_v1 AS
	SELECT LOWER(HEX(f.schedule_id)) AS schedule_id, p.name AS project, c.name AS code, s.label, f.nominal, f.outcome,
		f.due, f.at, LOWER(HEX(f.task_id)) AS task_id, f.note
	FROM fire f JOIN schedule s ON s.id = f.schedule_id JOIN project p ON p.id = s.project_id JOIN code c ON c.id = s.code_id
