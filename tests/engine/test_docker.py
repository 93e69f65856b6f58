#!/usr/bin/env python3
"""The contract of tests/engine/contract.py, kept by the engine docker, with a daemon of the test's own."""
import signal
import unittest

from contract import DaemonContract, main
from node import Docker


class DockerTest(DaemonContract, unittest.TestCase):
    engine = "docker"
    daemon_class = Docker

    def test_zz_restart(self):
        """the daemon restarts, or is killed: with live-restore no byte is lost; without, `killed`, cause engine restarted"""
        self.goes_on_without_daemon()
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
