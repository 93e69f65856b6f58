-- oldest_program: 1
-- Zip packages of codes. A package is visible, and whole, once its row is there: the pieces come
-- first, each committed by itself.

CREATE TABLE IF NOT EXISTS package (
	digest BINARY(32) NOT NULL PRIMARY KEY,  -- SHA-256 of the file as it was uploaded
	upload_id BINARY(12) NOT NULL,           -- whose pieces they are
	bytes BIGINT NOT NULL,
	pieces INT NOT NULL,
	md5 BINARY(16) NOT NULL,                 -- IronWorker's latest_checksum
	created_at DATETIME(6) NOT NULL DEFAULT UTC_TIMESTAMP(6),
	used_at DATETIME(6) NOT NULL DEFAULT UTC_TIMESTAMP(6), -- last named by an upload
	KEY used_at (used_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
CREATE TABLE IF NOT EXISTS package_piece (
	upload_id BINARY(12) NOT NULL,
	number INT NOT NULL,                     -- from 0
	body MEDIUMBLOB NOT NULL,                -- 256 KiB, the last one less
	PRIMARY KEY (upload_id, number)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
-- Pieces without a package: of an upload that goes on, or (dropped_at) that the scheduler deletes.
CREATE TABLE IF NOT EXISTS package_upload (
	id BINARY(12) NOT NULL PRIMARY KEY,
	project_id BINARY(12) NOT NULL,
	started_at DATETIME(6) NOT NULL DEFAULT UTC_TIMESTAMP(6),
	dropped_at DATETIME(6) NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
ALTER TABLE revision
	ADD COLUMN IF NOT EXISTS package BINARY(32) NULL,                -- digest; NULL = image alone
	ADD COLUMN IF NOT EXISTS package_name VARCHAR(255) NOT NULL DEFAULT '', -- of the file as it was uploaded
	ADD COLUMN IF NOT EXISTS runtime VARCHAR(64) NOT NULL DEFAULT '',
	ADD COLUMN IF NOT EXISTS stack VARCHAR(64) NOT NULL DEFAULT '',
	ADD COLUMN IF NOT EXISTS file_name VARCHAR(1024) NOT NULL DEFAULT '',   -- what is run in the package
	ADD KEY IF NOT EXISTS package (package)
