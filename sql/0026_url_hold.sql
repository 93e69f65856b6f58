-- oldest_program: 1
-- A receiver that asks for patience (Retry-After) is asked nothing more at that URL until then; other URLs of the
-- same host go on. url_id: of the project's id and the URL, by hash (lib/store/url_hold.h).
CREATE TABLE IF NOT EXISTS url_hold (
	url_id BINARY(16) NOT NULL PRIMARY KEY,
	until DATETIME(6) NOT NULL,
	KEY until (until)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
-- waits: why next_at is what it is. by_hand: 1 = redelivered, 2 = alone or a test, tried even at a receiver that rests.
ALTER TABLE outbox
	ADD COLUMN IF NOT EXISTS waits ENUM('retry', 'retry_after', 'receiver', 'paused', 'order', 'call') NULL,
	ADD COLUMN IF NOT EXISTS by_hand TINYINT UNSIGNED NOT NULL DEFAULT 0
