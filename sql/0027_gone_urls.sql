-- oldest_program: 1
-- A code's callback whose receiver answered 410: nothing is sent there for its tasks until it is set anew, or resumed.
ALTER TABLE code ADD COLUMN IF NOT EXISTS callback_gone_at DATETIME(6) NULL
;;
-- named: 1 = its webhook-id is a name of its own in all the world (lib/model/callback.h). Rows from before keep theirs,
-- their number.
ALTER TABLE outbox ADD COLUMN IF NOT EXISTS named TINYINT UNSIGNED NOT NULL DEFAULT 0
;;
ALTER TABLE outbox ALTER COLUMN named SET DEFAULT 1
