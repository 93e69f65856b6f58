#!/usr/bin/env python3
"""Schedules on three Galera nodes whose preferred writer dies, and then stands still, under three schedulers."""
import datetime
import time
import unittest

import galera

EVERY = [1] * 20 + [3] * 20 + [10] * 20


class Failover(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = galera.Cluster()
        cls.stoker = galera.Instance(cls.cluster)
        cls.others = []
        try:
            cls.cluster.start()
            cls.stoker.start()
            cls.others += [cls.stoker.another("scheduler"), cls.stoker.another("scheduler")]
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def tearDownClass(cls):
        for process in cls.others:
            process.kill()
            process.wait()
        try:
            cls.stoker.remove()
        finally:
            cls.cluster.remove()

    def number(self, query):
        return int(self.stoker.sql(query)[0][0])

    def fires(self):
        return self.number("SELECT COUNT(*) FROM fire")

    def wait_on(self):
        seen = self.fires()
        galera.harness.wait_for(lambda: self.fires() > seen + 60, 40, "fires to go on", every=0.5)

    def test_a_failover_misses_no_time_and_doubles_none(self):
        self.stoker.code("held", "true")
        idle = self.stoker.idle_cluster()
        start = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
        orders = [{"code_name": "held", "cluster": idle, "run_every": every, "start_at": start, "misfire": "all", "misfire_limit": 1000} for every in EVERY]
        self.assertEqual(self.stoker.post("schedules", {"schedules": orders}).status, 200)
        galera.harness.wait_for(lambda: self.fires() > 60, 20, "the first fires", every=0.2)
        writer = self.cluster.servers[0]
        writer.kill()
        self.wait_on()
        writer.start_again()
        self.cluster.wait_synced()
        self.others[0].kill()
        writer.pause()
        time.sleep(6) # the fault's own length
        writer.resume()
        self.cluster.wait_synced()
        self.wait_on()
        now = self.stoker.sql("SELECT NOW(6)")[0][0]
        galera.harness.wait_for(lambda: self.number("SELECT COUNT(*) FROM schedule WHERE state = 'scheduled' AND next_at <= '%s'" % now) == 0,
                                30, "all schedules to have caught up", every=0.5)
        wrong = self.stoker.sql(
            "SELECT HEX(s.id), s.run_every_s, COUNT(f.nominal), MIN(f.nominal), MAX(f.nominal) FROM schedule s LEFT JOIN fire f"
            " ON f.schedule_id = s.id GROUP BY s.id, s.start_at, s.run_every_s HAVING MIN(f.nominal) <> s.start_at"
            " OR COUNT(f.nominal) <> 1 + TIMESTAMPDIFF(SECOND, s.start_at, MAX(f.nominal)) / s.run_every_s"
            " OR MAX(f.nominal) + INTERVAL s.run_every_s SECOND <= '%s'" % now)
        self.assertEqual(wrong, [], "0 unaccounted")
        self.assertEqual(self.number("SELECT COUNT(*) FROM fire WHERE outcome NOT IN ('fired', 'caught_up') OR task_id IS NULL"), 0)
        # in one statement: they go on firing
        self.assertEqual(self.number("SELECT (SELECT COUNT(*) FROM task WHERE schedule_id IS NOT NULL) - (SELECT COUNT(DISTINCT f.task_id)"
                                     " FROM fire f JOIN task t ON t.id = f.task_id AND t.schedule_id = f.schedule_id)"), 0, "0 double")


if __name__ == "__main__":
    galera.harness.main()
