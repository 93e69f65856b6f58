#!/usr/bin/env python3
"""Schedules on whole instances: fires that run, the command line, and a storm of faults over three schedulers, after
which the ledger is what arithmetic expects."""
import datetime
import os
import random
import signal
import subprocess
import tempfile
import time

import harness

CRONTAB = """# nightly things
CRON_TZ=Europe/Berlin
GREETING="hello there"
MAILTO=root
0 9 * * 1-5  echo $GREETING
61 * * * *  echo bad
@reboot  echo no
0 0 30 2 *  echo never
5 4 * * sun  mail -s x root%body
"""


def rfc3339(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Schedules(harness.FlowTest):
    ENV = {"STOKER_LIMITS_TASKS_PER_REQUEST": "2000"}

    def make(self, **fields):
        reply = self.stoker.post("schedules", {"schedules": [dict({"code_name": "hello"}, **fields)]})
        self.assertEqual(reply.status, 200, reply)
        return reply.json["schedules"][0]["id"]

    def fires(self, schedule):
        return self.stoker.get("schedules/%s/fires?per_page=100" % schedule).json["fires"]

    def test_a_schedule_runs_its_code_at_its_times(self):
        self.stoker.code("hello", "sh -c 'cat $PAYLOAD_FILE'")
        schedule = self.make(run_every=1, run_times=3, payload="at {{nominal_time}}", payload_times=True)
        harness.wait_for(lambda: self.stoker.get("schedules/" + schedule).json["status"] == "complete", 15)
        fires = self.fires(schedule)
        self.assertEqual([f["outcome"] for f in fires], ["fired"] * 3)
        for fire in fires:
            self.stoker.wait_state(fire["task_id"], "complete")
            self.assertEqual(self.stoker.task_log(fire["task_id"]).decode(), "at " + fire["nominal_time"])
            self.assertEqual(self.stoker.task(fire["task_id"])["schedule_id"], schedule)
        self.assertEqual(self.stoker.get("schedules/" + schedule).json["msg"], "Ran max times.")

    def test_a_run_is_replaced_once_it_has_ended(self):
        self.stoker.code("long", "sh -c 'echo $TASK_ID; exec sleep 60'", grace=1)
        schedule = self.make(code_name="long", run_every=3, overlap="replace", run_times=2)
        harness.wait_for(lambda: sum(f["outcome"] == "fired" for f in self.fires(schedule)) == 2, 25)
        second, first = [f["task_id"] for f in self.fires(schedule) if f["outcome"] == "fired"]
        first = self.stoker.wait_state(first, "cancelled")
        self.assertGreaterEqual(self.stoker.task(second)["created_at"], first["end_time"])
        self.stoker.post("tasks/%s/cancel" % second)

    def test_a_crontab_is_told_of_line_by_line(self):
        with tempfile.NamedTemporaryFile("w", suffix=".crontab") as crontab:
            crontab.write(CRONTAB)
            crontab.flush()
            dry = self.stoker.cli("schedule", "import", crontab.name, "--image", "busybox", "--dry-run")
            done = self.stoker.cli("schedule", "import", crontab.name, "--image", "busybox")
        self.assertEqual((dry.returncode, done.returncode), (1, 1))
        self.assertIn("line 5: would do: 0 9 * * 1-5: at 09:00 on Monday to Friday, Europe/Berlin", dry.stdout)
        self.assertRegex(done.stdout, r"line 5: done: .*T09:00:00\+0[12]:00; schedule [0-9a-f]{24}\n")
        for line, why in ((6, "minute: 61"), (7, "@reboot"), (8, "never fires"), (9, "input")):
            self.assertRegex(done.stdout, r"line %d: refused: .*%s" % (line, why))
        schedule = self.stoker.cli("schedule", "list").stdout.splitlines()[1].split()
        self.assertEqual(schedule[1], "cron/echo-5")
        task = self.stoker.cli("schedule", "run", schedule[0]).stdout.strip()
        self.stoker.wait_state(task, "complete")
        self.assertEqual(self.stoker.task_log(task).decode(), "hello there\n")

    def test_the_api_tells_what_comes_and_takes_orders(self):
        self.stoker.code("hello", "true")
        asked = {"cron": "30 2 * * *", "time_zone": "Europe/Berlin", "start_at": "2031-03-29T12:00:00Z", "n": 2}
        preview = self.stoker.post("schedules/preview", asked).json
        self.assertEqual(preview["words"], "at 02:30 every day, Europe/Berlin")
        self.assertEqual([t["local_time"] for t in preview["times"]], ["2031-03-30T03:00:00+02:00", "2031-03-31T02:30:00+02:00"])
        self.assertIn("02:30 does not exist", preview["times"][0]["note"])
        schedule = self.make(cron="0 0 1 1 *", exclude_dates=["2031-01-01"])
        self.assertEqual(self.stoker.post("schedules/%s/pause" % schedule, {"reason": "why not"}).json["msg"], "Paused")
        self.assertEqual(self.stoker.post("schedules/%s/pause" % schedule).json["msg"], "Already paused")
        shown = self.stoker.get("schedules/" + schedule).json
        self.assertEqual((shown["paused"], shown["pause_reason"], shown["status"]), (True, "why not", "scheduled"))
        self.assertEqual(self.stoker.post("schedules/%s/resume" % schedule).json["msg"], "Resumed")
        self.assertEqual(self.stoker.request("PUT", "calendars/rest", {"dates": ["01-01"]}).status, 200)
        refused = self.stoker.request("PUT", "schedules/" + schedule, {"exclude_calendars": ["rest"]})
        self.assertEqual(refused.status, 400, refused) # it would never fire
        self.assertEqual(self.stoker.request("PUT", "schedules/" + schedule, {"cron": "0 0 * * *", "exclude_calendars": ["rest"]}).status, 200)
        self.assertEqual(self.stoker.request("DELETE", "calendars/rest").status, 409)
        self.stoker.post("schedules/%s/cancel" % schedule)
        self.assertEqual(self.stoker.request("DELETE", "calendars/rest").status, 200)


class Storm(harness.FlowTest):
    """1,000 schedules, three schedulers; kills, stops, one dead database."""
    CALM_S, STORM_S = 6, 25
    EVERY = [1] * 60 + [7] * 240 + [60] * 300

    def command(self):
        pid = self.stoker.pid("scheduler")
        uid = str(os.stat("/proc/%d" % pid).st_uid)
        with open("/proc/%d/cmdline" % pid, "rb") as words:
            return ["setpriv", "--reuid", uid, "--regid", uid, "--clear-groups", *words.read().decode().split("\0")[:-1]]

    def start_scheduler(self):
        """One more, where the instance's own one lives."""
        return subprocess.Popen(["nsenter", "-t", str(self.stoker.pid("keeper")), "-m", *self.scheduler], stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL, env=self.stoker.env)

    def given_schedules(self, start):
        self.stoker.code("held", "true")
        code = self.stoker.get("codes").json["codes"][0]["id"]
        self.stoker.post("codes/%s/pause_task_queue" % code) # they are queued, and run not
        rest = 1000 - len(self.EVERY)
        orders = [{"code_name": "held", "run_every": every, "start_at": rfc3339(start), "misfire": "all", "misfire_limit": 1000}
                  for every in self.EVERY]
        orders += [{"code_name": "held", "cron": "H %s" % ("H * * *" if i % 2 else "H H * *"), "time_zone": "Europe/Berlin"}
                   for i in range(rest)]
        reply = self.stoker.post("schedules", {"schedules": orders})
        self.assertEqual(reply.status, 200, reply)

    def storm(self, until):
        chance = random.Random(7)
        self.scheduler = self.command()
        others = [self.start_scheduler(), self.start_scheduler()]
        dead_database = False
        time.sleep(1)
        self.assertEqual([process.poll() for process in others], [None, None])
        try:
            while time.monotonic() < until:
                time.sleep(chance.uniform(0.2, 0.9))
                which = chance.randrange(3)
                if which == 2:
                    if self.stoker.pid("scheduler"): # the keeper starts it again, later each time
                        self.stoker.kill("scheduler")
                elif chance.random() < 0.3:
                    others[which].send_signal(signal.SIGSTOP)
                    time.sleep(0.4)
                    others[which].send_signal(signal.SIGCONT)
                else:
                    others[which].kill()
                    others[which].wait()
                    others[which] = self.start_scheduler()
                if not dead_database and time.monotonic() > until - self.STORM_S / 2:
                    dead_database = True
                    old = self.stoker.kill("mariadb")
                    self.stoker.wait_restarted("mariadb", old, 30)
        finally:
            for process in others:
                process.kill()
                process.wait()

    def number(self, query):
        return int(self.stoker.sql(query)[0][0])

    def test_the_ledger_is_what_arithmetic_expects(self):
        start = datetime.datetime.fromtimestamp(int(time.time()) + 4, datetime.timezone.utc)
        self.given_schedules(start)
        time.sleep(max(0, start.timestamp() - time.time()) + self.CALM_S)
        late = [int(row[0]) for row in self.stoker.sql("SELECT TIMESTAMPDIFF(MICROSECOND, due, at) FROM fire ORDER BY 1")]
        self.assertGreater(len(late), 60 * (self.CALM_S - 1))
        self.assertLess(late[int(len(late) * 0.99)], 1000000, "p99 of lateness without faults")
        self.storm(time.monotonic() + self.STORM_S)
        # what was due before now has to be there soon
        now = self.stoker.sql("SELECT NOW(6)")[0][0]
        behind = "SELECT COUNT(*) FROM schedule WHERE state = 'scheduled' AND next_at <= '%s'" % now
        harness.wait_for(lambda: self.number(behind) == 0, 30, "all schedules to have caught up")
        # start + n × every, each once, none left out: count and last time of each say so
        wrong = self.stoker.sql(
            "SELECT HEX(s.id), s.run_every_s, s.start_at, COUNT(f.nominal), MIN(f.nominal), MAX(f.nominal) FROM schedule s"
            " LEFT JOIN fire f ON f.schedule_id = s.id WHERE s.run_every_s > 0 GROUP BY s.id, s.start_at, s.run_every_s HAVING MIN(f.nominal) <> s.start_at"
            " OR COUNT(f.nominal) <> 1 + TIMESTAMPDIFF(SECOND, s.start_at, MAX(f.nominal)) / s.run_every_s"
            " OR MAX(f.nominal) + INTERVAL s.run_every_s SECOND <= '%s'"
            " OR SUM(MOD(TIMESTAMPDIFF(MICROSECOND, s.start_at, f.nominal), s.run_every_s * 1000000)) <> 0" % now)
        self.assertEqual(wrong, [], "0 unaccounted")
        self.assertEqual(self.number("SELECT COUNT(*) FROM fire WHERE outcome NOT IN ('fired', 'caught_up')"), 0)
        # in one statement: they go on firing
        self.assertEqual(self.number("SELECT (SELECT COUNT(*) FROM task WHERE schedule_id IS NOT NULL) - (SELECT COUNT(*) FROM fire f"
                                     " JOIN task t ON t.id = f.task_id AND t.schedule_id = f.schedule_id)"), 0,
                         "0 double: a row has one task, a task has a row")
        self.assertEqual(self.number("SELECT COUNT(*) FROM (SELECT task_id FROM fire GROUP BY task_id HAVING COUNT(*) > 1) x"), 0)
        self.assertGreater(self.number("SELECT COUNT(*) FROM fire"), 60 * self.STORM_S)
        verified = self.stoker.admin("verify")
        self.assertEqual(verified.returncode, 0, verified.stdout + verified.stderr)


if __name__ == "__main__":
    harness.main()
