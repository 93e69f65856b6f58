-- oldest_program: 1
-- Who ends a pause says why, as who begins it does.
ALTER TABLE schedule_pause
	ADD COLUMN IF NOT EXISTS resume_reason VARCHAR(500) NOT NULL DEFAULT ''
;;
