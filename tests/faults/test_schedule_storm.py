#!/usr/bin/env python3
"""Two minutes of the storm over schedules; `make storm` has ten. STOKER_STORM_SEED replays one."""
import os
import random
import unittest

import schedule_storm


class TwoMinutes(unittest.TestCase):
    def test_a_thousand_schedules_are_accounted_for_to_the_last_fire(self):
        seed = int(os.environ.get("STOKER_STORM_SEED", random.SystemRandom().randrange(1 << 32)))
        wrong = schedule_storm.play(120, seed)
        self.assertEqual(wrong[:20], [], "replay it with STOKER_STORM_SEED=%d tests/faults/test_schedule_storm.py" % seed)


if __name__ == "__main__":
    schedule_storm.harness.main()
