#!/usr/bin/env python3
"""One of three runners is killed while all work at 80 % of what they can, and comes back: what it would have done waits for
the others or for it, and is made up for soon."""
import collections
import sys
import threading
import time

import node
from node import harness

SLOTS = 3  # of each node
JOB_S = 3  # far longer than what a container costs: slots are what is scarce, not this machine
AWAY_S = 3
GOOD, FULL_AGAIN_S = 0.85, 10
JUDGED_S = 2 * JOB_S  # of full goodput again
ALL_BUSY = 0.9  # of the slots: between two jobs one is free for a moment

Job = collections.namedtuple("Job", "queued claimed node ended")


class Runners(harness.FlowTest):
    ENV = {"STOKER_NODE_SLOTS": str(SLOTS)}

    def setUp(self):
        self.nodes = [node.Node(self.stoker, n, slots=SLOTS) for n in (1, 2)]
        self.addCleanup(lambda: [each.remove() for each in self.nodes])
        for each in self.nodes:
            each.start()
        self.stoker.code("work", "sleep %s" % JOB_S)

    def ended(self):
        return int(self.stoker.sql("SELECT COUNT(*) FROM task WHERE state = 'complete'")[0][0])

    def now(self):
        """By the clock that all times of tasks are of."""
        return float(self.stoker.sql("SELECT UNIX_TIMESTAMP(NOW(6))")[0][0])

    def capacity(self):
        """Jobs a second: by how long each holds its slot when all are full."""
        n = 2 * 3 * SLOTS
        self.stoker.post("tasks", {"tasks": [{"code_name": "work"}] * n})
        harness.wait_for(lambda: self.ended() == n, 60, "all jobs")
        held = [job.ended - job.claimed for job in self.jobs()]
        return 3 * SLOTS / (sum(held) / n)

    def jobs(self):
        """All of them in the order in which they were accepted, with None for what has not come yet."""
        rows = self.stoker.sql(
            "SET time_zone = '+00:00'; SELECT UNIX_TIMESTAMP(t.created_at), UNIX_TIMESTAMP(a.claimed_at), n.name, (SELECT UNIX_TIMESTAMP(e.at) FROM event e"
            " WHERE e.task_id = t.id AND e.state = 'complete') FROM task t LEFT JOIN attempt a ON a.task_id = t.id"
            " LEFT JOIN node n ON n.id = a.node_id ORDER BY t.created_at")
        return [Job(float(queued), claimed and float(claimed), name, ended and float(ended)) for queued, claimed, name, ended in rows]

    def watch_slots(self):
        """Until the end: no node has more than its slots."""
        while not self.over.wait(0.2):
            rows = self.stoker.sql("SELECT n.name, n.slots, COUNT(*) FROM running r JOIN node n ON n.id = r.node_id GROUP BY n.id")
            self.overfull += [row for row in rows if int(row[2]) > int(row[1])]

    def client(self, rate):
        """Queues so many a second; each order is tried four times in all."""
        began, n = time.monotonic(), 0
        while not self.over.is_set():
            n += 1
            good = any(self.stoker.post("tasks", {"tasks": [{"code_name": "work"}]}).status == 200 for _ in range(4))
            self.answers.append((time.time(), good))
            self.over.wait(max(0, began + n / rate - time.monotonic()))

    def test_a_killed_runner_costs_little_and_is_made_up_for_soon(self):
        rate = 0.8 * self.capacity()
        self.over, self.overfull, self.answers = threading.Event(), [], []
        threads = [threading.Thread(target=self.watch_slots), threading.Thread(target=self.client, args=(rate,))]
        for thread in threads:
            thread.start()
        try:
            killed, back, full = self.rage(rate)
        finally:
            self.over.set()
            for thread in threads:
                thread.join()
        self.assertEqual(self.overfull, [])
        total = int(self.stoker.sql("SELECT COUNT(*) FROM task")[0][0])
        harness.wait_for(lambda: self.ended() == total, 60, "every job to be done")
        self.assertEqual(self.stoker.sql("SELECT COUNT(*) FROM attempt WHERE cause <> 'exit'"), [("0",)])
        self.hear(rate, killed, back, full)

    def is_made_up_for(self, back):
        """Has what was accepted before its return begun, and something new on the node that was away?"""
        jobs = self.jobs()
        return all(job.claimed for job in jobs if job.queued < back) and any(
            job.node == self.nodes[0].name and job.claimed > back for job in jobs)

    def rage(self, rate):
        """When the runner died, was back, and all was made up for; then the load goes on for as long as is judged."""
        harness.wait_for(lambda: len(self.answers) > 5 * rate, 30, "a load")
        killed = self.now()
        self.nodes[0].kill_runner()
        time.sleep(AWAY_S)
        self.nodes[0].start_runner()
        harness.wait_for(lambda: "session_resumed" in self.nodes[0].said(), 30, "its return")
        back = self.now()
        harness.wait_for(lambda: self.is_made_up_for(back), FULL_AGAIN_S, "what was accepted before the return to begin")
        full = self.now()
        time.sleep(JUDGED_S)
        return killed, back, full

    def hear(self, rate, killed, back, full):
        """Of requests, and of jobs: as many end as are accepted, or as many as all slots can at the pace of this machine."""
        until, jobs = full + JUDGED_S, self.jobs()
        meanwhile = [good for at, good in self.answers if killed <= at < back]
        accepted = sum(full <= job.queued < until for job in jobs)
        ended = sum(full <= job.ended < until for job in jobs)
        busy = sum(max(0, min(job.ended, until) - max(job.claimed, full)) for job in jobs) / JUDGED_S
        said = ("%.1f jobs a second offered; %d of %d requests answered while a runner was away; %.1f s after its return all that "
                "it kept waiting had begun; in %d s from then on %d accepted, %d ended, %.1f of %d slots in use" % (
                    rate, sum(meanwhile), len(meanwhile), full - back, JUDGED_S, accepted, ended, busy, 3 * SLOTS))
        print(said, file=sys.stderr)
        self.assertGreaterEqual(sum(meanwhile), GOOD * len(meanwhile), said)
        self.assertTrue(ended >= accepted - SLOTS or busy >= ALL_BUSY * 3 * SLOTS, said)


if __name__ == "__main__":
    harness.main()
