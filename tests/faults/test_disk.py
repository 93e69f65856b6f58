#!/usr/bin/env python3
"""The database's disk is full: what is refused is refused in truth and in time, nothing is half-written, the server lives,
and when a day of output is dropped work goes on by itself."""
import json
import os
import shutil
import subprocess
import time

from node import harness

SIZE_MB, LEFT_MB, BALLAST_MB = 440, 4, 24  # the ballast has room for what MariaDB makes at its start


class Disk(harness.FlowTest):
    """The database lives on a small disk."""

    @classmethod
    def setUpClass(cls):
        # not a tmpfs: when that is full, MariaDB's undo log fails too, and the server ends itself
        cls.disk, cls.image = harness.scratch(), harness.scratch() + "/image"
        with open(cls.image, "wb") as file:
            file.truncate(SIZE_MB << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", cls.image], check=True)
        subprocess.run(["mount", "-o", "loop", cls.image, cls.disk], check=True)
        cls.stoker = harness.Instance(env={"STOKER_INSTANCE_POOL": "32M"})
        try:
            cls.stoker.start()
            cls.move_database()
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def move_database(cls):
        """To the small disk, which it then has for itself."""
        cls.stoker.stop()
        data = cls.stoker.var + "/mariadb"
        owner = os.stat(data)
        subprocess.run(["cp", "-a", data, cls.disk + "/data"], check=True)
        shutil.rmtree(data)
        os.symlink(cls.disk + "/data", data)
        os.lchown(data, owner.st_uid, owner.st_gid)
        cls.stoker.start()

    @classmethod
    def tearDownClass(cls):
        cls.stoker.remove()
        subprocess.run(["umount", "-l", cls.disk], check=True)
        os.rmdir(cls.disk)
        shutil.rmtree(os.path.dirname(cls.image))

    def fill(self):
        """Output of an old day, then a file, until so much is left."""
        self.stoker.sql("INSERT INTO log_head (task_id, attempt, day) VALUES ('old', 1, 1);"
                        " INSERT INTO log_chunk (day, task_id, attempt, number, first_byte, first_line, line_count, bytes, first_at, pieces,"
                        " body) SELECT 1, 'old', 1, seq, seq * 1000000, 0, 0, 1000000, NOW(6), '', REPEAT(MD5(seq), 31250) FROM seq_0_to_39",
                        "stoker_logs")
        with open(self.disk + "/ballast", "wb") as file:
            file.write(b"x" * (BALLAST_MB << 20))
        free = os.statvfs(self.disk)
        with open(self.disk + "/filler", "wb") as file:
            piece = b"x" * 65536
            for _ in range((free.f_bavail * free.f_bsize - LEFT_MB * 1048576) // len(piece)):
                file.write(piece)

    def answers(self):
        try:
            return self.stoker.sql("SELECT 1")
        except AssertionError:
            return None

    def is_stored(self, accepted):
        """These, and nothing of any other."""
        stored = {row[0] for row in self.stoker.sql("SELECT LOWER(HEX(id)) FROM task WHERE state = 'queued'")}
        self.assertEqual(stored, set(accepted))
        rows = self.stoker.sql("SELECT (SELECT COUNT(*) FROM payload), (SELECT COUNT(*) FROM `delayed`)")
        self.assertEqual(rows, [(str(len(accepted)), str(len(accepted)))])

    def refuse_large(self):
        """MariaDB tries for seconds to find room for rows like these, and may die of it (docs/guarantees.md): a 503 is true
        all the same."""
        body = json.dumps({"tasks": [{"code_name": "small", "payload": "x" * 3000000, "delay": 3600}] * 3}).encode()
        for _ in range(3):
            reply = self.stoker.request("POST", "tasks", body, {"Content-Type": "application/json"})
            self.assertEqual(reply.status, 503, reply)
            self.assertTrue(reply.headers.get("retry-after"))
            time.sleep(1.5)

    def test_a_full_disk_refuses_in_truth_and_goes_on_when_a_day_is_dropped(self):
        self.stoker.code("small", "true")
        self.assertEqual(self.stoker.run_task("small")["state"], "complete")
        server = self.stoker.pid("mariadb")
        first = self.stoker.sql("SELECT PARTITION_NAME FROM information_schema.PARTITIONS WHERE TABLE_NAME = 'log_chunk'"
                                " ORDER BY PARTITION_ORDINAL_POSITION LIMIT 1")[0][0]
        self.fill()
        accepted, refused = [], []
        body = json.dumps({"tasks": [{"code_name": "small", "payload": "x" * 6000, "delay": 3600}]}).encode()
        until = time.monotonic() + 60
        while len(refused) < 20 and time.monotonic() < until:
            began = time.monotonic()
            reply = self.stoker.request("POST", "tasks", body, {"Content-Type": "application/json"})
            if reply.status == 200:
                accepted += [task["id"] for task in reply.json["tasks"]]
            else:
                refused.append(reply)
                self.assertLess(time.monotonic() - began, 4)
        self.assertEqual({reply.status for reply in refused}, {503}, "%s\n%s" % (refused[:3], self.stoker.log("mariadb")[-3000:]))
        self.assertTrue(all(reply.headers.get("retry-after") for reply in refused))
        self.assertEqual(self.stoker.pid("mariadb"), server)
        self.is_stored(accepted)
        self.refuse_large()
        # even to drop a partition MariaDB writes a little: that is what ballast is for (docs/guarantees.md)
        os.unlink(self.disk + "/ballast")
        harness.wait_for(self.answers, 60, "the database")
        self.is_stored(accepted)
        self.stoker.sql("ALTER TABLE log_chunk DROP PARTITION " + first, "stoker_logs")
        self.stoker.sql("DELETE FROM log_head WHERE task_id LIKE 'old%'", "stoker_logs")
        self.assertEqual(self.stoker.run_task("small", seconds=20)["state"], "complete")
        self.assertEqual(self.stoker.request("POST", "tasks", body, {"Content-Type": "application/json"}).status, 200)
        done = self.stoker.admin("verify")
        self.assertEqual(done.returncode, 0, done.stdout)


if __name__ == "__main__":
    harness.main()
