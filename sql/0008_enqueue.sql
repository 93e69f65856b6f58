-- oldest_program: 1
-- An enqueue by a program that knows its lane brings a whole row, times included (UTC_TIMESTAMP(6) in
-- its VALUES); the trigger then only compares. Each SET of a trigger costs as much as a column costs a
-- hundred times, and the look-up of the revision cost a quarter of the statement: the API now waits
-- until nobody remembers an old revision before it answers that there is a new one (fcgi/targets.h).
-- Rows that are not whole (applications by the view `queue`, programs of version 7 and older) go the
-- long way, as before.
-- The states of which callbacks registered for its project or code want to be told, as it was when it was
-- queued: what is registered later is told of later tasks. (The trigger on updates must not look that up:
-- a SELECT … INTO there adds one to the rows that an array of updates says it changed.)
ALTER TABLE task ADD COLUMN IF NOT EXISTS hooks SMALLINT UNSIGNED NOT NULL DEFAULT 0
;;
CREATE OR REPLACE TRIGGER task_before_insert BEFORE INSERT ON task FOR EACH ROW
BEGIN
	-- whole: what the long way below would make of it
	IF NEW.lane_id > 0 AND NEW.not_after < UTC_TIMESTAMP(6) IS NOT TRUE AND NEW.created_at = UTC_TIMESTAMP(6)
			AND NEW.updated_at = NEW.created_at AND NEW.due_at >= NEW.created_at
			AND NEW.rank_at = NEW.due_at - INTERVAL NEW.priority * NEW.head_start_s SECOND
			AND NEW.state = 'queued' AND NEW.changes = 1 AND NEW.attempt = 0 AND NEW.percent = 0
			AND NEW.priority >= 0 AND (NEW.notify & 2047 = 0) = (NEW.callback IS NULL)
			AND NEW.callback <> '' IS NOT FALSE AND NEW.label <> '' IS NOT FALSE
			AND NEW.id <> x'000000000000000000000000'
			AND COALESCE(NEW.started_at, NEW.ended_at, NEW.node_id, NEW.node_session, NEW.exit_code,
				NEW.cause, NEW.note, NEW.msg, NEW.retry_task_id, NEW.code_name, NEW.cluster_name,
				NEW.delay_s) IS NULL THEN
		BEGIN END;
	ELSE BEGIN
		DECLARE hooked INT;
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
			NEW.retry_task_id = NULL, NEW.hooks = IFNULL(hooked, 0);
		SET NEW.code_name = NULL, NEW.cluster_name = NULL, NEW.delay_s = NULL,
			NEW.payload = NULLIF(NEW.payload, '');
	END; END IF;
	IF NEW.payload <> '' THEN
		INSERT INTO payload (task_id, body) VALUES (NEW.id, NEW.payload);
		SET NEW.payload = NULL;
	END IF;
	IF NEW.due_at <= UTC_TIMESTAMP(6) THEN
		INSERT INTO ready (lane_id, rank_at, task_id, place, attempt)
			VALUES (NEW.lane_id, NEW.rank_at, NEW.id, NEW.cluster_id, 0);
	ELSE
		INSERT INTO `delayed` (due_at, task_id, lane_id, rank_at, place, attempt)
			VALUES (NEW.due_at, NEW.id, NEW.lane_id, NEW.rank_at, NEW.cluster_id, 0);
	END IF;
	INSERT INTO event (task_id, number, attempt, state, at) VALUES (NEW.id, 1, 0, 'queued', UTC_TIMESTAMP(6));
	IF (NEW.notify | NEW.hooks) & 1 THEN
		CALL outbox_add(NEW.id, 1, 1, NEW.project_id, NEW.code_id, NEW.notify, NEW.callback, NEW.hooks);
	END IF;
END
;;
CREATE OR REPLACE TRIGGER task_before_update BEFORE UPDATE ON task FOR EACH ROW
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
		IF NEW.state <> OLD.state AND NEW.state <> 'preparing' THEN
			IF (NEW.notify | NEW.hooks) & (1 << (NEW.state - 1)) THEN
				CALL outbox_add(NEW.id, NEW.changes, NEW.state, NEW.project_id, NEW.code_id, NEW.notify,
					NEW.callback, NEW.hooks);
			END IF;
			IF (NEW.notify | NEW.hooks) & 1536 AND NEW.state IN ('error', 'timeout', 'killed') THEN
				CALL outbox_add(NEW.id, NEW.changes, IF(NEW.retry_task_id IS NULL, 11, 10), NEW.project_id,
					NEW.code_id, NEW.notify, NEW.callback, NEW.hooks);
			END IF;
		END IF;
	END IF;
END
