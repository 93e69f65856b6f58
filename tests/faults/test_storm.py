#!/usr/bin/env python3
"""The small storm of `make check`; `make storm` is the large one. STOKER_STORM_SEED replays one."""
import os
import random
import unittest

import storm


class Small(unittest.TestCase):
    def test_a_thousand_jobs_and_forty_faults_lose_nothing_and_double_nothing(self):
        seed = int(os.environ.get("STOKER_STORM_SEED", random.SystemRandom().randrange(1 << 32)))
        wrong = storm.play(1000, 40, seed, 50)
        self.assertEqual(wrong, [], "replay it with STOKER_STORM_SEED=%d tests/faults/test_storm.py" % seed)


if __name__ == "__main__":
    storm.harness.main()
