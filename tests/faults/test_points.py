#!/usr/bin/env python3
"""Some of the fault points of each program, and some of the places where it calls the system, from a printed seed; `make
storm` takes every one (points.py).
STOKER_STORM_SEED replays."""
import os
import random
import unittest

import points


class Some(unittest.TestCase):
    def test_each_program_may_die_at_each_of_its_points_and_each_of_its_calls_may_fail(self):
        seed = int(os.environ.get("STOKER_STORM_SEED", random.SystemRandom().randrange(1 << 32)))
        wrong = points.play(seed, most=4)
        self.assertEqual(wrong, [], "replay it with STOKER_STORM_SEED=%d tests/faults/test_points.py" % seed)


if __name__ == "__main__":
    points.harness.main()
