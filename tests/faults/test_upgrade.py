#!/usr/bin/env python3
"""A runner ends and the next one takes over, with fifty jobs at work; then the node is drained."""
import os
import signal
import socket
import time

from node import harness


def numbers(n):
    return b"".join(b"%d\n" % i for i in range(n))


class Upgrade(harness.FlowTest):
    ENV = {"STOKER_NODE_SLOTS": "50", "STOKER_NODE_MEMORY_MB": "16"}

    def lease_left(self):
        """Seconds of the newest lease, in its row and in the node's file."""
        row = self.stoker.sql("SELECT TIMESTAMPDIFF(SECOND, NOW(6), lease_until) FROM node ORDER BY id DESC LIMIT 1")
        with open(self.stoker.node + "/lease", "rb") as file:
            deadline = int.from_bytes(file.read(8), "little") / 1e6
        return int(row[0][0]), deadline - time.clock_gettime(time.CLOCK_BOOTTIME)

    def test_an_upgrade_and_a_drain_with_fifty_jobs_kill_none_and_lose_no_byte(self):
        n = 50
        self.stoker.code("fifty", "i=0; while [ $i -lt %d ]; do echo $i; i=$((i+1)); sleep 0.5; done" % n)
        body = {"tasks": [{"code_name": "fifty"}] * 50}
        ids = [task["id"] for task in self.stoker.post("tasks", body).json["tasks"]]
        harness.wait_for(lambda: self.stoker.sql("SELECT COUNT(*) FROM task WHERE state = 'running'") == [("50",)], 40, "50 jobs")
        keeper = self.stoker.pid("keeper")
        os.kill(keeper, signal.SIGSTOP)  # the new program takes longer than a lease to come
        try:
            old = self.stoker.kill("runner", signal.SIGTERM)
            harness.wait_for(lambda: not harness.process_exists(old), 10, "the old runner to end")
            for left in self.lease_left():
                self.assertGreater(left, 45)
                self.assertLess(left, 61)
            time.sleep(14)
        finally:
            os.kill(keeper, signal.SIGCONT)
        self.stoker.wait_restarted("runner", old)
        harness.wait_for(lambda: "session_resumed" in self.stoker.log("runner"), 10, "the session to be taken over")
        self.assertEqual(self.stoker.admin("node", "drain", socket.gethostname()).returncode, 0)
        time.sleep(4)  # a renewal: then the node knows
        late = self.stoker.queue("fifty")
        for task in ids:
            ended = self.stoker.wait_state(task, *harness.SETTLED, seconds=60)
            self.assertEqual((ended["state"], ended["attempt"]), ("complete", 1), ended)
            self.assertEqual(self.stoker.task_log(task), numbers(n))
        self.assertEqual(self.stoker.task(late)["state"], "queued")
        self.stoker.admin("node", "resume", socket.gethostname())
        self.stoker.wait_state(late, "running", seconds=10)


if __name__ == "__main__":
    harness.main()
