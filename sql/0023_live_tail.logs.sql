-- oldest_program: 1
-- The newest output of a running attempt behind the part that is kept from its beginning: for those who follow it.
-- What is kept at the end comes from the node once more, as chunks; these go then, and older ones meanwhile.
ALTER TABLE log_head ADD COLUMN IF NOT EXISTS live BIGINT NOT NULL DEFAULT 0 -- end of the last of them; they count while that is behind `bytes`
;;
CREATE TABLE IF NOT EXISTS log_live (
	task_id BINARY(12) NOT NULL,
	attempt SMALLINT UNSIGNED NOT NULL,
	first_byte BIGINT NOT NULL,
	first_line BIGINT NOT NULL,
	line_count INT NOT NULL,
	bytes INT NOT NULL,
	first_at DATETIME(6) NOT NULL,
	pieces BLOB NOT NULL,
	body MEDIUMBLOB NOT NULL,
	day INT NOT NULL,
	PRIMARY KEY (task_id, attempt, first_byte),
	KEY day (day)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
-- Late and doubled ones and those of a closed log are refused.
CREATE OR REPLACE TRIGGER log_live_before_insert BEFORE INSERT ON log_live FOR EACH ROW
BEGIN
	UPDATE log_head SET live = NEW.first_byte + NEW.bytes
		WHERE task_id = NEW.task_id AND attempt = NEW.attempt AND closed = 0
			AND bytes <= NEW.first_byte AND live <= NEW.first_byte;
	IF ROW_COUNT() <> 1 THEN
		SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31004,
			MESSAGE_TEXT = 'this output is not newer than that of an open log';
	END IF;
END
