#!/usr/bin/env python3
"""Three Galera nodes, small; `make storm` has more of it. STOKER_STORM_SEED replays one."""
import os
import random
import subprocess
import unittest

import galera
import galera_storm
from storm import harness


class Small(unittest.TestCase):
    def play(self, faults, spread):
        seed = int(os.environ.get("STOKER_STORM_SEED", random.SystemRandom().randrange(1 << 32)))
        wrong = galera_storm.play(150, faults, seed, spread)
        self.assertEqual(wrong, [], "replay it with STOKER_STORM_SEED=%d tests/faults/test_galera.py" % seed)

    def test_the_preferred_writer_dies_then_all_nodes_and_nothing_is_lost_or_doubled(self):
        self.play([("death", "first"), ("pause", "first"), ("all", "")], False)

    def test_everybody_at_once_on_all_nodes_breaks_no_limit_and_does_nothing_twice(self):
        """tests/store/test_races.c and test_contended.c, their connections spread over the nodes; then they must be equal."""
        cluster = galera.Cluster().start()
        try:
            make = "CREATE DATABASE %s CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;"
            cluster.servers[0].sql("CREATE USER root@'%'; GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;" + make % "stoker"
                                   + make % "stoker_logs", None)
            env = dict(os.environ, STOKER_TEST_CLUSTER="yes", STOKER_DATABASE_SOCKET="", STOKER_LOGS_SOCKET="",
                       STOKER_DATABASE_HOST=cluster.hosts(), STOKER_DATABASE_PORT=str(cluster.port), STOKER_DATABASE_SPREAD="yes")
            for program in ("test_races", "test_contended"):
                done = subprocess.run([harness.BUILD + "/tests/store/" + program], env=env, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, text=True, cwd=harness.TOP)
                print(done.stdout)
                self.assertEqual(done.returncode, 0, done.stdout)
            self.assertEqual(cluster.unequal(), {})
            self.assertEqual(cluster.servers[0].sql("SELECT table_name FROM information_schema.tables t WHERE table_schema IN ('stoker',"
                                                    " 'stoker_logs') AND table_type = 'BASE TABLE' AND NOT EXISTS (SELECT 1 FROM"
                                                    " information_schema.statistics s WHERE s.table_schema = t.table_schema AND"
                                                    " s.table_name = t.table_name AND s.index_name = 'PRIMARY')", None), [])
        finally:
            cluster.remove()


if __name__ == "__main__":
    harness.main()
