-- oldest_program: 1
-- Words of a project: the values of payload keys that have one in them are not shown. A line each, in lower case.
ALTER TABLE project ADD COLUMN IF NOT EXISTS payload_keys VARCHAR(2048) NOT NULL DEFAULT ''
