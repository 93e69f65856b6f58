"""The limits of requests, each at the limit and one beyond it, over HTTP; and what the largest request costs the
process that reads it."""
import json

import harness

MIB = 1 << 20
REQUEST_BYTES, TASKS, DEPTH, NODES, SCHEDULES = 32 * MIB, 10000, 32, 10000, 100000
PROCESS_KIB_MOST = 256 * 1024


def filled(document, place, size, filling):
    """The document as bytes, `place` replaced by so much of `filling` that it has just `size` bytes."""
    text = json.dumps(document).encode()
    room = size - len(text) + len(place)
    return text.replace(place, (filling * (room // len(filling) + 1))[:room])


class Limits(harness.FlowTest):
    ENV = {"STOKER_API_PROCESSES": "1"}

    def setUp(self):
        self.stoker.code("bulk", "true")
        self.stoker.request("POST", "codes/%s/pause_task_queue" % self.code_id("bulk"), {})

    def code_id(self, name):
        return next(code["id"] for code in self.stoker.get("codes").json["codes"] if code["name"] == name)

    def count(self):
        return int(self.stoker.sql("SELECT COUNT(*) FROM task")[0][0])

    def peak_kib(self):
        """The most memory that any process of the API has had."""
        peaks = []
        for pid, name in self.stoker.processes().items():
            if name == "stoker-api":
                with open("/proc/%d/status" % pid) as status:
                    peaks += [int(line.split()[1]) for line in status if line.startswith("VmHWM")]
        self.assertGreaterEqual(len(peaks), 2)  # the supervisor and its child
        return max(peaks)

    def full_request(self, filling):
        """10,000 tasks with payloads that fill a request to the last byte."""
        room = (REQUEST_BYTES - 600000) // TASKS
        payload = "@" + "#" * (room - 1)
        text = json.dumps({"tasks": [{"code_name": "bulk", "payload": payload}] * TASKS}, separators=(",", ":")).encode()
        text = text.replace(b"#", filling)
        text += b" " * (REQUEST_BYTES - len(text))
        self.assertEqual(len(text), REQUEST_BYTES)
        return text

    def test_the_largest_request_keeps_the_process_under_256_mib(self):
        before = self.count()
        reply = self.stoker.post("tasks", self.full_request(b"\xe9"), timeout=120)  # ISO-8859-1: each byte becomes three
        self.assertEqual(reply.status, 200, reply)
        self.assertEqual((len(reply.json["tasks"]), self.count()), (TASKS, before + TASKS))
        if "build-asan" not in harness.BUILD:  # the sanitizer's own memory is no part of the promise
            self.assertLess(self.peak_kib(), PROCESS_KIB_MOST)

    def test_a_request_one_byte_too_long_queues_nothing(self):
        before = self.count()
        reply = self.stoker.post("tasks", self.full_request(b"x") + b" ", timeout=60)
        self.assertEqual(reply.status, 413, reply)
        self.assertIn("msg", reply.json)
        self.assertEqual(self.count(), before)

    def test_one_task_too_many_queues_nothing(self):
        before = self.count()
        reply = self.stoker.post("tasks", {"tasks": [{"code_name": "bulk"}] * (TASKS + 1)})
        self.assertEqual(reply.status, 400, reply)
        self.assertIn("10001", reply.json["msg"])
        self.assertEqual(self.count(), before)

    def test_nesting_ends_at_the_limit(self):
        for levels, status in ((DEPTH - 1, 200), (DEPTH, 400)):  # the body itself is one
            body = b'{"tasks": [{"code_name": "bulk"}], "more": %s}' % (b"[" * levels + b"]" * levels)
            self.assertEqual(self.stoker.post("tasks", body).status, status, levels)

    def test_other_json_has_so_many_values_and_bytes(self):
        path = "tasks/%s/progress" % self.stoker.queue("bulk")
        for values, status in ((NODES - 2, 200), (NODES - 1, 400)):  # the object and the array are two
            self.assertEqual(self.stoker.post(path, {"more": [0] * values}).status, status, values)
        for size, status in ((MIB, 200), (MIB + 1, 413)):
            self.assertEqual(self.stoker.post(path, filled({"more": "@"}, b"@", size, b"x")).status, status, size)

    def schedules(self, n=1):
        return self.stoker.post("schedules", {"schedules": [{"code_name": "bulk", "start_at": "2100-01-01T00:00:00Z"}] * n})

    def test_a_project_has_so_many_schedules_and_no_more(self):
        before = int(self.stoker.sql("SELECT COUNT(*) FROM schedule WHERE state = 'scheduled'")[0][0])
        first = self.schedules().json["schedules"][0]["id"]
        self.stoker.sql("INSERT INTO schedule (id, project_id, code_id, start_at, next_at, accounted_to)"
                        " SELECT UNHEX(LPAD(HEX(seq), 24, '0')), project_id, code_id, start_at, next_at, accounted_to"
                        " FROM seq_1_to_%d JOIN (SELECT * FROM schedule WHERE id = x'%s') one" % (SCHEDULES - before - 2, first))
        self.assertEqual(self.schedules(2).status, 403)  # one is free: all or nothing
        last = self.schedules()
        self.assertEqual(last.status, 200, last)
        over = self.schedules()
        self.assertEqual(over.status, 403, over)
        self.assertIn("100000", over.json["msg"])
        self.assertEqual(self.stoker.sql("SELECT COUNT(*) FROM schedule WHERE state = 'scheduled'"), [(str(SCHEDULES),)])
        self.assertEqual(self.stoker.post("schedules/%s/cancel" % first).status, 200)
        self.assertEqual(self.schedules().status, 200)
        self.stoker.sql("DELETE FROM schedule WHERE id < x'000000000000000001000000'")

    # --- timeouts: clamped and said, never refused ---------------------------------------------------

    MOST = 86400  # of a project without a quota

    def quota(self, seconds):
        done = self.stoker.admin("project", "set", "demo", "--timeout-most", str(seconds))
        self.assertEqual(done.returncode, 0, done.stderr)

    def queued_timeout(self, reply, most, cut):
        self.assertEqual(reply.status, 200, reply)
        warnings = reply.json.get("warnings")
        if cut:
            self.assertEqual(len(warnings), 1)
            self.assertIn("timeout is cut to %d s" % most, warnings[0])
        else:
            self.assertIsNone(warnings)
        return self.stoker.task(reply.json["id"] if "id" in reply.json else reply.json["tasks"][0]["id"])["timeout"]

    def timeouts(self, most):
        """Each way to ask for a time, at the limit and beyond it."""
        many = [(str(most), most, False), (str(most + 1), most, True), ("%d.9" % most, most, False), ("1e300", most, True),
                ("9223372036854775808", most, True), ("1" + "0" * 40, most, True), ("0.001", 1, False), ("0", min(3600, most), False)]
        for asked, expected, cut in many:
            body = ('{"tasks": [{"code_name": "bulk", "timeout": %s}]}' % asked).encode()
            self.assertEqual(self.queued_timeout(self.stoker.post("tasks", body), most, cut), expected, asked)
            reply = self.stoker.post("tasks/webhook?code_name=bulk&timeout=" + asked, b"x")
            self.assertEqual(self.queued_timeout(reply, most, cut), expected, asked)
        for asked in ("-1", "-1e300", "-9223372036854775809"):
            reply = self.stoker.post("tasks", ('{"tasks": [{"code_name": "bulk", "timeout": %s}]}' % asked).encode())
            self.assertEqual((reply.status, reply.json["msg"]), (400, "tasks[0]: field timeout: must not be negative"))

    def test_a_timeout_ends_at_the_limit_of_the_instance_or_the_quota_of_the_project(self):
        self.assertEqual(self.stoker.get("/2/projects/" + self.stoker.project).json["timeout_most"], self.MOST)
        self.timeouts(self.MOST)
        try:
            for quota in (600, 7200, 200000):
                self.quota(quota)
                self.assertEqual(self.stoker.get("/2/projects/" + self.stoker.project).json["timeout_most"], quota)
                self.assertIn("%d s" % quota, self.stoker.admin("project", "list").stdout)
                self.timeouts(quota)
                for path, body, key in (("codes", {"name": "long", "image": "busybox"}, None),
                                        ("schedules", {"code_name": "bulk", "start_at": "2100-01-01T00:00:00Z"}, "schedules")):
                    for timeout in (quota, quota + 1):
                        one = dict(body, timeout=timeout)
                        made = self.stoker.post(path, {key: [one]} if key else one).json
                        self.assertEqual("warnings" in made, timeout > quota, made)
                        found = self.stoker.get("%s/%s" % (path, made[key][0]["id"] if key else made["id"])).json
                        self.assertEqual(found["timeout"], quota)
                changed = self.stoker.request("PUT", "schedules/" + found["id"], {"timeout": quota + 1}).json
                self.assertIn("timeout is cut to %d s" % quota, changed["warnings"][0])
            # what its code or its schedule asked for before is cut as well
            self.quota(60)
            self.assertEqual(self.stoker.task(self.stoker.queue("long"))["timeout"], 60)
            self.stoker.post("schedules/%s/run" % found["id"])
            fired = harness.wait_for(lambda: self.stoker.get("tasks?per_page=1").json["tasks"], 10, "a task of the schedule")
            self.assertEqual((fired[0]["schedule_id"], fired[0]["timeout"]), (found["id"], 60))
        finally:
            self.quota(0)
        self.timeouts(self.MOST)

    def test_a_payload_ends_at_the_limit(self):
        for size, status in ((3 * MIB, 200), (3 * MIB + 1, 413)):
            reply = self.stoker.post("tasks", {"tasks": [{"code_name": "bulk", "payload": "x" * size}]})
            self.assertEqual(reply.status, status, size)
            reply = self.stoker.post("tasks/webhook?code_name=bulk", b"x" * size)
            self.assertEqual(reply.status, status, size)


if __name__ == "__main__":
    harness.main()
