#!/usr/bin/env python3
"""The contract of tests/engine/contract.py, kept by the engine podman, with a daemon of the test's own."""
import signal
import unittest

from contract import DaemonContract, main
from node import Podman, wait_for


class PodmanTest(DaemonContract, unittest.TestCase):
    engine = "podman"
    daemon_class = Podman

    def test_zz_restart(self):
        """the daemon restarts, or is killed: with live-restore no byte is lost; without, `killed`, cause engine restarted"""
        for how in (signal.SIGTERM, signal.SIGKILL):
            job = self.running()
            self.daemon.stop(how)
            seen = len(job.out())
            wait_for(lambda: len(job.out()) > seen + 100, of="output while there is no daemon")
            self.daemon.start()
            job.send(b"K")
            self.assertEqual(("cancelled", 0), tuple(job.end()[k] for k in ("verdict", "engine_restarted")))
            lines = job.out().splitlines()
            self.assertEqual([str(i) for i in range(len(lines))], lines)
        self.says("goes on, no byte lost: containers are not its own")


if __name__ == "__main__":
    main(PodmanTest)
