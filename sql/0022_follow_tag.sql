-- oldest_program: 1
-- A code's image may follow its tag: what that means is looked up again, at most every so many seconds (0 = once for
-- each revision, for all time). And its jobs may have one pipe for both streams.
ALTER TABLE code ADD COLUMN IF NOT EXISTS follow_tag_s INT NOT NULL DEFAULT 0,
	ADD COLUMN IF NOT EXISTS output ENUM('apart', 'merged') NOT NULL DEFAULT 'apart'
;;
ALTER TABLE revision ADD COLUMN IF NOT EXISTS looked_up_at DATETIME(6) NULL -- the digest, last, of a code that follows its tag
;;
