#!/usr/bin/env python3
"""What a node runs is dead before anybody else may have it: a stopped runner, a dead node, one that is cut off from a
living database, each engine's jobs, side by side. The jobs tell by themselves: each attempt writes the time of every sign of
life to a file that all nodes' containers append to (evidence_runtime.c), and the next one writes its first."""
import os
import shutil
import socket
import time
import unittest

import node
from node import harness
from witnessed import Daemons

ALIVE = ('say() { read now idle </proc/uptime; echo "$TASK_ID $STOKER_ATTEMPT $now" >>/evidence; }; say; [ $STOKER_ATTEMPT -gt 1 ] && exit 0; '
         "while :; do sleep 0.05; say; done")
LEASE_S = 12
DEATH_S = 15  # from a node's death to the next attempt
ENGINES = ("oci", "docker", "podman", "swarm")
WAYS = (("stopped", node.Node.pause), ("dead", node.Node.die), ("cut off", node.Node.cut))


class Fencing(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = harness.scratch("stoker-evidence-")
        cls.daemons = Daemons()
        cls.stoker = harness.Instance(script=os.path.join(node.HERE, "instance.sh"),
                                      env=dict(cls.daemons.env, STOKER_EVIDENCE=cls.folder,
                                               STOKER_NODE_SLOTS=str(len(ENGINES) * len(WAYS))))
        cls.nodes = []
        try:
            cls.stoker.start()
            cls.daemons.start(cls.stoker)
            cls.nodes = [node.Node(cls.stoker, n + 1) for n in range(len(ENGINES) * len(WAYS))]
            for each in cls.nodes:
                each.start()
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def tearDownClass(cls):
        for each in cls.nodes:
            each.remove()
        cls.daemons.close()
        cls.stoker.remove()
        shutil.rmtree(cls.folder, ignore_errors=True)

    def signs(self, task):
        """[(attempt, time)] in the order in which they were written."""
        with open(self.folder + "/attempts") as lines:
            split = [line.split() for line in lines]
        return [(int(attempt), float(at)) for name, attempt, at in split if name == task]

    def start_witnesses(self):
        """{task: (engine, way, node)}, each on a node of its own, none on the instance's."""
        main = socket.gethostname()
        self.assertEqual(self.stoker.admin("node", "drain", main).returncode, 0)
        time.sleep(4)  # a renewal: then the node knows that it drains
        tasks = {}
        for engine in ENGINES:
            self.stoker.code("witness-" + engine, ALIVE, engine=engine)
            self.stoker.code("warm-" + engine, "true", engine=engine)
            for how in WAYS:
                # one after the other: what waits for its image holds no slot, and its node would claim another one
                task = self.stoker.queue("witness-" + engine)
                self.stoker.wait_state(task, "running")
                tasks[task] = engine, how
        where = dict(self.stoker.sql("SELECT LOWER(HEX(t.id)), n.name FROM task t JOIN node n ON n.id = t.node_id WHERE t.state = 'running'"))
        self.assertEqual(sorted(where.values()), sorted(each.name for each in self.nodes))
        named = {each.name: each for each in self.nodes}
        harness.wait_for(lambda: all(self.signs(task) for task in tasks), 20, "a sign of each")
        self.stoker.admin("node", "resume", main)
        for engine in ENGINES:  # it knows their images then; nobody else has a slot
            self.assertEqual(self.stoker.run_task("warm-" + engine)["state"], "complete", engine)
        return {task: (engine, way, named[where[task]]) for task, (engine, way) in tasks.items()}

    def test_a_container_is_dead_before_the_next_attempt_begins_and_that_is_soon(self):
        witnesses = self.start_witnesses()
        began = {}
        for task, (_, (_, do), at) in witnesses.items():
            began[task] = node.uptime()
            do(at)
        for task in witnesses:
            ended = self.stoker.wait_state(task, "complete", seconds=40)
            self.assertEqual(ended["attempt"], 2)
        for task, (engine, (way, _), _) in witnesses.items():
            signs = self.signs(task)
            last = max(at for attempt, at in signs if attempt == 1)
            first = min(at for attempt, at in signs if attempt == 2)
            what = "%s, its node %s: last sign of attempt 1 after %.2f s, first of attempt 2 after %.2f s" % (
                engine, way, last - began[task], first - began[task])
            print(what)
            self.assertLess(last, first, what)
            self.assertEqual([attempt for attempt, _ in signs], sorted(attempt for attempt, _ in signs), what)
            # a swarm's container outlives its node, and what dockerd then takes to end it is dockerd's
            late = max(last - began[task] - LEASE_S, 0) if engine == "swarm" else 0
            self.assertLess(first - began[task] - late, DEATH_S, what)
        # who comes back finds that it was lost, and says nothing
        for task, (_, (way, _), at) in witnesses.items():
            if way == "stopped":
                at.resume()
                harness.wait_for(lambda: "session_lost" in at.said(), 10, "the stopped node to notice")
        self.assertEqual({task: self.stoker.task(task)["state"] for task in witnesses}, dict.fromkeys(witnesses, "complete"))
        done = self.stoker.admin("verify")
        self.assertEqual(done.returncode, 0, done.stdout)


if __name__ == "__main__":
    harness.main()
