#!/usr/bin/env python3
"""The contract of tests/engine/contract.py, kept by the engine swarm, with a manager of the test's own."""
import os
import signal
import socket
import time
import unittest

from contract import DaemonContract, Proxy, main
from node import OK, SWEEP, Node, Swarm, wait_for


class LateManager(Proxy):
    """One that hears later from its nodes which containers they have, than of what these say."""
    hides = True

    def changed(self, target, answer):
        return answer.replace(b'"ContainerID"', b'"_ontainerID"') if self.hides and target.startswith("/tasks") else answer


class SwarmTest(DaemonContract, unittest.TestCase):
    engine = "swarm"
    daemon_class = Swarm
    lossy = ("/secrets/create", "/services/create", "/update?version=")

    def test_kill(self):
        """kill: at once, whatever it ignores"""
        super().test_kill()
        with LateManager(self.daemon.socket) as manager:
            node = Node({self.engine: manager.path})
            try:
                job = node.launch(self.engine, "trap '' TERM; echo up; while :; do sleep 0.1; done", grace=3600000)
                job.wait_output("up")
                job.send(b"K")
                time.sleep(1)
                self.assertFalse(job.has("exit"))
                manager.hides = False
                self.assertEqual("cancelled", job.end()["verdict"])
            finally:
                node.close()

    def test_strays(self):
        """what a dead node left is found by label at start; nothing of others is touched"""
        super().test_strays()
        image = "sha256:" + self.node.image(self.engine).hex()
        made = {}
        for node in ("%s:%s" % (socket.gethostname(), self.node.dir), "another:" + self.node.dir):
            labels = {"stoker.node": node, "stoker.attempt": "0123456789abcdef01234567-1"}
            made[node] = self.daemon.ask("POST", "/containers/create", {"Image": image, "Cmd": ["true"], "Labels": labels,
                                                                        "HostConfig": {"NetworkMode": "none"}})[1]["Id"]
            self.daemon.ask("POST", "/containers/%s/start" % made[node])
            self.daemon.ask("POST", "/containers/%s/wait" % made[node])
        ours, theirs = made.values()  # such as a swarm's one try to take away what is over leaves
        self.assertEqual(OK, self.node.ask(SWEEP)[0])
        wait_for(lambda: ours not in {c["Id"] for c in self.daemon.containers()}, of="the removal of what is left of ours")
        self.assertIn(theirs, {c["Id"] for c in self.daemon.containers()})
        self.daemon.ask("DELETE", "/containers/" + theirs)

    def test_daemon_hangs(self):
        """a daemon that hangs: its jobs end, are cancelled and fenced all the same; the engine oci launches"""
        node = self.new_node()
        try:
            ends = node.launch(self.engine, "echo up; sleep 0.5; echo late; exit 6")
            cancelled = node.launch(self.engine, "echo up; sleep 3600", grace=100)
            for job in (ends, cancelled):
                job.wait_output("up")
            self.daemon.process.send_signal(signal.SIGSTOP)
            try:
                cancelled.send(b"C")
                waits = node.launch(self.engine, "echo never")
                other = node.launch("oci", "echo beside")
                self.assertEqual(OK, other.status, other.message)
                self.assertEqual("exited", other.end()["verdict"])
                waits.send(b"C")
                self.assertEqual("cancelled", waits.wait_exit()["verdict"])
                self.assertFalse(cancelled.has("exit"))  # not known to be dead
            finally:
                self.daemon.process.send_signal(signal.SIGCONT)
            self.assertEqual("cancelled", cancelled.end()["verdict"])
            end = ends.end()
            self.assertEqual(("exited", 6, "up\nlate\n"), (end["verdict"], end["code"], ends.out()))
            fenced = node.launch(self.engine, "echo up; sleep 3600")
            fenced.wait_output("up")
            self.daemon.process.send_signal(signal.SIGSTOP)
            try:
                node.set_lease(-1)
                self.assertEqual("fenced", fenced.wait_exit()["verdict"])
            finally:
                self.daemon.process.send_signal(signal.SIGCONT)
            for job in (fenced, waits):
                job.wait_gone()
            wait_for(lambda: node.ask(SWEEP) and not any(self.daemon.has(j) for j in (ends, cancelled, fenced, waits)),
                     of="the removal of the services")
            self.says("ends and cancels are told when it is back; fenced all the same; the engine oci launches")
        finally:
            node.close()

    def test_zz_restart(self):
        """the daemon restarts, or is killed: with live-restore no byte is lost; without, `killed`, cause engine restarted"""
        for how in (signal.SIGKILL, signal.SIGTERM):
            job = self.running()
            with open("/proc/%d/task/%d/children" % (job.monitor, job.monitor)) as children:
                agent, = map(int, children.read().split())
            if how == signal.SIGKILL:
                os.kill(agent, signal.SIGSTOP)  # as on a machine that is slow: the manager was away between two looks
            self.daemon.stop(how)
            self.daemon.start()
            wait_for(lambda: not self.daemon.ask("GET", "/containers/json")[1], of="the end of the container")
            if how == signal.SIGKILL:
                os.kill(agent, signal.SIGCONT)
            end = job.end()
            self.assertEqual(("signaled", 9, 1), (end["verdict"], end["signal"], end["engine_restarted"]), end)
        self.says("`killed`, engine restarted: a swarm knows no live-restore")


if __name__ == "__main__":
    main(SwarmTest)
