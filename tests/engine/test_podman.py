#!/usr/bin/env python3
"""The contract of tests/engine/contract.py, kept by the engine podman, with a daemon of the test's own."""
import unittest

from contract import DaemonContract, main
from node import Podman


class PodmanTest(DaemonContract, unittest.TestCase):
    engine = "podman"
    daemon_class = Podman

    def test_zz_restart(self):
        """the daemon restarts, or is killed: with live-restore no byte is lost; without, `killed`, cause engine restarted"""
        self.goes_on_without_daemon()
        self.says("goes on, no byte lost: containers are not its own")


if __name__ == "__main__":
    main(PodmanTest)
