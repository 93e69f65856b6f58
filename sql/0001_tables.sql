-- oldest_program: 1
-- The tables of Stoker (docs/schema.md says who writes each and which index serves which query).
-- Ids are BINARY(12) (48 bits of milliseconds, 48 random), times DATETIME(6) in UTC by this
-- server's clock, whatever zone a session has: UTC_TIMESTAMP(6), never NOW(6). Statements end at a
-- line of two semicolons. No foreign keys: they lock parents.

-- People ------------------------------------------------------------------------------------------

CREATE TABLE IF NOT EXISTS `schema` (
	version INT NOT NULL PRIMARY KEY,
	oldest_program INT NOT NULL, -- the least SCHEMA_VERSION of a program that may still run
	at DATETIME(6) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
CREATE TABLE user (
	id BINARY(12) NOT NULL PRIMARY KEY,
	name VARCHAR(255) NOT NULL,
	admin TINYINT NOT NULL DEFAULT 0,
	created_at DATETIME(6) NOT NULL DEFAULT UTC_TIMESTAMP(6),
	disabled_at DATETIME(6) NULL,
	UNIQUE KEY name (name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
CREATE TABLE project (
	id BINARY(12) NOT NULL PRIMARY KEY,
	name VARCHAR(255) NOT NULL,
	weight INT NOT NULL DEFAULT 1,
	paused_at DATETIME(6) NULL,
	created_at DATETIME(6) NOT NULL DEFAULT UTC_TIMESTAMP(6),
	UNIQUE KEY name (name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
CREATE TABLE member (
	project_id BINARY(12) NOT NULL,
	user_id BINARY(12) NOT NULL,
	role ENUM('viewer', 'developer', 'operator') NOT NULL,
	PRIMARY KEY (project_id, user_id),
	KEY user_id (user_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
CREATE TABLE token (
	id BINARY(12) NOT NULL PRIMARY KEY,
	prefix CHAR(8) NOT NULL DEFAULT '', -- the public part; '' for imported ones
	hash BINARY(32) NOT NULL,           -- SHA-256 of the whole text
	name VARCHAR(255) NOT NULL DEFAULT '',
	user_id BINARY(12) NOT NULL,
	project_id BINARY(12) NULL,         -- NULL: any of the user's
	role ENUM('viewer', 'developer', 'operator', 'admin') NOT NULL,
	created_at DATETIME(6) NOT NULL DEFAULT UTC_TIMESTAMP(6),
	expires_at DATETIME(6) NULL,
	used_at DATETIME(6) NULL,           -- by the minute
	UNIQUE KEY hash (hash),
	KEY user_id (user_id),
	KEY project_id (project_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
-- Which database account may queue, through the view `queue`, for which project. 'name@host' as
-- USER() gives it, or 'name' for any host; the longer one wins.
CREATE TABLE app (
	account VARCHAR(255) NOT NULL PRIMARY KEY,
	project_id BINARY(12) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;

-- Codes -------------------------------------------------------------------------------------------

CREATE TABLE code (
	id BINARY(12) NOT NULL PRIMARY KEY,
	project_id BINARY(12) NOT NULL,
	name VARCHAR(255) NOT NULL,
	revision INT NOT NULL,                  -- the current one
	cluster_id INT NOT NULL,                -- where tasks run that name none
	max_running INT NOT NULL DEFAULT 0,     -- over all its lanes; 0 = no limit
	running INT NOT NULL DEFAULT 0,         -- = the sum of its lanes'
	retries SMALLINT NOT NULL DEFAULT 0,
	retries_delay_s INT NOT NULL DEFAULT 0,
	default_priority TINYINT NOT NULL DEFAULT 0,
	timeout_s INT NOT NULL DEFAULT 0,       -- 0 = 3600
	memory_mb INT NOT NULL DEFAULT 0,       -- 0 = the node's default
	grace_s INT NOT NULL DEFAULT -1,        -- -1 = the node's default
	callback VARCHAR(2048) NOT NULL DEFAULT '',
	paused_at DATETIME(6) NULL,
	held TINYINT NOT NULL DEFAULT 0,        -- 1 = its project is paused (kept by triggers)
	created_at DATETIME(6) NOT NULL DEFAULT UTC_TIMESTAMP(6),
	updated_at DATETIME(6) NOT NULL DEFAULT UTC_TIMESTAMP(6),
	UNIQUE KEY name (project_id, name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
-- What a code was at one time. Never changed (but for the digest, once), never purged while tasks
-- point at it.
CREATE TABLE revision (
	code_id BINARY(12) NOT NULL,
	number INT NOT NULL,
	id BINARY(12) NOT NULL,
	image VARCHAR(1024) NOT NULL,
	digest BINARY(32) NULL,                 -- the first node to resolve it wins by compare-and-set
	command MEDIUMTEXT NOT NULL DEFAULT '', -- '' = the image's own
	env MEDIUMTEXT NOT NULL DEFAULT '{}',   -- JSON object of texts
	config MEDIUMTEXT NOT NULL DEFAULT '',  -- for CONFIG_FILE
	created_at DATETIME(6) NOT NULL DEFAULT UTC_TIMESTAMP(6),
	PRIMARY KEY (code_id, number),
	UNIQUE KEY id (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;

-- Machines ----------------------------------------------------------------------------------------

CREATE TABLE cluster (
	id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
	name VARCHAR(255) NOT NULL,
	head_start_s INT NOT NULL DEFAULT 300,  -- of one level of priority
	paused_at DATETIME(6) NULL,
	UNIQUE KEY name (name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
-- The right to claim in a cluster: whoever has written this row decides alone until it commits.
CREATE TABLE turn (
	cluster_id INT NOT NULL PRIMARY KEY,
	number BIGINT NOT NULL DEFAULT 0,       -- +1 by each claim, pause and change of a limit
	by_node INT NULL,
	at DATETIME(6) NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
INSERT INTO cluster (id, name) VALUES (1, 'default')
;;
INSERT INTO turn (cluster_id) VALUES (1)
;;
-- One session of a node: a row per start of its runner that did not take the last one over.
CREATE TABLE node (
	id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
	name VARCHAR(255) NOT NULL,
	cluster_id INT NOT NULL,
	session BINARY(16) NOT NULL,
	state ENUM('live', 'draining', 'gone') NOT NULL DEFAULT 'live',
	lease_until DATETIME(6) NOT NULL,
	beat_at DATETIME(6) NOT NULL,
	started_at DATETIME(6) NOT NULL DEFAULT UTC_TIMESTAMP(6),
	slots INT NOT NULL,
	running INT NOT NULL DEFAULT 0,         -- as its runner counts them, with each renewal
	claims BIGINT NOT NULL DEFAULT 0,       -- +1 each: a claim writes the row that take-back judges
	doorbell VARCHAR(255) NOT NULL DEFAULT '',
	runtime VARCHAR(255) NOT NULL DEFAULT '',
	UNIQUE KEY session (session),
	KEY lease (state, lease_until)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
-- Written each second by any scheduler: shows that the database was there. Leases are not judged
-- before grace_until.
CREATE TABLE beat (
	id TINYINT NOT NULL PRIMARY KEY,
	at DATETIME(6) NOT NULL,
	grace_until DATETIME(6) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
INSERT INTO beat (id, at, grace_until) VALUES (1, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6))
;;
-- A code in a cluster. Made by the API in a statement of its own; never written by an enqueue.
-- `open` follows its code (triggers below); `head_rank` is at or below the least rank among the
-- rows of `ready` set aside for the lane, NULL if none.
CREATE TABLE lane (
	id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
	cluster_id INT NOT NULL,
	code_id BINARY(12) NOT NULL,
	project_id BINARY(12) NOT NULL,
	open TINYINT NOT NULL DEFAULT 1,
	running INT NOT NULL DEFAULT 0,
	head_rank DATETIME(6) NULL,
	UNIQUE KEY code_id (code_id, cluster_id),
	KEY pick (cluster_id, open, head_rank)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;

-- Tasks -------------------------------------------------------------------------------------------

CREATE TABLE task (
	id BINARY(12) NOT NULL DEFAULT x'000000000000000000000000' PRIMARY KEY,
	project_id BINARY(12) NOT NULL DEFAULT x'000000000000000000000000',
	code_id BINARY(12) NOT NULL DEFAULT x'000000000000000000000000',
	revision INT NOT NULL DEFAULT 0,
	lane_id INT NOT NULL DEFAULT 0,
	state ENUM('queued', 'preparing', 'running', 'complete', 'error', 'timeout', 'cancelled',
		'killed', 'expired') NOT NULL DEFAULT 'queued',
	attempt SMALLINT UNSIGNED NOT NULL DEFAULT 0, -- the newest; 0 before the first claim
	changes SMALLINT UNSIGNED NOT NULL DEFAULT 0, -- = number of the last event
	priority TINYINT NOT NULL DEFAULT -1,
	retry TINYINT UNSIGNED NOT NULL DEFAULT 0,    -- 0 = the first of its chain
	percent TINYINT UNSIGNED NOT NULL DEFAULT 0,
	notify SMALLINT UNSIGNED NOT NULL DEFAULT 0,  -- bits 1 << state: these changes are called back
	head_start_s INT NOT NULL DEFAULT 0,
	timeout_s INT NOT NULL DEFAULT 0,
	created_at DATETIME(6) NULL,
	updated_at DATETIME(6) NULL,
	due_at DATETIME(6) NULL,
	rank_at DATETIME(6) NULL,
	started_at DATETIME(6) NULL,
	ended_at DATETIME(6) NULL,
	node_id INT NULL,                             -- while preparing or running
	node_session BINARY(16) NULL,                 -- stays at the end: who settled it
	exit_code INT NULL,
	cause VARCHAR(20) CHARACTER SET ascii COLLATE ascii_bin NULL,
	note VARCHAR(500) NULL,
	label VARCHAR(255) NULL,
	callback VARCHAR(2048) NULL,
	msg MEDIUMTEXT NULL,
	schedule_id BINARY(12) NULL,
	original_task_id BINARY(12) NULL,
	retry_task_id BINARY(12) NULL,
	-- what only an INSERT says; the trigger uses it and leaves NULL
	code_name VARCHAR(255) NULL,
	cluster_name VARCHAR(255) NULL,
	cluster_id INT NULL,
	delay_s BIGINT NULL,
	payload MEDIUMBLOB NULL,
	not_after DATETIME(6) NULL,
	KEY list (project_id, id),
	KEY project_state (project_id, state, id),
	KEY code_state (code_id, state, id),
	CONSTRAINT waiting_has_no_session CHECK (state <> 'queued' OR node_session IS NULL),
	CONSTRAINT running_has_session CHECK ((state IN ('preparing', 'running')) = (node_id IS NOT NULL)
		AND (node_id IS NULL OR node_session IS NOT NULL)),
	CONSTRAINT end_has_cause CHECK ((state IN ('queued', 'preparing', 'running')) = (ended_at IS NULL)
		AND (ended_at IS NULL OR cause IS NOT NULL)),
	CONSTRAINT complete_is_exit_0 CHECK (state <> 'complete' OR (cause = 'exit' AND exit_code = 0))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
-- No row = an empty payload.
CREATE TABLE payload (
	task_id BINARY(12) NOT NULL PRIMARY KEY,
	body MEDIUMBLOB NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
-- What is due. `place` > 0: it stands in the flat order of cluster `place`; < 0: a claim met it
-- while its lane was closed and set it aside for lane -`place`. `flat` serves both orders.
CREATE TABLE ready (
	lane_id INT NOT NULL,
	rank_at DATETIME(6) NOT NULL,
	task_id BINARY(12) NOT NULL,
	place INT NOT NULL,
	attempt SMALLINT UNSIGNED NOT NULL,           -- what the claim's compare-and-set expects
	PRIMARY KEY (lane_id, rank_at, task_id),
	KEY flat (place, rank_at, task_id, attempt)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
-- What is not due yet.
CREATE TABLE `delayed` (
	due_at DATETIME(6) NOT NULL,
	task_id BINARY(12) NOT NULL,
	lane_id INT NOT NULL,
	rank_at DATETIME(6) NOT NULL,
	place INT NOT NULL,
	attempt SMALLINT UNSIGNED NOT NULL,
	PRIMARY KEY (due_at, task_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
-- What nodes have now. Small for ever.
CREATE TABLE running (
	node_id INT NOT NULL,
	task_id BINARY(12) NOT NULL,
	attempt SMALLINT UNSIGNED NOT NULL,
	lane_id INT NOT NULL,
	stop VARCHAR(255) NULL,                       -- who asked for its end
	PRIMARY KEY (node_id, task_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
CREATE TABLE attempt (
	task_id BINARY(12) NOT NULL,
	number SMALLINT UNSIGNED NOT NULL,
	node_id INT NOT NULL,
	node_session BINARY(16) NOT NULL,
	day INT NOT NULL,                             -- of its log: days since 1970
	claimed_at DATETIME(6) NOT NULL,
	started_at DATETIME(6) NULL,
	ended_at DATETIME(6) NULL,
	exit_code INT NULL,
	`signal` INT NULL,
	oom_kills INT NULL,
	max_rss BIGINT NULL,                          -- bytes
	cpu_us BIGINT NULL,
	digest BINARY(32) NULL,
	cause VARCHAR(20) CHARACTER SET ascii COLLATE ascii_bin NULL,
	note VARCHAR(500) NULL,
	PRIMARY KEY (task_id, number)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
-- Every change of a task, written by the triggers of `task` alone.
CREATE TABLE event (
	task_id BINARY(12) NOT NULL,
	number SMALLINT UNSIGNED NOT NULL,
	attempt SMALLINT UNSIGNED NOT NULL,
	state ENUM('queued', 'preparing', 'running', 'complete', 'error', 'timeout', 'cancelled',
		'killed', 'expired') NOT NULL,
	at DATETIME(6) NOT NULL,
	cause VARCHAR(20) CHARACTER SET ascii COLLATE ascii_bin NULL,
	note VARCHAR(500) NULL,
	PRIMARY KEY (task_id, number)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
-- Callbacks: a row per event that a task's `notify` names, by trigger. next_at is NULL once it is
-- delivered or given up, so that the index of what is due holds only what waits.
CREATE TABLE outbox (
	id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
	task_id BINARY(12) NOT NULL,
	number SMALLINT UNSIGNED NOT NULL,            -- of the event
	task_state ENUM('queued', 'preparing', 'running', 'complete', 'error', 'timeout', 'cancelled',
		'killed', 'expired') NOT NULL,        -- of the event
	state ENUM('waiting', 'delivered', 'exhausted') NOT NULL DEFAULT 'waiting',
	url VARCHAR(2048) NOT NULL,
	at DATETIME(6) NOT NULL,                      -- of the event
	next_at DATETIME(6) NULL,
	tries SMALLINT UNSIGNED NOT NULL DEFAULT 0,
	last_status SMALLINT UNSIGNED NULL,           -- HTTP; NULL = no answer
	last_error VARCHAR(500) NULL,
	took_ms INT NULL,
	delivered_at DATETIME(6) NULL,
	UNIQUE KEY task_id (task_id, number),
	KEY next_at (next_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;

-- Lanes follow their codes, codes their projects --------------------------------------------------

CREATE TRIGGER code_before_insert BEFORE INSERT ON code FOR EACH ROW
	SET NEW.running = 0,
		NEW.held = IFNULL((SELECT paused_at IS NOT NULL FROM project WHERE id = NEW.project_id), 0)
;;
CREATE TRIGGER project_after_update AFTER UPDATE ON project FOR EACH ROW
	IF (NEW.paused_at IS NULL) <> (OLD.paused_at IS NULL) THEN
		UPDATE code SET held = NEW.paused_at IS NOT NULL WHERE project_id = NEW.id;
	END IF
;;
CREATE TRIGGER lane_before_insert BEFORE INSERT ON lane FOR EACH ROW
	SET NEW.running = 0, NEW.head_rank = NULL,
		NEW.open = IFNULL((SELECT paused_at IS NULL AND held = 0
				AND (max_running = 0 OR running < max_running)
			FROM code WHERE id = NEW.code_id), 0)
;;
-- Whoever opens or closes a code (pause, limit, the last free place taken, one given back) has
-- thereby done so to its lanes.
CREATE TRIGGER code_after_update AFTER UPDATE ON code FOR EACH ROW
BEGIN
	DECLARE was_open, is_open TINYINT;
	SET was_open = OLD.paused_at IS NULL AND OLD.held = 0
		AND (OLD.max_running = 0 OR OLD.running < OLD.max_running);
	SET is_open = NEW.paused_at IS NULL AND NEW.held = 0
		AND (NEW.max_running = 0 OR NEW.running < NEW.max_running);
	IF was_open <> is_open THEN
		UPDATE lane SET open = is_open WHERE code_id = NEW.id;
	END IF;
END
;;

-- Enqueue: one INSERT, the rest is here -----------------------------------------------------------
-- The API passes code, revision, lane, cluster and head start that it has looked up. Applications
-- that insert through `queue` pass names; their project comes from `app`.

CREATE TRIGGER task_before_insert BEFORE INSERT ON task FOR EACH ROW
BEGIN
	DECLARE found_project, found_code BINARY(12);
	DECLARE found_lane, found_cluster, is_current INT;

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
				c.callback, k.id, k.head_start_s, l.id
				INTO found_code, code_revision, code_priority, code_timeout_s, url, found_cluster, head_start, found_lane
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
		SELECT COUNT(*) INTO is_current FROM code WHERE id = NEW.code_id AND revision = NEW.revision;
		IF is_current = 0 THEN
			SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31006,
				MESSAGE_TEXT = 'the code has another revision by now: look it up again';
		END IF;
	END IF;
	IF NEW.id = x'000000000000000000000000' THEN
		SET NEW.id = UNHEX(CONCAT(LPAD(HEX(TIMESTAMPDIFF(MICROSECOND, DATE '1970-01-01',
			UTC_TIMESTAMP(6)) DIV 1000), 12, '0'), HEX(RANDOM_BYTES(6))));
	END IF;
	SET NEW.state = 'queued', NEW.attempt = 0, NEW.changes = 1, NEW.percent = 0,
		NEW.callback = NULLIF(NEW.callback, ''), NEW.label = NULLIF(NEW.label, ''),
		NEW.notify = IF(NEW.callback IS NULL, 0, 504), -- every settled state
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
	SET NEW.code_name = NULL, NEW.cluster_name = NULL, NEW.cluster_id = NULL, NEW.delay_s = NULL,
		NEW.payload = NULL, NEW.not_after = NULL;
END
;;

-- The wall, and the history that cannot be forgotten ----------------------------------------------
-- The edges are those of lib/model/task_state.c; a test compares both.

CREATE TRIGGER task_before_update BEFORE UPDATE ON task FOR EACH ROW
BEGIN
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
		IF NEW.notify AND NEW.state <> OLD.state AND NEW.notify & (1 << (NEW.state - 1)) THEN
			INSERT INTO outbox (task_id, number, task_state, url, at, next_at)
				VALUES (NEW.id, NEW.changes, NEW.state, NEW.callback, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6));
		END IF;
	END IF;
END
;;

-- The way in for applications: GRANT INSERT ON queue, and a row in app ------------------------------

CREATE SQL SECURITY DEFINER VIEW queue AS
	SELECT id, code_name, cluster_name, priority, delay_s, payload, label, not_after FROM task
;;

-- The way out: history for people who speak SQL. A view never changes; a new shape is a new _vN -----

CREATE SQL SECURITY DEFINER VIEW task_history_v1 AS
	SELECT LOWER(HEX(t.id)) AS id, p.name AS project, c.name AS code, t.revision, k.name AS cluster,
		t.state, t.attempt, t.priority, t.retry, t.label, t.created_at, t.due_at, t.started_at,
		t.ended_at, TIMESTAMPDIFF(MICROSECOND, t.started_at, t.ended_at) / 1000 AS duration_ms,
		t.exit_code, t.cause, t.note, LOWER(HEX(t.original_task_id)) AS original_task_id,
		LOWER(HEX(t.retry_task_id)) AS retry_task_id
	FROM task t JOIN project p ON p.id = t.project_id JOIN code c ON c.id = t.code_id
		JOIN lane l ON l.id = t.lane_id JOIN cluster k ON k.id = l.cluster_id
;;
CREATE SQL SECURITY DEFINER VIEW attempt_history_v1 AS
	SELECT LOWER(HEX(a.task_id)) AS task_id, a.number, n.name AS node, a.claimed_at, a.started_at,
		a.ended_at, a.exit_code, a.`signal`, a.oom_kills, a.max_rss, a.cpu_us, a.cause, a.note
	FROM attempt a LEFT JOIN node n ON n.id = a.node_id
;;
CREATE SQL SECURITY DEFINER VIEW event_history_v1 AS
	SELECT LOWER(HEX(task_id)) AS task_id, number, attempt, state, at, cause, note FROM event
;;
CREATE SQL SECURITY DEFINER VIEW callback_history_v1 AS
	SELECT LOWER(HEX(task_id)) AS task_id, number, task_state, state, url, at, next_at, tries,
		last_status, last_error, took_ms, delivered_at
	FROM outbox
