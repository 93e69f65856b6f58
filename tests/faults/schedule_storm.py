#!/usr/bin/env python3
"""A storm over schedules: a thousand at a time, from every second to every month, fired by three schedulers that are
killed and stopped at random while the database dies, drops their connections, and its clock and theirs are turned.

    tests/faults/schedule_storm.py [--seconds N] [--seed N]

The database's clock runs through the end of a month a minute, then it is turned to the next one. So those of every
second have their minute, and those of every hour to every month become due while it is turned, too. In the end the
ledger must be what arithmetic expects: 0 double, 0 unaccounted. Before the first fault the lateness is measured."""
import argparse
import datetime
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import zoneinfo

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "flow"))
import clocks  # noqa: E402
import harness  # noqa: E402
import storm  # noqa: E402

UTC = datetime.timezone.utc
FIRST_MONTH = datetime.datetime(2031, 2, 1, tzinfo=UTC)
CALM_S, WINDOW_S, FAST_S = 16, 60, 40
LEAD_S = 10        # so long before a month's end a window begins
EVERY_FAST = [1] * 25 + [5] * 75 + [20] * 500
EVERY_SLOW = [3600] * 30 + [21600] * 60 + [86400] * 60 + [604800] * 50
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Auckland"]
DAILY, MONTHLY = 60, 140
WINDOW_OF_MISFIRE_S = 86400
BACK_S = 3600 # so far the database's clock jumps back
CATCH_UP = {"misfire": "all", "misfire_limit": 1000, "misfire_window": WINDOW_OF_MISFIRE_S}


