#!/usr/bin/env python3
"""Schedules and time, on whole instances: clocks that jump, zone files that are exchanged, and what much or nothing to do
costs."""
import contextlib
import datetime
import os
import shutil
import signal
import threading
import time
import zoneinfo

import clocks
import harness


def rfc3339(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def copy_zone(like, folder, name):
    """As tzdata does it: a whole file takes the place of the old one."""
    path = os.path.join(folder, name)
    shutil.copyfile("/usr/share/zoneinfo/" + like, path + ".new")
    os.chmod(path + ".new", 0o644)
    os.rename(path + ".new", path)


class Stills(threading.Thread):
    """Sees for how long the machine runs nobody: how late somebody wakes who asked to wake each 20 ms."""

    def __init__(self):
        super().__init__(daemon=True)
        self.longest, self.over = 0, threading.Event()

    def run(self):
        while not self.over.is_set():
            began = time.monotonic()
            self.over.wait(0.02)
            self.longest = max(self.longest, time.monotonic() - began - 0.02)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()


class Time(harness.FlowTest):
    """One scheduler: whose clock it goes by, and what it does when much is due, or nothing."""

    @classmethod
    def setUpClass(cls):
        cls.zones = harness.scratch("stoker-zones-")
        copy_zone("Europe/Berlin", cls.zones, "Moved")
        cls.ENV = {"STOKER_ZONES_FOLDER": cls.zones}
        super().setUpClass()
        cls.stoker.code("held", "true")
        cls.cluster = cls.stoker.idle_cluster()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        shutil.rmtree(cls.zones)

    def make(self, *orders):
        reply = self.stoker.post("schedules", {"schedules": [dict({"code_name": "held", "cluster": self.cluster}, **order) for order in orders]})
        self.assertEqual(reply.status, 200, reply)
        return [made["id"] for made in reply.json["schedules"]]

    def make_every_second(self, n):
        """From some seconds on: what is due at once is found at the next poll."""
        start = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=3)
        return self.make(*[{"run_every": 1, "start_at": rfc3339(start)}] * n)

    def cancel(self, schedules):
        for schedule in schedules:
            self.stoker.post("schedules/%s/cancel" % schedule)

    def rows(self, schedule):
        """(nominal as seconds, late by so many µs, outcome), oldest first."""
        return [(float(n), int(late), outcome) for n, late, outcome in self.stoker.sql(
            "SELECT UNIX_TIMESTAMP(nominal), TIMESTAMPDIFF(MICROSECOND, due, at), outcome FROM fire WHERE schedule_id = x'%s'"
            " ORDER BY nominal" % schedule)]

    def check_every_second(self, schedule, stills):
        rows = self.rows(schedule)
        self.assertEqual([round(b[0] - a[0], 3) for a, b in zip(rows, rows[1:])], [1.0] * (len(rows) - 1), "each second, once")
        self.assertEqual({outcome for _, _, outcome in rows}, {"fired"})
        self.assertLess(max(late for _, late, _ in rows), (1 + stills.longest) * 1e6, "later than a second by itself")
        self.assertGreaterEqual(min(late for _, late, _ in rows), 0, "never early")

    def test_the_clock_of_its_host_decides_nothing(self):
        clock = clocks.Clock(harness.scratch("stoker-clock-"))
        self.stoker.kill("scheduler", signal.SIGSTOP)
        other = self.stoker.another("scheduler", clock.command)
        try:
            with Stills() as stills:
                self.turn_a_host(clock, stills)
        finally:
            other.kill()
            other.wait()
            self.stoker.kill("scheduler", signal.SIGCONT)
            shutil.rmtree(clock.folder)

    def turn_a_host(self, clock, stills):
        schedules = self.make_every_second(5)
        for offset in (3600, -3600, 0):
            clock.turn(offset)
            time.sleep(clocks.SEEN_S) # not to wait for anything: the time within which it is seen
            seen = len(self.rows(schedules[0]))
            harness.wait_for(lambda: len(self.rows(schedules[0])) >= seen + 2, 10, "fires at %+d s" % offset)
        for schedule in schedules:
            self.check_every_second(schedule, stills)
        self.cancel(schedules)

    def test_a_zone_file_that_is_exchanged_is_picked_up(self):
        soon = datetime.datetime.now(zoneinfo.ZoneInfo("Asia/Tokyo")) + datetime.timedelta(seconds=38)
        schedule, = self.make({"cron": soon.strftime("%S %M %H * * *"), "time_zone": "Moved"})
        before = self.stoker.get("schedules/" + schedule).json["next_start"]
        copy_zone("Asia/Tokyo", self.zones, "Moved")
        wanted = soon.replace(microsecond=0).astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
        self.assertFalse(before.startswith(wanted))
        harness.wait_for(lambda: self.stoker.get("schedules/" + schedule).json["next_start"].startswith(wanted) or
                         self.rows(schedule), 40, "its next time to be Tokyo's")
        harness.wait_for(lambda: self.rows(schedule), 45, "its fire")
        self.assertEqual([(n, outcome) for n, _, outcome in self.rows(schedule)], [(float(int(soon.timestamp())), "fired")])

    @contextlib.contextmanager
    def rows_of_transactions(self):
        """Gives a function: how many rows of the ledger each transaction has written since, by the number that InnoDB gave it."""
        self.stoker.sql("CREATE TABLE written (id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,"
                        " began BIGINT UNSIGNED GENERATED ALWAYS AS ROW START, ended BIGINT UNSIGNED GENERATED ALWAYS AS ROW END,"
                        " PERIOD FOR SYSTEM_TIME (began, ended)) ENGINE=InnoDB WITH SYSTEM VERSIONING")
        self.stoker.sql("CREATE TRIGGER fire_is_written AFTER INSERT ON fire FOR EACH ROW INSERT INTO written () VALUES ()")
        try:
            yield lambda: [int(n) for (n,) in self.stoker.sql("SELECT COUNT(*) FROM written GROUP BY began ORDER BY began")]
        finally:
            self.stoker.sql("DROP TRIGGER fire_is_written")
            self.stoker.sql("DROP TABLE written")

    def test_thirty_days_are_caught_up_by_the_hundred_and_delay_nobody(self):
        with self.rows_of_transactions() as written, Stills() as stills:
            self.catch_up_thirty_days(written, stills)

    def catch_up_thirty_days(self, written, stills):
        days, limit = 30, 50
        others = self.make_every_second(10)
        behind, = self.make({"run_every": 60, "misfire": "all", "misfire_limit": limit, "misfire_window": 36000, "start_at": rfc3339(
            datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1))})
        harness.wait_for(lambda: len(self.rows(others[0])) > 1, 10, "the others to fire")
        self.stoker.sql("UPDATE schedule SET start_at = NOW(6) - INTERVAL %d DAY, next_at = start_at, accounted_to = start_at - INTERVAL 1"
                        " MICROSECOND WHERE id = x'%s'" % (days, behind))
        harness.wait_for(lambda: self.stoker.sql("SELECT next_at > NOW(6) FROM schedule WHERE id = x'%s'" % behind) == [("1",)], 100,
                         "thirty days to be caught up", 0.5)
        self.cancel(others)
        rows = self.rows(behind)
        self.assertIn(len(rows) - days * 1440, (1, 2, 3), "each minute of thirty days, and of the test")
        self.assertEqual([round(b[0] - a[0], 3) for a, b in zip(rows, rows[1:])], [60.0] * (len(rows) - 1))
        caught_up = [n for n, _, outcome in rows if outcome == "caught_up"]
        self.assertIn(len(caught_up), (limit - 1, limit, limit + 1), "the newest; a minute may have begun meanwhile")
        self.assertEqual({outcome for n, _, outcome in rows if n < caught_up[0]}, {"missed"})
        self.assertTrue({outcome for n, _, outcome in rows if n >= caught_up[0]} <= {"caught_up", "fired"})
        transactions = written()
        self.assertLessEqual(max(transactions), 100, "rows of one transaction")
        self.assertGreaterEqual(sum(transactions), len(rows), "each row was written by one of them")
        for schedule in others:
            self.check_every_second(schedule, stills)

    @contextlib.contextmanager
    def nobody_but_the_scheduler(self):
        """The others of the instance stand still: what is asked meanwhile, the scheduler asks."""
        others = [role for role in ("keeper", "runner", "courier", "api", "tail") if self.stoker.pid(role)]
        for role in others:
            self.stoker.kill(role, signal.SIGSTOP)
        try:
            yield
        finally:
            for role in others:
                self.stoker.kill(role, signal.SIGCONT)

    def statements_in(self, seconds):
        def statements():
            return int(self.stoker.sql("SHOW GLOBAL STATUS LIKE 'Questions'")[0][1])

        before = statements()
        time.sleep(seconds) # what is measured
        return statements() - before

    def test_a_hundred_thousand_idle_ones_ask_no_more_than_ten(self):
        seconds = 6
        idle = self.make(*[{"cron": "0 0 1 1 *", "time_zone": "Moved"}] * 10)
        with self.nobody_but_the_scheduler():
            few = sorted(self.statements_in(seconds) for _ in range(4))
            self.stoker.sql("INSERT INTO schedule (id, project_id, code_id, cron, time_zone, zone_digest, start_at, next_at, accounted_to)"
                            " SELECT UNHEX(LPAD(HEX(seq), 24, '0')), project_id, code_id, cron, time_zone, zone_digest, start_at,"
                            " next_at + INTERVAL seq SECOND, accounted_to FROM seq_1_to_100000"
                            " JOIN (SELECT * FROM schedule WHERE id = x'%s') one" % idle[0])
            many = sorted(self.statements_in(seconds) for _ in range(3))
        print("statements of a scheduler in %d s: %s with 10 idle schedules, %s with 100,010" % (seconds, few, many))
        self.stoker.sql("DELETE FROM schedule WHERE id < x'000000000000000001000000'")
        self.assertGreater(few[0], 0, "it did ask")
        # one more question in each of its polls would be one a second in all of them. A machine that stands still for a while
        # takes some away from one; the look at the zones, each half minute, is in one of the few alone
        self.assertLessEqual(many[0], few[-2] + seconds // 2)


class Database(harness.FlowTest):
    """The database's clock is everybody's: what it says is when."""

    @classmethod
    def setUpClass(cls):
        cls.clock = clocks.Clock(harness.scratch("stoker-clock-"))
        cls.ENV = cls.clock.as_database()
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        shutil.rmtree(cls.clock.folder)

    def test_its_jump_back_fires_nothing_twice(self):
        self.stoker.code("hello", "true")
        schedule = self.stoker.post("schedules", {"schedules": [{"code_name": "hello", "run_every": 1}]}).json["schedules"][0]["id"]

        def ledger():
            return [(float(n), outcome, task) for n, outcome, task in self.stoker.sql(
                "SELECT UNIX_TIMESTAMP(nominal), outcome, HEX(task_id) FROM fire WHERE schedule_id = x'%s' ORDER BY nominal" % schedule)]

        def turn(offset):
            self.clock.turn(offset)
            harness.wait_for(lambda: abs(float(self.stoker.sql("SELECT UNIX_TIMESTAMP(NOW(6))")[0][0]) - time.time() - offset) < 60, 10,
                             "the database's clock to be turned")
            harness.wait_for(lambda: self.stoker.sql("SELECT 1 FROM information_schema.innodb_trx LIMIT 1") == [], 10,
                             "what was fired as it was turned")

        harness.wait_for(lambda: len(ledger()) >= 3, 15, "the first fires")
        turn(-3600) # an hour that it has had already
        seen = ledger()
        time.sleep(3) # several polls: nothing may come
        self.assertEqual(ledger(), seen)
        turn(0)
        harness.wait_for(lambda: len(ledger()) >= len(seen) + 3, 15, "it to go on where it was")
        turn(3600) # an hour that nobody was there for: all but its newest times are missed
        harness.wait_for(lambda: len(ledger()) >= len(seen) + 3600, 30, "an hour to be accounted for")
        turn(0)
        seen = ledger()
        time.sleep(3)
        self.assertEqual(ledger(), seen)
        self.assertEqual([round(b[0] - a[0], 3) for a, b in zip(seen, seen[1:])], [1.0] * (len(seen) - 1), "each second, once")
        tasks = [task for _, _, task in seen if task]
        self.assertEqual(len(set(tasks)), len(tasks))
        self.assertEqual(len(tasks), int(self.stoker.sql("SELECT COUNT(*) FROM task WHERE schedule_id = x'%s'" % schedule)[0][0]))
        self.assertTrue({outcome for _, outcome, _ in seen} <= {"fired", "missed", "caught_up"})


if __name__ == "__main__":
    harness.main()
