-- oldest_program: 1
-- Deliveries that are over and older than so many days, with their tries, of a range of numbers: deleted by this
-- alone, so that no program may delete what still waits.
-- What ended before `before` may be gone; later rows are all there (stoker admin verify).
CREATE TABLE IF NOT EXISTS delivery_horizon (
	id TINYINT NOT NULL PRIMARY KEY,
	`before` DATETIME(6) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
INSERT IGNORE INTO delivery_horizon (id, `before`) VALUES (1, '2000-01-01')
;;
CREATE OR REPLACE PROCEDURE delivery_purge(days INT, above BIGINT, up_to BIGINT)
BEGIN
	UPDATE delivery_horizon SET `before` = GREATEST(`before`, UTC_TIMESTAMP(6) - INTERVAL GREATEST(days, 1) DAY);
	DELETE FROM outbox WHERE id > above AND id <= up_to AND state <> 'waiting'
		AND COALESCE(delivered_at, at) < UTC_TIMESTAMP(6) - INTERVAL GREATEST(days, 1) DAY;
	DELETE FROM delivery WHERE outbox_id > above AND outbox_id <= up_to
		AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.id = delivery.outbox_id);
END
