#!/usr/bin/env python3
"""The contract of tests/engine/contract.py, kept by the engine docker, with a daemon of the test's own."""
import signal
import unittest

from contract import DaemonContract, main
from node import Docker, wait_for


class DockerTest(DaemonContract, unittest.TestCase):
    engine = "docker"
    daemon_class = Docker

    def test_zz_restart(self):
        """the daemon restarts, or is killed: with live-restore no byte is lost; without, `killed`, cause engine restarted"""
        for how in (signal.SIGTERM, signal.SIGKILL):
            job = self.running()
            self.daemon.stop(how)
            seen = len(job.out())
            wait_for(lambda: len(job.out()) > seen + 100, of="output while there is no daemon")
            self.daemon.start()
            seen = len(job.out())
            wait_for(lambda: len(job.out()) > seen + 100, of="output after the restart")
            job.send(b"K")
            self.assertEqual(("cancelled", 0), tuple(job.end()[k] for k in ("verdict", "engine_restarted")))
            lines = job.out().splitlines()
            self.assertEqual([str(i) for i in range(len(lines))], lines)
            wait_for(lambda: not self.daemon.has(job), of="the removal of the container")
        self.daemon.live_restore = False
        for how in (signal.SIGKILL, signal.SIGTERM):
            self.daemon.stop()
            self.daemon.start()
            job = self.running()
            self.daemon.stop(how)
            self.daemon.start()
            end = job.end()
            self.assertEqual(("signaled", 9, 1), (end["verdict"], end["signal"], end["engine_restarted"]))
        self.says("live-restore: goes on, no byte lost; else `killed`, engine restarted")


if __name__ == "__main__":
    main(DockerTest)
