#!/usr/bin/env python3
"""Old beside new: the next migration, made up, is applied under running programs and load; the programs of today go on, also
when they start anew. One that says that they are too old is refused by each that starts."""
import os
import re
import shutil
import signal
import threading
import time

from node import harness

MIGRATION = """-- oldest_program: %d
-- Made up by a test: what a next version might want.
ALTER TABLE task ADD COLUMN IF NOT EXISTS made_up INT NOT NULL DEFAULT 7
;;
ALTER TABLE ready ADD COLUMN IF NOT EXISTS made_up INT NOT NULL DEFAULT 7
;;
CREATE TABLE IF NOT EXISTS made_up (id BINARY(12) NOT NULL PRIMARY KEY) ENGINE=InnoDB
"""


class Versions(harness.FlowTest):
    def migrations(self, oldest, ahead):
        """The folder of migrations, with one more."""
        folder = harness.scratch()
        self.addCleanup(shutil.rmtree, folder)
        shutil.copytree(os.path.join(harness.TOP, "sql"), folder + "/sql")
        newest = max(int(name[:4]) for name in os.listdir(folder + "/sql") if re.match(r"\d{4}_", name))
        with open("%s/sql/%04d_made_up.sql" % (folder, newest + ahead), "w") as file:
            file.write(MIGRATION % (oldest or newest + ahead))
        return folder + "/sql"

    def queue_until(self, stopped, ids, strange):
        while not stopped.is_set():
            reply = self.stoker.post("tasks", {"tasks": [{"code_name": "small"}]})
            if reply.status == 200:
                ids.append(reply.json["tasks"][0]["id"])
            elif reply.status not in (502, 503):
                strange.append(reply)
            time.sleep(0.03)

    def test_a_next_migration_goes_in_under_load_and_the_programs_of_today_go_on(self):
        self.stoker.code("small", "echo $TASK_ID")
        stopped, ids, strange = threading.Event(), [], []
        load = threading.Thread(target=self.queue_until, args=(stopped, ids, strange))
        load.start()
        try:
            time.sleep(1)
            done = self.stoker.admin("migrate", "--sql", self.migrations(1, 1))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(self.stoker.sql("SELECT COUNT(*) FROM made_up"), [("0",)])
            for role in ("runner", "scheduler", "courier", "api"):  # each begins with the new schema before it
                old = self.stoker.kill(role, signal.SIGTERM)
                self.stoker.wait_restarted(role, old)
            time.sleep(1)
        finally:
            stopped.set()
            load.join()
        self.assertEqual(strange, [])
        for task in ids:
            self.stoker.wait_state(task, "complete", seconds=60)
        done = self.stoker.admin("verify")
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_programs_that_are_too_old_for_the_schema_do_not_start(self):
        done = self.stoker.admin("migrate", "--sql", self.migrations(None, 2))
        self.assertEqual(done.returncode, 0, done.stderr)
        try:
            for role in ("scheduler", "runner", "courier"):
                self.stoker.kill(role, signal.SIGTERM)
                harness.wait_for(lambda: "schema wants programs of version" in self.stoker.log(role), 15, "%s to refuse it" % role)
            old = self.stoker.kill("api", signal.SIGTERM)
            self.stoker.wait_restarted("api", old)
            harness.wait_for(lambda: self.stoker.get("/readyz", token=False).status == 503, 5, "an API that is not ready")
            self.assertEqual(self.stoker.post("tasks", {"tasks": [{"code_name": "small"}]}).status, 503)
            self.assertIn("schema wants programs of version", self.stoker.admin("node", "list").stderr)
        finally:
            self.stoker.sql("DELETE FROM `schema` WHERE oldest_program > 1")


if __name__ == "__main__":
    harness.main()
