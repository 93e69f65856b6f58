-- oldest_program: 1
-- Which engine runs a code's tasks; '' = the first of its node ([node] engines).
ALTER TABLE code ADD COLUMN IF NOT EXISTS engine VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT ''
;;
