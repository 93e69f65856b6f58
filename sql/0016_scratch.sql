-- oldest_program: 1
-- Where a code's jobs write: memory, which counts as theirs, or a disk of their own.
ALTER TABLE code ADD COLUMN IF NOT EXISTS scratch ENUM('memory', 'disk') NOT NULL DEFAULT 'memory'
