#!/usr/bin/env python3
"""Tasks whose code asks for the engine swarm: two nodes, each in a network namespace of its own. What the engine itself
does is the contract of tests/engine."""
import os
import sys
import unittest
import zipfile

import harness

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "engine"))
from node import SwarmNode  # noqa: E402


class SwarmFlow(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.manager, cls.worker = SwarmNode(1), SwarmNode(2)
        for node in (cls.worker, cls.manager):
            cls.addClassCleanup(node.close)
        cls.manager.link(cls.worker)
        cls.manager.start()
        cls.worker.start()
        cls.manager.lead()
        cls.worker.join(cls.manager)
        cls.worker.node_id = cls.worker.id()
        cls.stoker = harness.Instance(env={"STOKER_NODE_ENGINES": "oci, swarm", "STOKER_NODE_SWARM_SOCKET": cls.manager.socket})
        cls.addClassCleanup(cls.stoker.remove)
        cls.stoker.start()

    def attempts(self, task):
        return self.stoker.sql("SELECT number, IFNULL(cause, '') FROM attempt WHERE task_id = UNHEX('%s') ORDER BY number" % task)

    def test_a_job_of_an_image_that_only_the_manager_has(self):
        self.stoker.code("plain", "sh -c 'cat $PAYLOAD_FILE; echo to stderr >&2; hostname; exit 3'", engine="swarm", retries=0)
        task = self.stoker.run_task("plain", payload="the payload ")
        self.assertEqual(("error", "exit", 3), (task["state"], task["cause"], task["exit_code"]), task)
        log = self.stoker.task_log(task["id"]).decode()
        self.assertIn("the payload ", log)
        self.assertIn("to stderr", log)
        self.assertIn(task["id"], log)

    def test_a_the_doctor_asks_the_manager(self):
        self.assertRegex(self.stoker.admin("doctor").stdout,
                         r"(?m)^ok +swarm +.*version \S+ manages a swarm of 2 nodes at " + self.manager.socket)
        self.stoker.env["STOKER_NODE_SWARM_SOCKET"] = self.worker.socket
        try:
            self.assertRegex(self.stoker.admin("doctor").stdout,
                             r"(?m)^warn +swarm +the daemon at %s is no manager of a swarm" % self.worker.socket)
        finally:
            self.stoker.env["STOKER_NODE_SWARM_SOCKET"] = self.manager.socket

    def test_b_a_package(self):
        path = os.path.join(self.manager.dir, "package.zip")
        with zipfile.ZipFile(path, "w") as z:
            z.writestr("run.sh", "true\n")
        done = self.stoker.cli("code", "register", "packed", "--zip", path, "--runtime", "sh", "--file", "run.sh", "--engine", "swarm")
        self.assertEqual(0, done.returncode, done.stderr)
        task = self.stoker.run_task("packed")
        self.assertEqual(("error", "launch"), (task["state"], task["cause"]))
        self.assertIn("the engine swarm brings no package to its nodes, and the code has one", task["note"])

    def test_c_the_runner_is_killed(self):
        self.stoker.code("long", "sh -c 'echo begun; while ! [ -e /tmp/no ]; do sleep 0.2; done'", engine="swarm")
        task = self.stoker.queue("long")
        self.stoker.wait_state(task, "running")
        was = self.stoker.kill("runner")
        self.stoker.wait_restarted("runner", was)
        self.assertEqual(200, self.stoker.post("tasks/%s/cancel" % task).status)
        self.assertEqual("cancelled", self.stoker.wait_state(task, *harness.SETTLED)["state"])
        self.assertEqual(1, len(self.attempts(task)))

    def run_on_the_worker(self):
        """A task whose first attempt waits there; its second may run on the manager."""
        self.manager.bring_image("busybox", self.worker)
        self.manager.availability(self.manager.id(), "drain")
        self.stoker.code("again", "sh -c 'if [ $STOKER_ATTEMPT = 1 ]; then echo first; sleep 3600; fi; echo attempt $STOKER_ATTEMPT'",
                         engine="swarm", retries=0)
        task = self.stoker.queue("again")
        self.stoker.wait_state(task, "running")
        self.assertEqual(1, len(self.worker.containers()))
        self.manager.availability(self.manager.id(), "active")
        return task

    def wait_down(self):
        harness.wait_for(lambda: self.manager.state(self.worker.node_id) == "down", 60, "the manager to miss its node")
        harness.wait_for(lambda: not self.manager.services(), 60, "the service to be removed")

    def ends_elsewhere(self, task):
        done = self.stoker.wait_state(task, *harness.SETTLED, seconds=90)
        self.assertEqual("complete", done["state"], done)
        self.assertEqual([["1", "engine_restarted"], ["2", "exit"]], [list(a) for a in self.attempts(task)])
        self.assertIn(b"attempt 2", self.stoker.task_log(task))

    def test_d_a_node_is_out_of_reach(self):
        task = self.run_on_the_worker()
        self.worker.cut(True)
        self.wait_down()
        self.assertEqual(1, len(self.worker.containers()))  # down, and it runs all the same
        self.assertEqual(1, len(self.attempts(task)))
        self.worker.cut(False)
        self.ends_elsewhere(task)
        # what is over the swarm takes away in its own time
        harness.wait_for(lambda: not self.worker.containers(), 60, "the worker's containers to be gone")

    def test_e_a_node_dies(self):
        harness.wait_for(lambda: self.manager.state(self.worker.node_id) == "ready", 60, "the node to be back")
        task = self.run_on_the_worker()
        self.worker.die()
        self.wait_down()
        self.assertEqual(1, len(self.attempts(task)))
        self.assertEqual(200, self.manager.ask("DELETE", "/nodes/%s?force=true" % self.worker.node_id)[0])
        self.ends_elsewhere(task)


if __name__ == "__main__":
    unittest.main()
