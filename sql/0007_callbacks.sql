-- oldest_program: 1
-- Callbacks: registered ones for a project or a code beside the URL of a task, a lane for each receiver,
-- and a log of each try. A courier of an older program may go on beside: it takes by next_at, whatever lane.

-- Told of what happens to the tasks of a project, or of one code. `states` has a bit for each that it is
-- told of: 1 << (number in outbox.task_state - 1).
CREATE TABLE IF NOT EXISTS callback (
	id BINARY(12) NOT NULL PRIMARY KEY,
	project_id BINARY(12) NOT NULL,
	code_id BINARY(12) NOT NULL DEFAULT x'000000000000000000000000', -- zeroes = every code
	states SMALLINT UNSIGNED NOT NULL,            -- 0 while it is paused or disabled
	chosen SMALLINT UNSIGNED NOT NULL,            -- what `states` is when it is neither
	flags TINYINT UNSIGNED NOT NULL DEFAULT 0,    -- 1 = in order per task, 2 = with payload
	name VARCHAR(255) NOT NULL DEFAULT '',
	url VARCHAR(2048) NOT NULL,                   -- or code:NAME
	paused_at DATETIME(6) NULL,
	disabled_at DATETIME(6) NULL,                 -- it answered 410
	created_at DATETIME(6) NOT NULL DEFAULT UTC_TIMESTAMP(6),
	updated_at DATETIME(6) NOT NULL DEFAULT UTC_TIMESTAMP(6),
	KEY told (project_id, code_id, states)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
-- Keys that sign: of a registered callback, or of a project (for the URLs of its tasks and codes). Sealed
-- (AES-256-GCM) with the key that [secrets] key_file holds; the former one signs too until former_until.
CREATE TABLE IF NOT EXISTS callback_key (
	owner_id BINARY(12) NOT NULL PRIMARY KEY,
	sealed VARBINARY(255) NOT NULL,
	former VARBINARY(255) NULL,
	former_until DATETIME(6) NULL,
	created_at DATETIME(6) NOT NULL DEFAULT UTC_TIMESTAMP(6)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
-- One scheme, host and port as a project calls it. next_at: when to look at its lane again, at or
-- before the least next_at of its rows, NULL when it has none.
CREATE TABLE IF NOT EXISTS receiver (
	lane BIGINT NOT NULL PRIMARY KEY,             -- of the project's id and the origin, by hash
	project_id BINARY(12) NOT NULL,
	origin VARCHAR(300) NOT NULL,
	next_at DATETIME(6) NULL,
	failures INT NOT NULL DEFAULT 0,              -- in a row
	failing_at DATETIME(6) NULL,                  -- since when
	open_at DATETIME(6) NULL,                     -- it is not called before
	KEY next_at (next_at),
	KEY project_id (project_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
-- Each try.
CREATE TABLE IF NOT EXISTS delivery (
	outbox_id BIGINT NOT NULL,
	number SMALLINT UNSIGNED NOT NULL,            -- = outbox.tries after it
	at DATETIME(6) NOT NULL,
	status SMALLINT UNSIGNED NULL,                -- HTTP; NULL = no answer
	address VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '', -- connected to
	lookup_ms INT NULL,
	connect_ms INT NULL,
	first_byte_ms INT NULL,
	took_ms INT NOT NULL DEFAULT 0,
	error VARCHAR(500) NULL,
	answer VARBINARY(1024) NOT NULL DEFAULT '',   -- its first bytes
	PRIMARY KEY (outbox_id, number)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
ALTER TABLE outbox
	MODIFY task_state ENUM('queued', 'preparing', 'running', 'complete', 'error', 'timeout', 'cancelled',
		'killed', 'expired', 'retried', 'dead', 'test') NOT NULL,
	ADD COLUMN IF NOT EXISTS project_id BINARY(12) NOT NULL DEFAULT x'000000000000000000000000',
	ADD COLUMN IF NOT EXISTS callback_id BINARY(12) NOT NULL DEFAULT x'000000000000000000000000', -- zeroes = the task's URL
	ADD COLUMN IF NOT EXISTS flags TINYINT UNSIGNED NOT NULL DEFAULT 0, -- as the callback's
	ADD COLUMN IF NOT EXISTS lane BIGINT NOT NULL DEFAULT 0,            -- 0 = not in its receiver's lane yet
	ADD COLUMN IF NOT EXISTS plan_from SMALLINT UNSIGNED NOT NULL DEFAULT 0, -- tries before it was redelivered
	ADD COLUMN IF NOT EXISTS queued_task_id BINARY(12) NULL,            -- what a code:NAME queued
	ADD KEY IF NOT EXISTS lane (lane, next_at),
	ADD KEY IF NOT EXISTS list (project_id, id),
	ADD UNIQUE KEY IF NOT EXISTS event (task_id, number, task_state, callback_id),
	DROP KEY IF EXISTS task_id
;;
UPDATE outbox o JOIN task t ON t.id = o.task_id SET o.project_id = t.project_id
	WHERE o.project_id = x'000000000000000000000000'
;;
-- All that registered callbacks are told of its tasks: bits as in callback.states. Kept by whoever
-- writes `callback`, so that an enqueue, which reads this row anyhow, reads no other.
ALTER TABLE code ADD COLUMN IF NOT EXISTS hooks SMALLINT UNSIGNED NOT NULL DEFAULT 0
;;
CREATE OR REPLACE TRIGGER code_before_insert BEFORE INSERT ON code FOR EACH ROW
	SET NEW.running = 0,
		NEW.held = IFNULL((SELECT paused_at IS NOT NULL FROM project WHERE id = NEW.project_id), 0),
		NEW.hooks = (SELECT IFNULL(BIT_OR(k.states), 0) FROM callback k WHERE k.project_id = NEW.project_id
			AND k.code_id = x'000000000000000000000000')
;;
-- How many callbacks led to it: a chain that queues itself for ever is cut.
ALTER TABLE task ADD COLUMN IF NOT EXISTS hops TINYINT UNSIGNED NOT NULL DEFAULT 0
;;
-- A row for the URL of the task and one for each registered callback that is told of it.
CREATE OR REPLACE PROCEDURE outbox_add(of_task BINARY(12), of_number INT, kind INT, of_project BINARY(12),
	of_code BINARY(12), notify INT, task_url VARCHAR(2048), hooked INT)
BEGIN
	IF notify & (1 << (kind - 1)) THEN
		INSERT INTO outbox (task_id, number, task_state, project_id, flags, url, at, next_at)
			VALUES (of_task, of_number, kind, of_project, notify >> 14, task_url, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6));
	END IF;
	IF hooked & (1 << (kind - 1)) THEN
		INSERT INTO outbox (task_id, number, task_state, project_id, callback_id, flags, url, at, next_at)
			SELECT of_task, of_number, kind, of_project, k.id, k.flags, k.url, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6)
			FROM callback k WHERE k.project_id = of_project
				AND k.code_id IN (x'000000000000000000000000', of_code) AND k.states & (1 << (kind - 1));
	END IF;
END
;;
CREATE OR REPLACE TRIGGER task_before_insert BEFORE INSERT ON task FOR EACH ROW
BEGIN
	DECLARE found_project, found_code BINARY(12);
	DECLARE found_lane, found_cluster, is_current INT;
	DECLARE hooked INT;

	IF NEW.not_after < UTC_TIMESTAMP(6) THEN
		SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001,
			MESSAGE_TEXT = 'the deadline of this insert has passed: nothing was queued';
	END IF;
	IF NEW.lane_id = 0 THEN
		SELECT a.project_id INTO found_project FROM app a WHERE a.account IN (USER(),
			LEFT(USER(), CHAR_LENGTH(USER()) - 1 - CHAR_LENGTH(SUBSTRING_INDEX(USER(), '@', -1))))
			ORDER BY CHAR_LENGTH(a.account) DESC LIMIT 1;
		IF found_project IS NULL THEN
			SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31003,
				MESSAGE_TEXT = 'this database account may not queue: table app does not name it';
		END IF;
		-- what the session of an application may have done: its clock decides over order, its locks
		-- over everybody's claims. A long statement falls behind the real clock by itself.
		IF TIMESTAMPDIFF(SECOND, SYSDATE(6), NOW(6)) NOT BETWEEN -60 AND 4 THEN
			SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31007,
				MESSAGE_TEXT = 'the clock of this session was turned (SET timestamp): nothing was queued';
		END IF;
		IF @@tx_isolation = 'SERIALIZABLE' THEN
			SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31008,
				MESSAGE_TEXT = 'SERIALIZABLE locks what claims write: queue in READ COMMITTED or REPEATABLE READ';
		END IF;
		-- the limits of the API, where it refuses or clamps
		IF LENGTH(NEW.payload) > 3145728 THEN
			SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31009,
				MESSAGE_TEXT = 'payload: is over 3145728 bytes';
		END IF;
		IF NEW.delay_s NOT BETWEEN 0 AND 3153600000 THEN
			SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31009,
				MESSAGE_TEXT = 'delay_s: must be 0 to 3153600000, a hundred years';
		END IF;
		IF NEW.priority NOT BETWEEN -1 AND 2 THEN
			SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31009,
				MESSAGE_TEXT = 'priority: must be 0, 1 or 2; -1 or none is the code''s default';
		END IF;
		BEGIN
			DECLARE code_priority, code_timeout_s, code_revision, head_start INT;
			DECLARE url VARCHAR(2048);
			SELECT c.id, c.revision, c.default_priority, IF(c.timeout_s > 0, c.timeout_s, 3600),
				c.callback, c.hooks, k.id, k.head_start_s, l.id
				INTO found_code, code_revision, code_priority, code_timeout_s, url, hooked, found_cluster, head_start, found_lane
				FROM code c
				LEFT JOIN cluster k ON IF(IFNULL(NEW.cluster_name, '') = '', k.id = c.cluster_id,
					k.name = NEW.cluster_name)
				LEFT JOIN lane l ON l.code_id = c.id AND l.cluster_id = k.id
				WHERE c.project_id = found_project AND c.name = NEW.code_name;
			IF found_code IS NULL THEN
				SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31002,
					MESSAGE_TEXT = 'code_name is not registered in this account''s project';
			END IF;
			IF found_lane IS NULL THEN
				SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31002,
					MESSAGE_TEXT = 'this code was never given to that cluster: queue once by the API';
			END IF;
			SET NEW.project_id = found_project, NEW.code_id = found_code, NEW.revision = code_revision,
				NEW.lane_id = found_lane, NEW.cluster_id = found_cluster,
				NEW.head_start_s = head_start, NEW.timeout_s = code_timeout_s, NEW.callback = url,
				NEW.priority = IF(NEW.priority BETWEEN 0 AND 2, NEW.priority, code_priority),
				NEW.retry = 0, NEW.schedule_id = NULL, NEW.original_task_id = NULL;
		END;
		-- ids carry the order of lists and of equal ranks
		IF NEW.id <> x'000000000000000000000000' AND ABS(CONV(HEX(LEFT(NEW.id, 6)), 16, 10)
				- TIMESTAMPDIFF(MICROSECOND, DATE '1970-01-01', UTC_TIMESTAMP(6)) / 1000) > 300000 THEN
			SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31005,
				MESSAGE_TEXT = 'the time in this id is more than five minutes off the server''s clock';
		END IF;
	ELSEIF NEW.original_task_id IS NULL THEN -- a retry runs the revision of the task that failed
		-- SELECT … INTO reads without a lock; a subquery in IF or SET would lock the code's row,
		-- which claims and settlements write
		SELECT COUNT(*), MAX(hooks) INTO is_current, hooked FROM code
			WHERE id = NEW.code_id AND revision = NEW.revision;
		IF is_current = 0 THEN
			SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31006,
				MESSAGE_TEXT = 'the code has another revision by now: look it up again';
		END IF;
	ELSE
		SELECT hooks INTO hooked FROM code WHERE id = NEW.code_id;
	END IF;
	IF NEW.id = x'000000000000000000000000' THEN
		SET NEW.id = UNHEX(CONCAT(LPAD(HEX(TIMESTAMPDIFF(MICROSECOND, DATE '1970-01-01',
			UTC_TIMESTAMP(6)) DIV 1000), 12, '0'), HEX(RANDOM_BYTES(6))));
	END IF;
	SET NEW.state = 'queued', NEW.attempt = 0, NEW.changes = 1, NEW.percent = 0,
		NEW.callback = NULLIF(NEW.callback, ''), NEW.label = NULLIF(NEW.label, ''),
		-- of the states every settled one, if none was chosen
		NEW.notify = IF(NEW.callback IS NULL, 0, NEW.notify | IF(NEW.notify & 2047, 0, 504)),
		NEW.priority = GREATEST(NEW.priority, 0),
		NEW.created_at = UTC_TIMESTAMP(6), NEW.updated_at = UTC_TIMESTAMP(6),
		NEW.due_at = UTC_TIMESTAMP(6) + INTERVAL GREATEST(IFNULL(NEW.delay_s, 0), 0) SECOND,
		NEW.rank_at = NEW.due_at - INTERVAL NEW.priority * NEW.head_start_s SECOND,
		NEW.started_at = NULL, NEW.ended_at = NULL, NEW.node_id = NULL, NEW.node_session = NULL,
		NEW.exit_code = NULL, NEW.cause = NULL, NEW.note = NULL, NEW.msg = NULL,
		NEW.retry_task_id = NULL;
	IF NEW.payload <> '' THEN
		INSERT INTO payload (task_id, body) VALUES (NEW.id, NEW.payload);
	END IF;
	IF NEW.due_at <= UTC_TIMESTAMP(6) THEN
		INSERT INTO ready (lane_id, rank_at, task_id, place, attempt)
			VALUES (NEW.lane_id, NEW.rank_at, NEW.id, NEW.cluster_id, 0);
	ELSE
		INSERT INTO `delayed` (due_at, task_id, lane_id, rank_at, place, attempt)
			VALUES (NEW.due_at, NEW.id, NEW.lane_id, NEW.rank_at, NEW.cluster_id, 0);
	END IF;
	INSERT INTO event (task_id, number, attempt, state, at) VALUES (NEW.id, 1, 0, 'queued', UTC_TIMESTAMP(6));
	IF (NEW.notify | hooked) & 1 THEN
		CALL outbox_add(NEW.id, 1, 1, NEW.project_id, NEW.code_id, NEW.notify, NEW.callback, hooked);
	END IF;
	SET NEW.code_name = NULL, NEW.cluster_name = NULL, NEW.cluster_id = NULL, NEW.delay_s = NULL,
		NEW.payload = NULL, NEW.not_after = NULL;
END
;;
CREATE OR REPLACE TRIGGER task_before_update BEFORE UPDATE ON task FOR EACH ROW
BEGIN
	DECLARE hooked INT;
	IF NEW.state <> OLD.state THEN
		IF NOT CASE OLD.state
			WHEN 'queued' THEN NEW.state IN ('preparing', 'cancelled', 'expired')
			WHEN 'preparing' THEN NEW.state IN ('running', 'queued', 'error', 'cancelled', 'killed')
			WHEN 'running' THEN NEW.state IN ('queued', 'complete', 'error', 'timeout',
				'cancelled', 'killed')
			ELSE 0 END THEN
			SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31010,
				MESSAGE_TEXT = 'a task cannot move from that state to this one';
		END IF;
		SET NEW.changes = OLD.changes + 1;
	ELSEIF OLD.state > 3 AND NOT (NEW.cause <=> OLD.cause AND NEW.exit_code <=> OLD.exit_code
			AND NEW.ended_at <=> OLD.ended_at) THEN
		SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31012,
			MESSAGE_TEXT = 'a settled task keeps its end';
	END IF;
	IF NEW.attempt <> OLD.attempt + (OLD.state = 'queued' AND NEW.state = 'preparing') THEN
		SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31011,
			MESSAGE_TEXT = 'an attempt rises by one with each claim, and never otherwise';
	END IF;
	IF NEW.changes <> OLD.changes THEN
		SET NEW.updated_at = UTC_TIMESTAMP(6);
		INSERT INTO event (task_id, number, attempt, state, at, cause, note)
			VALUES (NEW.id, NEW.changes, NEW.attempt, NEW.state, UTC_TIMESTAMP(6), NEW.cause, NEW.note);
		IF NEW.state <> OLD.state AND NEW.state <> 'preparing' THEN
			SELECT hooks INTO hooked FROM code WHERE id = NEW.code_id;
			IF (NEW.notify | hooked) & (1 << (NEW.state - 1)) THEN
				CALL outbox_add(NEW.id, NEW.changes, NEW.state, NEW.project_id, NEW.code_id, NEW.notify,
					NEW.callback, hooked);
			END IF;
			IF (NEW.notify | hooked) & 1536 AND NEW.state IN ('error', 'timeout', 'killed') THEN
				CALL outbox_add(NEW.id, NEW.changes, IF(NEW.retry_task_id IS NULL, 11, 10), NEW.project_id,
					NEW.code_id, NEW.notify, NEW.callback, hooked);
			END IF;
		END IF;
	END IF;
END
