-- oldest_program: 1
-- What a try sent and was answered, so that it can be told what was wrong with it, and done again by hand.
ALTER TABLE delivery
	ADD COLUMN IF NOT EXISTS request VARBINARY(4096) NULL,         -- its headers, a line each; NULL = nothing was sent
	ADD COLUMN IF NOT EXISTS request_body MEDIUMBLOB NULL,         -- its first 16 KiB
	ADD COLUMN IF NOT EXISTS request_bytes INT NULL,               -- all of it
	ADD COLUMN IF NOT EXISTS answer_headers VARBINARY(4096) NULL   -- its first lines, without cookies
