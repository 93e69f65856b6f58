#!/usr/bin/env python3
"""The hostile jobs as services of a swarm: what is asked of each engine that is a daemon, in test_escape_daemons.py."""
import test_escape
import test_escape_daemons
from test_escape import harness

from node import Docker, Swarm  # their folder is known to the module above


class HostSwarm(Swarm):
    """In the machine's own network, which is what is attacked; it is the only one there."""
    command = Docker.command


class OnSwarm(test_escape_daemons.OnDaemon, test_escape.Node):
    daemon_class = HostSwarm


if __name__ == "__main__":
    harness.main()
