-- oldest_program: 1
-- Of an array of updates the server also counts what INSERT … SELECT in a trigger wrote, and what the
-- last statement of a procedure that it called did. A settlement of three, of which one was running and told
-- a registered callback, so counted three and left two as they were, for ever. A loop of plain INSERTs and
-- a last statement without rows count nothing.
CREATE OR REPLACE PROCEDURE outbox_add(of_task BINARY(12), of_number INT, kind INT, of_project BINARY(12),
	of_code BINARY(12), notify INT, task_url VARCHAR(2048), hooked INT)
BEGIN
	IF notify & (1 << (kind - 1)) THEN
		INSERT INTO outbox (task_id, number, task_state, project_id, flags, url, at, next_at)
			VALUES (of_task, of_number, kind, of_project, notify >> 14, task_url, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6));
	END IF;
	IF hooked & (1 << (kind - 1)) THEN
		FOR k IN (SELECT id, flags, url FROM callback WHERE project_id = of_project
				AND code_id IN (x'000000000000000000000000', of_code) AND states & (1 << (kind - 1))) DO
			INSERT INTO outbox (task_id, number, task_state, project_id, callback_id, flags, url, at, next_at)
				VALUES (of_task, of_number, kind, of_project, k.id, k.flags, k.url, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6));
		END FOR;
	END IF;
	DO 0;
END
;;
