-- oldest_program: 1
-- Values that are masked in what jobs print, of a project or of one code, sealed with the key of
-- [secrets] key_file.
CREATE TABLE IF NOT EXISTS secret (
	project_id BINARY(12) NOT NULL,
	code_id BINARY(12) NOT NULL,                  -- zeroes = every code
	name VARCHAR(100) NOT NULL,
	sealed VARBINARY(8300) NOT NULL,
	created_at DATETIME(6) NOT NULL DEFAULT UTC_TIMESTAMP(6),
	PRIMARY KEY (project_id, code_id, name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
;;
