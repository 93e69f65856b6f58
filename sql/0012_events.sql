-- oldest_program: 1
-- The stream of events: a place in the order in which they are told, and whose they are. Both are NULL
-- until the scheduler gives them (lib/store/event_store.c), one batch at a time and so in the order of
-- its commits: who has read up to a place misses nothing, however late the transaction that wrote an
-- event commits.
ALTER TABLE event
	ADD COLUMN IF NOT EXISTS project_id BINARY(12) NULL,
	ADD COLUMN IF NOT EXISTS place BIGINT NULL,
	ADD KEY IF NOT EXISTS stream (project_id, place)
;;
-- One row: who writes it has the turn to give places.
CREATE TABLE IF NOT EXISTS event_turn (
	id TINYINT NOT NULL PRIMARY KEY,
	place BIGINT NOT NULL DEFAULT 0,              -- the last one given
	asked_at DATETIME(6) NULL                     -- when somebody read last, to a few seconds
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
INSERT IGNORE INTO event_turn (id) VALUES (1)
;;
