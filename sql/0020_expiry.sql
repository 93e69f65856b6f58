-- oldest_program: 1
-- Tasks that are dropped if nothing has started them by a time. A table beside: who says no such time pays
-- nothing for it when he queues.
CREATE TABLE IF NOT EXISTS expiry (
	task_id BINARY(12) NOT NULL PRIMARY KEY,
	expires_at DATETIME(6) NOT NULL,
	look_at DATETIME(6) NULL,                     -- when a scheduler looks (again); NULL: it is decided
	KEY look_at (look_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
