#!/usr/bin/env python3
"""Schedules on whole instances: fires that run, the command line, the API. Of time alone: test_schedule_times.py; the
storm over them: tests/faults/schedule_storm.py."""
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
