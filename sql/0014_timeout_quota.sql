-- oldest_program: 1
-- The longest timeout that tasks of a project may have; NULL: what [limits] timeout_s says.
ALTER TABLE project ADD COLUMN IF NOT EXISTS timeout_most_s INT UNSIGNED NULL
;;
