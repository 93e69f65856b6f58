#!/usr/bin/env python3
"""What a node runs is dead before anybody else may have it: a stopped runner, a dead node, one that is cut off from a
living database, side by side. The jobs tell by themselves: each attempt writes the time of every sign of life to a file
that both nodes' containers append to (evidence_runtime.c), and the next one writes its first."""
import os
import shutil
import socket
import time
import unittest

import node
from node import harness

ALIVE = ('say() { read now idle </proc/uptime; echo "$TASK_ID $STOKER_ATTEMPT $now" >>/evidence; }; say; [ $STOKER_ATTEMPT -gt 1 ] && exit 0; '
         "while :; do sleep 0.05; say; done")
DEATH_S = 15  # from a node's death to the next attempt


def uptime():
    """The clock that containers share with this machine, to the hundredth."""
    with open("/proc/uptime") as file:
        return float(file.read().split()[0])


class Fencing(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = harness.scratch("stoker-evidence-")
        cls.stoker = harness.Instance(script=os.path.join(node.HERE, "instance.sh"),
                                      env={"STOKER_EVIDENCE": cls.folder, "STOKER_NODE_SLOTS": "4"})
        cls.nodes = []
        try:
            cls.stoker.start()
            cls.nodes = [node.Node(cls.stoker, n) for n in (1, 2, 3)]
            for each in cls.nodes:
                each.start()
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def tearDownClass(cls):
        for each in cls.nodes:
            each.remove()
        cls.stoker.remove()
        shutil.rmtree(cls.folder, ignore_errors=True)

    def signs(self, task):
        """[(attempt, time)] in the order in which they were written."""
        with open(self.folder + "/attempts") as lines:
            split = [line.split() for line in lines]
        return [(int(attempt), float(at)) for name, attempt, at in split if name == task]

    def test_a_container_is_dead_before_the_next_attempt_begins_and_that_is_soon(self):
        main = socket.gethostname()
        self.assertEqual(self.stoker.admin("node", "drain", main).returncode, 0)
        self.stoker.code("witness", ALIVE)
        time.sleep(4)  # a renewal: then the node knows that it drains
        tasks = [self.stoker.queue("witness") for _ in self.nodes]
        for task in tasks:
            self.stoker.wait_state(task, "running")
        where = {name: task for name, task in self.stoker.sql(
            "SELECT n.name, LOWER(HEX(t.id)) FROM task t JOIN node n ON n.id = t.node_id")}
        self.assertEqual(sorted(where), sorted(each.name for each in self.nodes))
        self.stoker.admin("node", "resume", main)
        began = uptime()
        self.nodes[0].pause()
        self.nodes[1].die()
        self.nodes[2].cut()
        for task in tasks:
            ended = self.stoker.wait_state(task, "complete", seconds=40)
            self.assertEqual(ended["attempt"], 2)
        for each, how in zip(self.nodes, ("stopped", "dead", "cut off")):
            signs = self.signs(where[each.name])
            last = max(at for attempt, at in signs if attempt == 1)
            first = min(at for attempt, at in signs if attempt == 2)
            print("%s: last sign of attempt 1 after %.2f s, first of attempt 2 after %.2f s" % (how, last - began, first - began))
            self.assertLess(last, first, how)
            self.assertEqual([attempt for attempt, _ in signs], sorted(attempt for attempt, _ in signs), how)
            self.assertLess(first - began, DEATH_S, how)
        # who comes back finds that it was lost, and says nothing
        self.nodes[0].resume()
        harness.wait_for(lambda: "session_lost" in self.nodes[0].said(), 10, "the stopped node to notice")
        self.assertEqual({task: self.stoker.task(task)["state"] for task in tasks}, dict.fromkeys(tasks, "complete"))
        done = self.stoker.admin("verify")
        self.assertEqual(done.returncode, 0, done.stdout)


if __name__ == "__main__":
    harness.main()
