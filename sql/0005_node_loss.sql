-- oldest_program: 1
-- What may become of tasks whose node is lost. Programs of earlier versions go on as before: they start
-- such a task again, and count no suspects.

-- again: a lost node's task gets its next attempt; fail: it ends, and is never started twice.
ALTER TABLE code ADD COLUMN IF NOT EXISTS on_node_loss ENUM('again', 'fail') NOT NULL DEFAULT 'again'
;;
-- 1: its node or runner died under this attempt, or was cut off. The third in 72 hours ends the task.
ALTER TABLE attempt ADD COLUMN IF NOT EXISTS suspect TINYINT NOT NULL DEFAULT 0
