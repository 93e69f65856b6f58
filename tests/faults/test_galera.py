#!/usr/bin/env python3
"""Three Galera nodes, small; `make storm` has more of it. STOKER_STORM_SEED replays one."""
import os
import random
import unittest

import galera_storm


class Small(unittest.TestCase):
    def play(self, faults, spread):
        seed = int(os.environ.get("STOKER_STORM_SEED", random.SystemRandom().randrange(1 << 32)))
        wrong = galera_storm.play(150, faults, seed, spread)
        self.assertEqual(wrong, [], "replay it with STOKER_STORM_SEED=%d tests/faults/test_galera.py" % seed)

    def test_the_preferred_writer_dies_then_all_nodes_and_nothing_is_lost_or_doubled(self):
        self.play([("kill", "first"), ("pause", "first"), ("all", "")], False)


if __name__ == "__main__":
    galera_storm.harness.main()
