#!/usr/bin/env python3
"""One of three runners is killed while all work at 80 % of what they can, and comes back: what it would have done waits for
the others or for it, and is made up for soon."""
import sys
import threading
import time

import node
from node import harness

SLOTS = 3  # of each node
JOB_S = 3  # far longer than what a container costs: slots are what is scarce, not this machine
AWAY_S = 3
GOOD, FULL_AGAIN_S = 0.85, 10


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

    def waiting(self):
        return int(self.stoker.sql("SELECT COUNT(*) FROM ready")[0][0])

    def capacity(self):
        """Jobs a second, all slots full."""
        n = 2 * 3 * SLOTS
        self.stoker.post("tasks", {"tasks": [{"code_name": "work"}] * n})
        harness.wait_for(lambda: self.ended() > 0, 30, "the first job")
        began, first = time.monotonic(), self.ended()
        harness.wait_for(lambda: self.ended() == n, 60, "all jobs")
        return (n - first) / (time.monotonic() - began)

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
            self.answers.append((time.monotonic(), good))
            self.over.wait(max(0, began + n / rate - time.monotonic()))

    def test_a_killed_runner_costs_little_and_is_made_up_for_soon(self):
        rate = 0.8 * self.capacity()
        self.over, self.overfull, self.answers = threading.Event(), [], []
        threads = [threading.Thread(target=self.watch_slots), threading.Thread(target=self.client, args=(rate,))]
        for thread in threads:
            thread.start()
        try:
            self.rage(rate)
        finally:
            self.over.set()
            for thread in threads:
                thread.join()
        self.assertEqual(self.overfull, [])
        total = int(self.stoker.sql("SELECT COUNT(*) FROM task")[0][0])
        harness.wait_for(lambda: self.ended() == total, 60, "every job to be done")
        self.assertEqual(self.stoker.sql("SELECT COUNT(*) FROM attempt WHERE cause <> 'exit'"), [("0",)])

    def rage(self, rate):
        harness.wait_for(lambda: len(self.answers) > 5 * rate, 30, "a load")
        before = self.waiting()
        killed = time.monotonic()
        self.nodes[0].kill_runner()
        time.sleep(AWAY_S)
        self.nodes[0].start_runner()
        harness.wait_for(lambda: "session_resumed" in self.nodes[0].said(), 30, "its return")
        back = time.monotonic()
        meanwhile = [good for at, good in self.answers if at >= killed]
        most = self.waiting()
        # what waited for it is made up for while as much as before comes in
        print("%d waited before, %d at its return, %.1f s after its death" % (before, most, back - killed), file=sys.stderr)
        harness.wait_for(lambda: self.waiting() <= before + SLOTS, FULL_AGAIN_S, "full goodput: %d waited, %d before" % (most, before))
        print("%.1f jobs a second offered; %d of %d requests answered while a runner was away, %d waited at its return and as many "
              "as before %.1f s after it" % (rate, sum(meanwhile), len(meanwhile), most, time.monotonic() - back), file=sys.stderr)
        self.assertGreaterEqual(sum(meanwhile), GOOD * len(meanwhile))


if __name__ == "__main__":
    harness.main()