def rfc3339(moment):
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def month_after(moment, months):
    month = moment.month - 1 + months
    return moment.replace(year=moment.year + month // 12, month=month % 12 + 1)


def unix(text):
    return datetime.datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


class Cron:
    """`minute hour * * *`, or `minute hour day * *`, in a zone; hours at which no clock changes."""

    def __init__(self, chance, is_monthly):
        self.zone = chance.choice(ZONES)
        self.minute, self.hour = chance.choice([(0, 0), (chance.randrange(60), chance.randrange(5, 23))])
        self.day = chance.choice([1, chance.randrange(1, 29)]) if is_monthly else None
        if self.hour == 0:
            self.zone = "UTC"

    def order(self):
        return {"code_name": "held", "cron": "%d %d %s * *" % (self.minute, self.hour, self.day or "*"), "time_zone": self.zone,
                **CATCH_UP}

    def times(self, after, until):
        at = datetime.datetime.fromtimestamp(after, UTC).date() - datetime.timedelta(days=2)
        while at <= datetime.datetime.fromtimestamp(until, UTC).date() + datetime.timedelta(days=2):
            if self.day in (None, at.day):
                moment = datetime.datetime(at.year, at.month, at.day, self.hour, self.minute,
                                           tzinfo=zoneinfo.ZoneInfo(self.zone)).timestamp()
                if after < moment <= until:
                    yield moment
            at += datetime.timedelta(days=1)


class Interval:
    """start + n × every; `n` of them, or without end."""

    def __init__(self, start, every, n=None, ends_by_time=False):
        self.start, self.every, self.n, self.ends_by_time = start, every, n, ends_by_time

    def order(self):
        order = {"code_name": "held", "run_every": self.every, "start_at": rfc3339(self.start), **CATCH_UP}
        if self.ends_by_time: # what comes late within a minute runs in spite of the end
            order.update(misfire_after=60, end_at=rfc3339(self.start + datetime.timedelta(seconds=self.every * (self.n - 1))))
        elif self.n:
            order["run_times"] = self.n
        return order

    def times(self, _after, until):
        at, left = self.start.timestamp(), self.n
        while at <= until and left != 0:
            yield at
            at += self.every
            left = left and left - 1


class Storm:
    def __init__(self, seconds, seed):
        self.seconds, self.chance = seconds, random.Random(seed)
        self.folder = harness.scratch("stoker-storm-")
        self.clock = clocks.Clock(self.folder + "/database", self.offset_to(0))
        self.hosts = [clocks.Clock(self.folder + "/host1"), clocks.Clock(self.folder + "/host2")]
        self.stoker = harness.Instance(env={"STOKER_LIMITS_TASKS_PER_REQUEST": "2000", **self.clock.as_database()})
        self.known, self.told, self.wrong, self.turns = {}, {}, [], []
        self.calm = threading.Lock() # who holds it is troubled by no fault
        self.over = threading.Event()

    # --- clocks and schedules -----------------------------------------------------------------------

    @staticmethod
    def offset_to(window):
        """The database's clock LEAD_S before the end of the window's month."""
        return int(month_after(FIRST_MONTH, window).timestamp() - LEAD_S - time.time())

    def number(self, query):
        return int(self.stoker.sql(query)[0][0])

    def now(self):
        return unix(self.stoker.sql("SELECT NOW(6)")[0][0])

    def make(self, kinds):
        reply = self.stoker.post("schedules", {"schedules": [dict(kind.order(), cluster=self.cluster) for kind in kinds]})
        if reply.status != 200:
            raise AssertionError("POST schedules: %r" % reply)
        for made, kind in zip(reply.json["schedules"], kinds):
            self.known[made["id"]] = kind

    def make_slow(self):
        start = FIRST_MONTH - datetime.timedelta(seconds=LEAD_S - 5)
        kinds = [Interval(self.chance.choice([FIRST_MONTH, start + datetime.timedelta(seconds=self.chance.randrange(every))]), every)
                 for every in EVERY_SLOW]
        self.make(kinds + [Cron(self.chance, False) for _ in range(DAILY)] + [Cron(self.chance, True) for _ in range(MONTHLY)])

    def make_fast(self):
        start = datetime.datetime.fromtimestamp(int(self.now()) + 4, UTC)
        self.make([Interval(start, every, FAST_S // every, i % 2 == 1) for i, every in enumerate(EVERY_FAST)])

    def turn_to(self, window):
        """The database's clock leaps over what is left of the month; nobody stands still meanwhile."""
        was = self.now()
        self.clock.turn(self.offset_to(window))
        harness.wait_for(lambda: self.now() > was + 86400, 10, "the database's clock to be turned")
        self.turns.append((was, self.now()))

    # --- faults ---------------------------------------------------------------------------------------

    def start_other(self, i):
        """One more scheduler, as on a host with a clock of its own."""
        harness.wait_for(lambda: self.stoker.pid("scheduler"), 15, "the instance's own scheduler")
        return self.stoker.another("scheduler", self.hosts[i].command)

    def kill_other(self):
        i = self.chance.randrange(2)
        self.others[i].kill()
        self.others[i].wait()
        self.others[i] = self.start_other(i)

    def stop_other(self):
        process = self.others[self.chance.randrange(2)]
        process.send_signal(signal.SIGSTOP)
        time.sleep(self.chance.choice([0.4, 0.4, 3]))
        process.send_signal(signal.SIGCONT)

    def kill_own(self):
        if self.stoker.pid("scheduler"): # the keeper starts it again, later each time
            self.stoker.kill("scheduler")

    def turn_host(self):
        self.hosts[self.chance.randrange(2)].turn(self.chance.choice([-3600, 0, 3600]))

    def cut_connections(self):
        for (number,) in self.stoker.sql("SELECT id FROM information_schema.PROCESSLIST WHERE user = 'stoker_worker'"):
            try:
                self.stoker.sql("KILL CONNECTION " + number)
            except AssertionError: # it has gone by itself
                pass

    def kill_database(self):
        old = self.stoker.kill("mariadb")
        self.stoker.wait_restarted("mariadb", old, 30)
        harness.wait_for(self.answers, 30, "the database to answer again") # the next fault may ask it

    def answers(self):
        try:
            return self.now() > 0
        except AssertionError:
            return False

    def turn_back(self):
        """The database's clock jumps an hour back, and some time later it is right again."""
        was, before = self.clock.offset, self.now()
        self.clock.turn(was - BACK_S)
        time.sleep(clocks.SEEN_S + self.chance.uniform(0.2, 1))
        self.clock.turn(was)
        # whoever reads the clock next must not take what it still shows for the time
        harness.wait_for(lambda: self.now() > before, 10, "the database's clock to be right again")

    FAULTS = [(8, kill_other), (5, stop_other), (3, kill_own), (3, turn_host), (2, cut_connections), (1, kill_database),
              (1, turn_back)]

    def rage(self):
        """A storm that has ended early has shown nothing."""
        try:
            self.play_faults()
        except AssertionError as stopped:
            self.wrong.append("the faults ended early: %s" % stopped)

    def play_faults(self):
        rare = time.monotonic()
        while not self.over.wait(self.chance.uniform(0.2, 0.9)):
            fault = self.chance.choices([f for _, f in self.FAULTS], [often for often, _ in self.FAULTS])[0]
            if fault in (Storm.kill_database, Storm.turn_back):
                if time.monotonic() - rare < 8:
                    continue
                rare = time.monotonic()
            with self.calm:
                fault(self)
                self.told[fault.__name__] = self.told.get(fault.__name__, 0) + 1

    # --- what must come of it ---------------------------------------------------------------------------

    def is_behind(self, now):
        """Is a schedule not yet there where the database's clock is? Asked while no fault is at work."""
        with self.calm:
            return self.number("SELECT COUNT(*) FROM schedule WHERE state = 'scheduled' AND next_at <= FROM_UNIXTIME(%f)" % now)

    def hear_lateness(self):
        late = [int(us) for (us,) in self.stoker.sql("SELECT TIMESTAMPDIFF(MICROSECOND, due, at) FROM fire ORDER BY 1")]
        p99 = late[int(len(late) * 0.99)] / 1000
        print("without faults: %d fires, late by p50 %.0f ms, p99 %.0f ms, at most %.0f ms" % (
            len(late), late[len(late) // 2] / 1000, p99, late[-1] / 1000), flush=True)
        if p99 >= 1000:
            self.wrong.append("p99 of lateness without faults is %.0f ms" % p99)
        if len(late) < 25 * (CALM_S - 8):
            self.wrong.append("only %d fires without faults" % len(late))

    def ledger(self, now):
        """{schedule: {nominal: (outcome, has a task)}} as far as `now`; a nominal time has one row, by the table's key."""
        found = {}
        for schedule, nominal, outcome, has_task in self.stoker.sql(
                "SELECT LOWER(HEX(schedule_id)), nominal, outcome, task_id IS NOT NULL FROM fire WHERE nominal <= FROM_UNIXTIME(%f)" % now):
            found.setdefault(schedule, {})[unix(nominal)] = (outcome, has_task == "1")
        return found

    def was_leapt_over(self, at):
        """Too long ago, when the clock had been turned, to be caught up; None at the very edge, which lies an
        hour earlier for who looks while the clock has jumped back."""
        for was, then in self.turns:
            if was < at < then:
                age = then - WINDOW_OF_MISFIRE_S - at
                return None if -WINDOW_S - 30 < age <= BACK_S + 30 else age > 0
        return False

    def hear_ledger(self, now):
        ledger = self.ledger(now)
        made = {row[0]: unix(row[1]) for row in self.stoker.sql("SELECT LOWER(HEX(id)), created_at FROM schedule")}
        rows = due = monthly = 0
        for schedule, kind in self.known.items():
            expected, fires = set(kind.times(made[schedule], now)), ledger.get(schedule, {})
            rows += len(fires)
            due += len(expected)
            if isinstance(kind, Cron) and kind.day:
                monthly += len(fires)
            if expected != set(fires):
                self.wrong.append("%s %r: %d unaccounted, %d of no nominal time" % (
                    schedule, kind.order(), len(expected - set(fires)), len(set(fires) - expected)))
            for at, (outcome, has_task) in fires.items():
                leapt = self.was_leapt_over(at)
                allowed = {True: {"missed"}, False: {"fired", "caught_up"}, None: {"missed", "fired", "caught_up"}}[leapt]
                if outcome not in allowed or has_task != (outcome != "missed"):
                    self.wrong.append("%s at %f: %s, task %s, leapt over %s" % (schedule, at, outcome, has_task, leapt))
        print("%d schedules, %d rows in the ledger, %d by arithmetic, %d of them monthly; the clock was turned to %d months" % (
            len(self.known), rows, due, monthly, len(self.turns) + 1), flush=True)
        if monthly < len(self.turns) * MONTHLY:
            self.wrong.append("only %d fires of monthly schedules" % monthly)

    def hear_tasks(self):
        # in one statement: they go on firing
        if self.number("SELECT (SELECT COUNT(*) FROM task WHERE schedule_id IS NOT NULL) - (SELECT COUNT(DISTINCT f.task_id) FROM fire f"
                       " JOIN task t ON t.id = f.task_id AND t.schedule_id = f.schedule_id)"):
            self.wrong.append("double: a task that is in no row, or one in two")
        verified = self.stoker.admin("verify")
        if verified.returncode:
            self.wrong.append("stoker admin verify: " + verified.stdout + verified.stderr)

    # --- all of it ----------------------------------------------------------------------------------------

    def run(self):
        self.stoker.start()
        self.clock.turn(self.offset_to(0))
        harness.wait_for(lambda: -LEAD_S - 2 < self.now() - FIRST_MONTH.timestamp() < -LEAD_S + 3, 10, "the database's clock")
        self.stoker.code("held", "true")
        self.cluster = self.stoker.idle_cluster()
        self.others = [self.start_other(0), self.start_other(1)]
        raging = threading.Thread(target=self.rage)
        try:
            self.make_slow()
            self.make_fast()
            time.sleep(CALM_S)
            if [process.poll() for process in self.others] != [None, None]:
                raise AssertionError("a scheduler did not start")
            self.hear_lateness()
            raging.start()
            self.months()
        finally:
            self.over.set()
            if raging.ident:
                raging.join()
            for process in self.others:
                process.kill()
                process.wait()
        self.hear()
        return self.wrong

    def months(self):
        began = time.monotonic()
        for window in range(max(1, round(self.seconds / WINDOW_S))):
            if window:
                with self.calm:
                    self.turn_to(window)
                    self.make_fast()
            time.sleep(max(0, began + WINDOW_S * (window + 1) - time.monotonic()))
            with self.calm:
                now = self.now()
            harness.wait_for(lambda: self.is_behind(now) == 0, 60, "all schedules to have caught up", 0.5)
            with self.calm:
                left = self.number("SELECT COUNT(*) FROM schedule WHERE state = 'scheduled'")
            if left != len(EVERY_SLOW) + DAILY + MONTHLY:
                self.wrong.append("%d schedules go on after month %d" % (left, window))

    def hear(self):
        now = self.now()
        harness.wait_for(lambda: self.is_behind(now) == 0, 30, "all schedules to have caught up")
        self.hear_ledger(now)
        self.hear_tasks()
        print("faults: " + ", ".join("%s %d" % pair for pair in sorted(self.told.items())), flush=True)

    def remove(self, keep=False):
        if keep:
            print("logs:\n" + self.stoker.logs(40), flush=True)
        try:
            self.stoker.remove()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


def play(seconds, seed):
    print("storm over schedules: seed %d, %d s" % (seed, seconds), flush=True)
    return storm.play_out(Storm(seconds, seed))


def main():
    words = argparse.ArgumentParser(description="A storm of faults over schedules.")
    words.add_argument("--seconds", type=int, default=600)
    words.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    words = words.parse_args()
    wrong = play(words.seconds, words.seed)
    for sentence in wrong[:20]:
        print("WRONG " + sentence)
    print("%d wrong: the ledger %s what arithmetic expects" % (len(wrong), "is not" if wrong else "is"))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
