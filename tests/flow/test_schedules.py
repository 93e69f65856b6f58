#!/usr/bin/env python3
"""Schedules on whole instances: fires that run, the command line, the API. Of time alone: test_schedule_times.py; the
storm over them: tests/faults/schedule_storm.py."""
import concurrent.futures
import json
import re
import tempfile

import harness

CRONTAB = """# nightly things
CRON_TZ=Europe/Berlin
GREETING="hello there"
MAILTO=root
0 9 * * 1-5  echo $GREETING $TZ
61 * * * *  echo bad
@reboot  echo no
0 0 30 2 *  echo never
5 4 * * sun  mail -s x root%body
TZ=Asia/Tokyo
SHELL=/bin/ash
PATH=/usr/bin:/bin
0 10 * * *  echo $GREETING $TZ $0
"""

SYSTEM = """SHELL=/bin/sh
17 *\t* * *\troot\tcd / && run-parts --report /etc/cron.hourly
5 4 * * sun www-data echo hi
H H * * * root echo spread
1 2 3 4 5 /bin/echo no
"""


class Schedules(harness.FlowTest):
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
        for line, told in ((2, "kept: CRON_TZ: the time zone"), (3, "kept: GREETING: in the environment"), (4, "left out: MAILTO: nothing is mailed"),
                           (10, "kept: TZ: in the environment of the jobs below; the schedules' zone is CRON_TZ"),
                           (11, "kept: SHELL: it runs"), (12, "kept: PATH: in the environment")):
            self.assertIn("line %d: %s" % (line, told), done.stdout)
        self.assertRegex(done.stdout, r"line 13: done: 0 10 .*Europe/Berlin; first at .*T10:00:00\+0[12]:00", "TZ moves no schedule")
        self.assertIn("2 schedules, 4 lines refused, 1 variables left out", done.stderr)
        made = {line.split()[1]: line.split()[0] for line in self.stoker.cli("schedule", "list").stdout.splitlines()[1:]}
        for code, said in (("cron/echo-5", "hello there\n"), ("cron/echo-13", "hello there Asia/Tokyo /bin/ash\n")):
            task = self.stoker.cli("schedule", "run", made[code]).stdout.strip()
            self.stoker.wait_state(task, "complete")
            self.assertEqual(self.stoker.task_log(task).decode(), said)

    def test_variables_of_a_crontab_are_told_of_where_they_go_nowhere(self):
        self.stoker.code("hello", "true")
        with tempfile.NamedTemporaryFile("w", suffix=".crontab") as crontab:
            crontab.write("PATH=/bin\n@daily run\n")
            crontab.flush()
            done = self.stoker.cli("schedule", "import", crontab.name, "--code", "hello", "--dry-run")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("line 1: left out: PATH: with --code only the commands", done.stdout)

    def import_crontab(self, text, *options):
        with tempfile.NamedTemporaryFile("w", suffix=".crontab") as crontab:
            crontab.write(text)
            crontab.flush()
            return self.stoker.cli("schedule", "import", crontab.name, *options)

    def test_the_time_that_an_import_tells_is_the_one_that_comes(self):
        dry = self.import_crontab(SYSTEM, "--system", "--image", "busybox", "--dry-run").stdout
        self.assertRegex(dry, r"line 4: would do: H H \* \* \*: H H \* \* \*, UTC; H follows from the id")
        self.assertNotRegex(dry, r"line 4: .*first at")
        done = self.import_crontab(SYSTEM, "--system", "--image", "busybox").stdout
        told, schedule = re.search(r"line 4: done: .*; first at (\S+)\+00:00; schedule ([0-9a-f]{24})", done).groups()
        shown = self.stoker.get("schedules/" + schedule).json
        self.assertEqual(shown["next_start"], told + ".000Z")

    def test_users_and_folders_of_a_system_s_crontab_are_told_of(self):
        done = self.import_crontab(SYSTEM, "--system", "--image", "busybox")
        self.assertEqual(done.returncode, 1)
        for line in (r"line 2: refused: 17 \* \* \* \*: run-parts runs the scripts of a folder of this host",
                     r"line 3: done: .*; user www-data: kept as the label", r"line 5: refused: .* no user's name"):
            self.assertRegex(done.stdout, line)
        schedule = re.search(r"line 3: .*schedule ([0-9a-f]{24})", done.stdout).group(1)
        task = self.stoker.cli("schedule", "run", schedule).stdout.strip()
        self.assertEqual(self.stoker.task(task)["label"], "www-data")
        self.stoker.code("hello", "true")
        handed = self.import_crontab(SYSTEM, "--system", "--code", "hello", "--dry-run").stdout
        self.assertIn("line 2: would do: 17 * * * *", handed)

    def test_each_field_can_be_given_and_changed_by_the_command_line(self):
        self.stoker.code("hello", "true")
        rules = {"misfire_window": 3600, "misfire_limit": 5, "misfire_after": 20, "retries": 3, "retries_delay": 4, "jitter": 2}
        flags = [word for key, value in rules.items() for word in ("--" + key.replace("_", "-"), str(value))]
        made = self.stoker.cli("schedule", "add", "hello", "--cron", "H H * * *", "--misfire", "all", "--payload-times", "--exclude",
                               "12-25", "--task-delay", "3", *flags)
        schedule = made.stdout.strip()
        shown = self.stoker.get("schedules/" + schedule).json
        self.assertLessEqual(dict(rules, misfire="all", payload_times=True, exclude_dates=["12-25"], delay=3).items(), shown.items())
        changed = self.stoker.cli("schedule", "update", schedule, "--every", "60", "--misfire-limit", "9", "--no-payload-times",
                                  "--retries", "-1", "--exclude", "", "--label", "x", "--start", "2031-01-01T00:00:00Z")
        self.assertEqual(changed.returncode, 0, changed.stderr)
        after = self.stoker.get("schedules/" + schedule).json
        wanted = dict(shown, cron="", run_every=60, misfire_limit=9, payload_times=False, retries=-1, exclude_dates=[], label="x",
                      start_at="2031-01-01T00:00:00.000Z", next_start=after["next_start"], updated_at=after["updated_at"])
        self.assertEqual(after, wanted)
        self.assertEqual(self.stoker.cli("schedule", "update", schedule).returncode, 2, "nothing to change")
        late = self.stoker.cli("schedule", "preview", "--every", "60", "--delay", "3600", "-n", "1", "--json")
        soon = self.stoker.cli("schedule", "preview", "--every", "60", "-n", "1", "--json")
        first, other = (json.loads(said.stdout)["times"][0]["nominal_time"] for said in (late, soon))
        self.assertGreater(first, other)

    def test_what_is_not_owed_of_a_start_in_the_past_is_told(self):
        self.stoker.code("hello", "true")
        past = {"run_every": 86400, "start_at": "2026-01-01T00:00:00Z", "run_times": 1}
        wanted = "start_at lies in the past: its times from 2026-01-01T00:00:00.000Z on, before "
        self.assertIn(wanted, self.stoker.post("schedules/preview", past).json["note"])
        made = self.stoker.post("schedules", {"schedules": [dict(past, code_name="hello"), dict(past, code_name="hello", start_at="2031-01-01T00:00:00Z")]})
        warning, = made.json["warnings"]
        self.assertIn("schedules[0]: " + wanted, warning)
        said = self.stoker.cli("schedule", "add", "hello", "--every", "86400", "--start", past["start_at"])
        self.assertIn("note: schedules[0]: " + wanted, said.stderr)
        daily = self.make(cron="0 0 * * *")
        moved = self.stoker.request("PUT", "schedules/" + daily, {"run_every": 3600, "start_at": past["start_at"]})
        self.assertIn("start_at lies in the past", moved.json["warnings"][0])

    def test_a_misspelt_field_makes_no_schedule(self):
        self.stoker.code("hello", "true")
        before = len(self.stoker.get("schedules?per_page=100").json["schedules"])
        for fields in ({"crons": "* * * * *"}, {"cron": ""}, {"run_every": 60, "overlaps": "skip"}):
            for reply in (self.stoker.post("schedules", {"schedules": [dict(fields, code_name="hello")]}),
                          self.stoker.post("schedules/preview", dict(fields, n=3))):
                self.assertEqual(reply.status, 400, reply)
                self.assertIn(list(fields)[-1], reply.json["msg"])
        self.assertEqual(len(self.stoker.get("schedules?per_page=100").json["schedules"]), before)
        strange = self.stoker.post("schedules", {"schedules": [{"code_name": "hello", "start_at": "2031-01-01T00:00:00Z", "my_app": 1}]})
        self.assertEqual(strange.json["warnings"], ["schedules[0]: field my_app: is not known here and was passed over"])
        path = "schedules/" + strange.json["schedules"][0]["id"]
        self.assertEqual(self.stoker.request("PUT", path, {"run_evry": 60}).status, 400)
        self.assertEqual(self.stoker.request("PUT", path, self.stoker.get(path).json).json, {"msg": "Updated"})

    def test_the_same_key_makes_one_schedule_and_runs_it_once(self):
        self.stoker.code("hello", "true")
        order = {"schedules": [{"code_name": "hello", "cron": "H 0 1 1 *", "label": "by-key"}]}

        def at_once(path, body):
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                asked = [pool.submit(self.stoker.post, path, body, headers={"Idempotency-Key": "mine"}) for _ in range(8)]
                replies = [one.result() for one in asked]
            self.assertEqual(len({(reply.status, reply.body) for reply in replies}), 1, replies)
            self.assertEqual(replies[0].status, 200, replies[0])
            return replies[0].json

        schedule = at_once("schedules", order)["schedules"][0]["id"]
        labels = [one["label"] for one in self.stoker.get("schedules?per_page=100").json["schedules"]]
        self.assertEqual(labels.count("by-key"), 1)
        again = self.stoker.post("schedules", order, headers={"Idempotency-Key": "mine"})
        self.assertEqual((again.json["schedules"][0]["id"], again.headers["idempotency-replayed"]), (schedule, "true"))
        other = self.stoker.post("schedules", {"schedules": [{"code_name": "hello", "delay": 900}]}, headers={"Idempotency-Key": "mine"})
        self.assertEqual(other.status, 422)
        task = at_once("schedules/%s/run" % schedule, {})["id"]
        self.assertEqual([fire["task_id"] for fire in self.fires(schedule)], [task])
        other = self.stoker.post("schedules/%s/run" % schedule, {"x": 1}, headers={"Idempotency-Key": "mine"})
        self.assertEqual(other.status, 422)

    def test_what_is_cancelled_is_not_run_by_hand(self):
        self.stoker.code("hello", "true")
        schedule = self.make(cron="0 0 1 1 *")
        self.stoker.post("schedules/%s/cancel" % schedule)
        span = {"from": "2025-01-01T00:00:00Z", "to": "2025-01-01T00:00:00Z"}
        for reply in (self.stoker.post("schedules/%s/run" % schedule), self.stoker.post("schedules/%s/backfill" % schedule, span)):
            self.assertEqual(reply.status, 409, reply)
            self.assertIn("the schedule is cancelled", reply.json["msg"])
        self.assertEqual(self.fires(schedule), [])

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
        self.assertTrue(shown["paused_by"])
        coming = self.stoker.get("schedules/%s/preview?n=2" % schedule).json
        self.assertIn("it is paused since", coming["note"])
        self.assertIn("why not", coming["note"])
        self.assertEqual((coming["paused"], [t["runs"] for t in coming["times"]]), (True, [False, False]))
        said = self.stoker.cli("schedule", "show", schedule).stdout
        self.assertIn("note: it is paused since", said)
        self.assertRegex(said, r"state +paused\n")
        self.assertEqual(self.stoker.cli("schedule", "resume", schedule, "--reason", "now it may").returncode, 0)
        shown = self.stoker.get("schedules/" + schedule).json
        self.assertEqual((shown["paused"], shown["resume_reason"], shown["resumed_by"]), (False, "now it may", shown["resumed_by"] or "somebody"))
        pause, = self.stoker.get("schedules/%s/pauses" % schedule).json["pauses"]
        self.assertEqual((pause["pause_reason"], pause["resume_reason"], pause["to"]), ("why not", "now it may", shown["resumed_at"]))
        self.assertTrue(pause["paused_by"] and pause["resumed_by"])
        self.assertIn("now it may", self.stoker.cli("schedule", "show", schedule).stdout)
        spread = self.stoker.post("schedules/preview", {"cron": "H H * * *"}).json
        self.assertIn("H follows from the id", spread["note"])
        self.assertIn("note: H follows", self.stoker.cli("schedule", "preview", "--cron", "H H * * *").stdout)
        of_it = self.make(cron="H H * * *")
        self.assertEqual(self.stoker.get("schedules/%s/preview" % of_it).json["note"], "")
        limited = self.stoker.cli("schedule", "preview", "--every", "60", "--times", "3").stdout
        self.assertEqual(len(limited.splitlines()), 2 + 3, limited)
        self.assertEqual(self.stoker.request("PUT", "calendars/rest", {"dates": ["01-01"]}).status, 200)
        refused = self.stoker.request("PUT", "schedules/" + schedule, {"exclude_calendars": ["rest"]})
        self.assertEqual(refused.status, 400, refused) # it would never fire
        self.assertEqual(self.stoker.request("PUT", "schedules/" + schedule, {"cron": "0 0 * * *", "exclude_calendars": ["rest"]}).status, 200)
        self.assertEqual(self.stoker.request("DELETE", "calendars/rest").status, 409)
        self.stoker.post("schedules/%s/cancel" % schedule)
        self.assertEqual(self.stoker.request("DELETE", "calendars/rest").status, 200)


if __name__ == "__main__":
    harness.main()
