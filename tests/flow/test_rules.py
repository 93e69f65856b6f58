"""The rules that satisfy every published IronWorker client, one test a rule, as bytes on a socket. The
number in a test's name is the rule's; make lint checks that each of 1 to 27 has one."""
import base64
import io
import json
import os
import re
import signal
import socket
import threading
import time
import zipfile

import harness

ZERO = "0001-01-01T00:00:00Z"
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z$")
TIME_KEYS = ("created_at", "updated_at", "start_time", "end_time", "start_at", "end_at", "next_start", "last_run_time",
             "latest_change", "archived_at")
NOBODY = "66aa01c2d3e4f5061728394a"


class Connection:
    """One connection that sends bytes as they are and reads one answer after the other."""

    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.file = self.sock.makefile("rb")

    def close(self):
        self.file.close()
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def read(self):
        status = self.file.readline()
        if not status:
            raise AssertionError("the connection was closed without an answer")
        headers = {}
        for line in iter(self.file.readline, b"\r\n"):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        body = self.read_chunks() if headers.get("transfer-encoding") == "chunked" else \
            self.file.read(int(headers.get("content-length", 0)))
        return harness.Reply(int(status.split()[1]), headers, body)

    def read_chunks(self):
        body = b""
        while True:
            size = int(self.file.readline().split(b";")[0], 16)
            body += self.file.read(size)
            self.file.readline()
            if not size:
                return body


def chunked(body, step=7):
    pieces = [body[i:i + step] for i in range(0, len(body), step)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def values(json_value):
    """Every key and value in an answer, however deep."""
    if isinstance(json_value, dict):
        for key, value in json_value.items():
            yield key, value
            yield from values(value)
    elif isinstance(json_value, list):
        for value in json_value:
            yield from values(value)


class Wire(harness.FlowTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        s = cls.stoker
        cls.code = s.code("ruled", "sh -c 'echo out; echo err >&2'")
        cls.held = s.code("held", "true")
        s.post("codes/%s/pause_task_queue" % cls.held["id"])
        cls.done = s.run_task("ruled", "{}", label="done")
        cls.waiting = s.queue("held", "{}", label="waiting")
        cls.schedule = s.post("schedules", {"schedules": [
            {"code_name": "held", "payload": "{}", "start_at": "2031-05-01T00:00:00Z", "run_every": 3600}]}).json["schedules"][0]["id"]

    def path(self, rest):
        return "/2/projects/%s/%s" % (self.stoker.project, rest)

    def raw(self, line, *headers, body=b"", token=True):
        """One request on a connection of its own; a body gets its length unless a header says how it comes."""
        head = [line + " HTTP/1.1", "Host: x", *headers]
        if token:
            head.append("Authorization: OAuth " + self.stoker.token)
        if body and not any(h.lower().startswith(("transfer-encoding", "content-length")) for h in headers):
            head.append("Content-Length: %d" % len(body))
        connection = Connection(self.stoker.port)
        try:
            connection.send("\r\n".join(head + ["", ""]).encode("latin-1") + body)
            return connection.read()
        finally:
            connection.close()

    def reads(self):
        """Every kind of answer that a client reads."""
        get = self.stoker.get
        return [get(path) for path in (
            "/2/projects", "/2/projects/" + self.stoker.project, "codes", "codes/" + self.code["id"],
            "codes/%s/revisions" % self.code["id"], "codes/%s/stats" % self.code["id"], "tasks",
            "tasks/" + self.done["id"], "tasks/" + self.waiting, "schedules", "schedules/" + self.schedule, "/2/clusters",
            "/2/clusters/default", "/2/clusters/default/stats")]

    def cancelled_task(self):
        task = self.stoker.queue("held", "{}")
        self.stoker.post("tasks/%s/cancel" % task)
        return task


class Rules(Wire):
    def test_rule_01_everything_is_below_2(self):
        for reply in self.reads() + [self.stoker.get("/2/stacks")]:
            self.assertEqual(reply.status, 200, reply)
        self.assertEqual(self.stoker.get("/projects/%s/tasks" % self.stoker.project).status, 404)

    def test_rule_02_ids_are_24_lower_case_hex_digits(self):
        ids = [value for reply in self.reads() for key, value in values(reply.json)
               if (key == "id" or key.endswith("_id")) and key != "instance_id" and value]
        self.assertGreater(len(ids), 20)
        for one in ids:
            self.assertRegex(one, "^[0-9a-f]{24}$")

    def test_rule_03_success_is_200(self):
        s = self.stoker
        task = s.queue("held", "{}")
        replies = [s.post("codes", {"name": "two-hundred", "image": "busybox"}), s.post("tasks/%s/progress" % task),
                   s.post("tasks/%s/retry" % task), s.post("tasks/%s/cancel" % task),
                   s.post("tasks/webhook?code_name=held", b"x"), s.post("codes/%s/cancel_all" % self.code["id"]),
                   s.request("PUT", "schedules/" + self.schedule, {"run_times": 5})]
        replies.append(s.request("DELETE", "codes/" + replies[0].json["id"]))
        self.assertEqual([reply.status for reply in replies], [200] * len(replies))

    def test_rule_04_every_answer_has_its_content_type(self):
        for reply in self.reads() + [self.stoker.get("/2/nothing"), self.stoker.get("tasks", token=False)]:
            self.assertEqual(reply.headers["content-type"], "application/json")
        for log in ("log", "outlog"):
            reply = self.stoker.get("tasks/%s/%s" % (self.done["id"], log))
            self.assertEqual(reply.headers["content-type"], "text/plain; charset=utf-8")

    def test_rule_05_errors_have_a_msg(self):
        s = self.stoker
        refusals = {401: [s.get("tasks", token=False), s.get("tasks", token="wrong")], 400: [s.post("tasks", b"{")],
                    404: [s.get("tasks/" + NOBODY), s.get("/2/projects/%s/tasks" % NOBODY), s.get("/2/clusters/none"),
                          s.post("tasks", {"tasks": [{"code_name": "nobody"}]}), s.get("schedules/" + NOBODY)],
                    405: [s.request("PATCH", "tasks")], 406: [s.post("tasks"), s.post("schedules"), s.post("codes")],
                    413: [s.post("tasks/%s/progress" % self.waiting, b" " * (5 << 20))]}
        for status, replies in refusals.items():
            for reply in replies:
                self.assertEqual(reply.status, status, reply)
                self.assertIsInstance(reply.json["msg"], str)
                self.assertTrue(reply.json["msg"])

    def test_rule_06_no_answer_is_compressed(self):
        for encoding in ("gzip/deflate", "gzip, deflate", "gzip", "*"):
            for path in ("tasks?per_page=100", "tasks/%s/log" % self.done["id"], "codes"):
                reply = self.raw("GET " + self.path(path), "Accept-Encoding: " + encoding)
                self.assertEqual(reply.status, 200)
                self.assertNotIn("content-encoding", reply.headers)

    def test_rule_07_nothing_is_negotiated(self):
        body = json.dumps({"tasks": [{"code_name": "held", "payload": "{}"}]}).encode()
        for accept in ("*/*", "*/*; q=0.5, application/xml", "appliction/json", "text/plain"):
            self.assertEqual(self.raw("GET " + self.path("tasks"), "Accept: " + accept).status, 200)
        for kind in ("Content-Type: application/json; charset=utf-8", "Content-Type: application/x-www-form-urlencoded",
                     "Content-Type: multipart/form-data", "X-None: 1"):
            reply = self.raw("POST " + self.path("tasks"), kind, body=body)
            self.assertEqual((reply.status, reply.json["msg"]), (200, "Queued up"), kind)

    def test_rule_08_get_and_delete_may_have_bodies(self):
        code = self.stoker.code("bodied", "true")
        for line in ("GET " + self.path("tasks"), "GET /2/projects", "DELETE " + self.path("codes/" + code["id"])):
            for body in (b"{}", b"{}\n"):
                reply = self.raw(line, "Content-Type: application/json", body=body)
                if line.startswith("GET"):
                    self.assertEqual(reply.status, 200, line)
        self.assertEqual(self.stoker.get("codes/" + code["id"]).status, 404)

    def test_rule_09_bodies_may_come_in_chunks(self):
        body = json.dumps({"tasks": [{"code_name": "held", "payload": "x" * 5000}]}).encode()
        reply = self.raw("POST " + self.path("tasks"), "Transfer-Encoding: chunked", body=chunked(body, 777))
        self.assertEqual(len(self.stoker.task(reply.json["tasks"][0]["id"])["payload"]), 5000)
        reply = self.raw("POST " + self.path("tasks/%s/cancel" % self.cancelled_task()), "Transfer-Encoding: chunked",
                         body=chunked(b""))
        self.assertEqual(reply.json["msg"], "Cancelled")

    def test_rule_10_a_token_stands_in_header_query_or_body(self):
        token = self.stoker.token
        for word in ("OAuth", "oauth", "JWT", "jwt", "OAUTH"):
            reply = self.raw("GET " + self.path("tasks"), "Authorization: %s %s" % (word, token), token=False)
            self.assertEqual(reply.status, 200, word)
        self.assertEqual(self.raw("GET " + self.path("tasks?oauth=" + token), token=False).status, 200)
        body = {"tasks": [{"code_name": "held"}], "oauth": token}
        self.assertEqual(self.raw("POST " + self.path("tasks"), body=json.dumps(body).encode(), token=False).status, 200)
        everywhere = self.raw("POST " + self.path("tasks?oauth=" + token), body=json.dumps(body).encode())
        self.assertEqual(everywhere.status, 200)
        wrong = self.raw("GET " + self.path("tasks?oauth=" + token), "Authorization: OAuth wrong", token=False)
        self.assertEqual(wrong.status, 401) # header before query

    def test_rule_11_codes_come_in_six_forms(self):
        def data(name):
            return json.dumps({"name": name, "image": "busybox", "command": "true"}).encode()

        def multipart(name, end, disposition=b'Content-Disposition: form-data; name="data"', after=b""):
            return end.join([b"--77120", disposition, b"", data(name) + after, b"--77120--"])

        kind = "Content-Type: multipart/form-data; boundary=77120"
        forms = {
            "a": (kind, multipart("form-a", b"\r\n") + b"\r\n"),
            "java": (kind + "; charset=US-ASCII", multipart("form-java", b"\r\n", b'Content-Disposition: form-data; '
                     b'name="data"\r\nContent-Type: text/plain; charset=US-ASCII\r\nContent-Transfer-Encoding: 8bit')),
            "b": (kind, multipart("form-b", b"\n")),
            "c": ("Content-Type: application/x-www-form-urlencoded", b"data=%7B%22name%22%3A%22form-c%22%2C%22image%22%3A"
                  b"%22busybox%22%7D&file="),
            "d": ("Content-Type: application/json", data("form-d")),
            "e": (kind, multipart("form-e", b"\r\n", b"Content-Type: application/json")),
            "f": (kind, multipart("form-f", b"\r\n", after=b"\n")),
        }
        for form, (header, body) in forms.items():
            headers = [header] + (["Transfer-Encoding: chunked"] if form == "f" else [])
            reply = self.raw("POST " + self.path("codes"), *headers, body=chunked(body, 50) if form == "f" else body)
            self.assertEqual((reply.status, reply.json.get("name")), (200, "form-" + form), reply)
        zipped = io.BytesIO()
        with zipfile.ZipFile(zipped, "w") as file:
            file.writestr("run.sh", "echo hi\n")
        packed = multipart("form-zip", b"\r\n")[:-len(b"--77120--")] + b"\r\n".join(
            [b"--77120", b'Content-Disposition: form-data; name="file"; filename="x.zip"', b"", zipped.getvalue(), b"--77120--"])
        reply = self.raw("POST " + self.path("codes"), kind, "Transfer-Encoding: chunked", body=chunked(packed, 50))
        self.assertEqual((reply.status, reply.json.get("code_size")), (200, len(zipped.getvalue())), reply)
        self.assertEqual(self.stoker.get("codes/%s/download" % reply.json["id"]).body, zipped.getvalue())

    def test_rule_12_an_upload_is_answered_with_id_and_msg(self):
        reply = self.stoker.post("codes", {"image": "reg.example/iron/named:0.0.1"})
        self.assertEqual(len(reply.json["id"]), 24)
        self.assertTrue(reply.json["msg"])

    def test_rule_13_messages_are_exact(self):
        s = self.stoker
        code = s.code("exact", "true")["id"]
        task = s.queue("held", "{}")
        schedule = s.post("schedules", {"schedules": [{"code_name": "held", "payload": "{}", "delay": 900}]})
        paths = [("codes/%s/pause_task_queue" % code, "Paused"), ("codes/%s/pause_task_queue" % code, "Already paused"),
                 ("codes/%s/resume_task_queue" % code, "Resumed"), ("codes/%s/resume_task_queue" % code, "Already resumed"),
                 ("codes/%s/cancel_all" % code, "Cancelled"), ("tasks/%s/progress" % task, "Progress set"),
                 ("tasks/%s/retry" % task, "Queued up"), ("tasks/%s/cancel" % task, "Cancelled"),
                 ("tasks/webhook?code_name=held", "Queued up."),
                 ("schedules/%s/cancel" % schedule.json["schedules"][0]["id"], "Cancelled")]
        self.assertEqual(schedule.json["msg"], "Scheduled")
        self.assertEqual(s.request("PUT", "schedules/" + self.schedule, {"run_every": 7200}).json["msg"], "Updated")
        for path, msg in paths:
            self.assertEqual(s.post(path).json["msg"], msg, path)
        self.assertEqual(s.post("tasks", {"tasks": [{"code_name": "held"}]}).json["msg"], "Queued up")
        self.assertEqual(s.request("DELETE", "codes/" + code).json["msg"], "Deleted")

    def test_rule_14_times_have_three_decimals_or_none_and_a_z(self):
        times = [(key, value) for reply in self.reads() for key, value in values(reply.json) if key in TIME_KEYS]
        self.assertGreater(len(times), 30)
        for key, value in times:
            self.assertRegex(value, TIME, key)

    def test_rule_15_a_time_that_has_not_come_is_the_zero_time(self):
        task, schedule = self.stoker.task(self.waiting), self.stoker.get("schedules/" + self.schedule).json
        self.assertEqual((task["start_time"], task["end_time"]), (ZERO, ZERO))
        self.assertEqual((schedule["end_at"], schedule["last_run_time"]), (ZERO, ZERO))
        self.assertEqual(schedule["next_start"], "2031-05-01T00:00:00.000Z")
        self.assertNotIn(ZERO, (self.done["start_time"], self.done["end_time"]))

    def test_rule_16_types_are_as_strict_clients_decode_them(self):
        whole = ("duration", "timeout", "percent", "run_times", "log_size", "priority", "delay")
        for task in (self.stoker.task(self.waiting), self.stoker.task(self.done["id"])):
            self.assertIsInstance(task["code_rev"], str)
            for key in whole:
                self.assertIs(type(task[key]), int, key)
            self.assertGreaterEqual(task["timeout"], 1)
        schedule = self.stoker.get("schedules/" + self.schedule).json
        for key in ("run_times", "run_count", "run_every", "priority", "timeout"):
            self.assertIs(type(schedule[key]), int, key)
        code = self.stoker.get("codes/" + self.code["id"]).json
        for key in ("rev", "retries", "max_concurrency"):
            self.assertIs(type(code[key]), int, key)
        self.assertIs(type(code["env_vars"]), dict)

    def test_rule_17_a_task_has_no_keys_of_schedules(self):
        for task in self.stoker.get("tasks").json["tasks"] + [self.stoker.task(self.done["id"])]:
            self.assertFalse({"start_at", "end_at", "next_start", "last_run_time", "run_count", "run_every"} & set(task))

    def test_rule_18_preparing_is_shown_as_queued(self):
        task = self.stoker.queue("held", "{}", label="prepared")
        self.stoker.sql("UPDATE task SET state = 'preparing', attempt = 1, node_id = 999999, node_session = RANDOM_BYTES(16)"
                        " WHERE id = x'%s'" % task)
        shown = self.stoker.task(task)
        self.assertEqual((shown["status"], shown["state"]), ("queued", "preparing"))
        for filter_, found in (("queued=1", 1), ("preparing=1", 1), ("running=1", 0)):
            self.assertEqual(len(self.stoker.get("tasks?label=prepared&" + filter_).json["tasks"]), found, filter_)

    def test_rule_19_a_task_that_ended_well_has_no_msg_but_progress_s(self):
        self.assertNotIn("msg", self.stoker.task(self.done["id"]))
        task = self.stoker.queue("ruled", "{}", delay=1)
        self.stoker.post("tasks/%s/progress" % task, {"msg": '{"built": true}'})
        ended = self.stoker.wait_state(task, "complete")
        self.assertEqual(ended["msg"], '{"built": true}')

    def test_rule_20_unset_in_disguise_is_no_error(self):
        for odd in ({"priority": -3}, {"timeout": 0}, {"cluster": ""}, {"cluster": None}, {"label": ""}, {"label": None},
                    {"delay": 0.0}, {"timeout": 0.0}, {"payload": None}):
            reply = self.stoker.post("tasks", {"tasks": [dict(code_name="held", **odd)]})
            self.assertEqual(reply.status, 200, odd)
            task = self.stoker.task(reply.json["tasks"][0]["id"])
            self.assertEqual((task["priority"], task["timeout"], task["cluster"]), (0, 3600, "default"), odd)
        for odd in ({"default_priority": -1000}, {"env_vars": None}, {"runtime": "", "file_name": "", "stack": ""}):
            reply = self.stoker.post("codes", dict(name="disguised", image="busybox", **odd))
            self.assertEqual((reply.status, reply.json.get("default_priority")), (200, 0), odd)
        reply = self.stoker.post("schedules", {"schedules": [
            {"code_name": "held", "payload": "x", "run_times": 0, "timeout": 0, "delay": 0, "label": "", "cluster": "",
             "name": "", "start_at": "2031-01-01T00:00:00-04:00"}]})
        self.assertEqual(reply.status, 200, reply)

    def test_rule_21_unknown_keys_are_ignored(self):
        junk = {"standalone": True, "class_name": "n", "access_key": "n", "options": [], "version": None, "timestamp": 1,
                "oauth": self.stoker.token, "wait": True, "encryptionKey": "k", "sync": False, "start_at": "never"}
        self.assertEqual(self.stoker.post("codes", dict(junk, name="junk", image="busybox")).status, 200)
        self.assertEqual(self.stoker.post("tasks", dict(junk, tasks=[dict(junk, code_name="held", name="n")])).status, 200)
        self.assertEqual(self.stoker.post("tasks/%s/progress" % self.waiting, dict(junk, percent=1)).status, 200)

    def test_rule_22_any_value_switches_a_filter_on(self):
        def found(query):
            return {task["id"] for task in self.stoker.get("tasks?per_page=100&" + query).json["tasks"]}

        cancelled = self.cancelled_task()
        for value in ("1", "true", "%25%21d%28bool%3Dtrue%29", "yes"):
            self.assertIn(cancelled, found("cancelled=" + value))
            self.assertNotIn(self.waiting, found("cancelled=" + value))
        for value in ("", "0", "false"):
            self.assertIn(self.waiting, found("cancelled=" + value))
        self.assertIn(self.waiting, found("code_name="))
        self.assertNotIn(self.waiting, found("code_name=ruled"))

    def test_rule_23_cancelling_what_is_over_changes_nothing(self):
        before = self.stoker.task(self.done["id"])
        for _ in range(2):
            self.assertEqual(self.stoker.post("tasks/%s/cancel" % self.done["id"]).json["msg"], "Cancelled")
        self.assertEqual(self.stoker.task(self.done["id"]), before)
        self.assertEqual(self.stoker.post("tasks/%s/cancel" % self.cancelled_task()).json["msg"], "Cancelled")

    def test_rule_24_before_there_is_a_log_the_msg_says_log(self):
        reply = self.stoker.get("tasks/%s/log" % self.waiting)
        self.assertEqual(reply.status, 404)
        self.assertIn("log", reply.json["msg"])
        silent = self.stoker.run_task(self.stoker.code("silent", "true")["name"])
        reply = self.stoker.get("tasks/%s/log" % silent["id"])
        self.assertEqual((reply.status, reply.body), (200, b""))

    def test_rule_25_what_was_done_is_not_answered_with_503(self):
        answers = {}
        database = self.stoker.kill("mariadb", signal.SIGSTOP)
        try:
            for i in range(3):
                label = "hung-%d" % i
                body = {"tasks": [{"code_name": "held", "payload": "{}", "label": label}]}
                answers[label] = self.stoker.post("tasks", body).status
        finally:
            os.kill(database, signal.SIGCONT)
        harness.wait_for(lambda: self.stoker.get("tasks").status == 200, 20, "the database to answer")
        time.sleep(1)
        self.assertIn(503, answers.values())
        for label, status in answers.items():
            self.assertIn(status, (502, 503))
            if status == 503:
                self.assertEqual(self.stoker.get("tasks?label=" + label).json["tasks"], [], label)

    def test_rule_26_who_closes_the_connection_says_so(self):
        self.assertEqual(self.raw("GET /version", "Connection: close").headers["connection"], "close")
        connection = Connection(self.stoker.port)
        self.addCleanup(connection.close)
        for _ in range(3):
            connection.send(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertNotEqual(connection.read().headers.get("connection"), "close")

    def test_rule_27_request_lines_may_be_odd(self):
        self.stoker.code("iron/hello", "true", image="busybox")
        host = "http://127.0.0.1:%d" % self.stoker.port
        for line in (host + self.path("tasks/%s/log" % self.done["id"]), self.path("codes?"), self.path("tasks?"),
                     host + self.path("tasks?per_page=1")):
            self.assertEqual(self.raw("GET " + line).status, 200, line)
        reply = self.raw("POST " + self.path("tasks/webhook?code_name=iron%2Fhello"), body=b"x")
        self.assertEqual(self.stoker.task(reply.json["id"])["code_name"], "iron/hello")
        listed = self.raw("GET " + self.path("tasks?code_name=iron%2Fhello")).json["tasks"]
        self.assertEqual([task["id"] for task in listed], [reply.json["id"]])


class Quirks(Wire):
    """What single clients do beyond the rules (ironworker-api.md 2 and 12)."""

    def test_json_in_latin_1_is_taken(self):
        body = '{"tasks":[{"code_name":"held","payload":"caf\xe9"}]}'.encode("latin-1")
        reply = self.raw("POST " + self.path("tasks"), body=body)
        self.assertEqual(self.stoker.task(reply.json["tasks"][0]["id"])["payload"], "caf\ufffd")

    def test_who_expects_100_continue_is_told_to_go_on(self):
        body = json.dumps({"tasks": [{"code_name": "held"}]}).encode()
        connection = Connection(self.stoker.port)
        self.addCleanup(connection.close)
        connection.send(("POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: OAuth %s\r\nExpect: 100-continue\r\n"
                         "Content-Length: %d\r\n\r\n" % (self.path("tasks"), self.stoker.token, len(body))).encode())
        self.assertIn(b" 100 ", connection.file.readline())
        connection.file.readline()
        connection.send(body)
        self.assertEqual(connection.read().status, 200)

    def ok(self, line, *headers, body=b"", token=True, msg=None):
        reply = self.raw(line, *headers, body=body, token=token)
        self.assertEqual(reply.status, 200, (line, reply))
        if msg:
            self.assertEqual(reply.json["msg"], msg, line)
        return reply.json

    def test_a_token_may_stand_in_the_body_alone(self):
        """The oldest Ruby gem: no header, no query, whatever the method (2, 12.1)."""
        token, kind = json.dumps({"oauth": self.stoker.token}).encode(), "Content-Type: application/json"
        code, task = self.stoker.code("by-body", "true")["id"], self.stoker.queue("held", "{}")
        put = json.dumps({"oauth": self.stoker.token, "run_times": 9}).encode()
        self.ok("PUT " + self.path("schedules/" + self.schedule), kind, body=put, token=False, msg="Updated")
        self.ok("POST " + self.path("tasks/%s/cancel" % task), kind, body=token, token=False, msg="Cancelled")
        self.ok("GET " + self.path("tasks"), kind, body=token, token=False)
        self.ok("DELETE " + self.path("codes/" + code), kind, body=token, token=False, msg="Deleted")
        upload = json.dumps({"oauth": self.stoker.token, "name": "by-body", "image": "busybox"}).encode()
        part = b'--7\r\nContent-Disposition: form-data; name="data"\r\n\r\n' + upload + b"\r\n--7--"
        self.ok("POST " + self.path("codes"), "Content-Type: multipart/form-data; boundary=7", body=part, token=False)
        wrong = json.dumps({"oauth": "stk_wrong"}).encode()
        self.assertEqual(self.raw("DELETE " + self.path("codes/" + code), kind, body=wrong, token=False).status, 401)

    def test_posts_without_anything_in_them(self):
        """Python and Java: no type, length 0. Go: chunked with length zero."""
        for headers in (["Content-Length: 0"], ["Transfer-Encoding: chunked"], ["Content-Length: 0", "Content-Type:"]):
            body = b"0\r\n\r\n" if "Transfer" in headers[0] else b""
            task = self.cancelled_task()
            self.ok("POST " + self.path("tasks/%s/cancel" % task), *headers, body=body, msg="Cancelled")
            self.ok("POST " + self.path("tasks/%s/retry" % task), *headers, body=body, msg="Queued up")
            self.ok("POST " + self.path("codes/%s/pause_task_queue" % self.held["id"]), *headers, body=body, msg="Already paused")
            self.ok("POST " + self.path("tasks/webhook?code_name=held"), *headers, body=body, msg="Queued up.")

    def test_headers_that_php_forgets_to_change(self):
        """After an upload it says multipart/form-data, without a boundary, of JSON (12.3)."""
        kind, body = "Content-Type: multipart/form-data", json.dumps({"oauth": self.stoker.token}).encode()
        code = self.stoker.code("by-php", "true")["id"]
        made = self.stoker.post("schedules", {"schedules": [{"code_name": "held", "payload": "[]", "delay": 900}]})
        self.ok("POST " + self.path("schedules/%s/cancel" % made.json["schedules"][0]["id"]), kind, body=body, msg="Cancelled")
        self.ok("DELETE " + self.path("codes/" + code), kind, body=body, msg="Deleted")

    def test_a_bare_question_mark_with_any_method(self):
        """net-http-persistent adds one (12.1); DELETE carries {} as a form."""
        code = self.stoker.code("asked", "true")["id"]
        self.ok("GET " + self.path("tasks/%s?" % self.waiting))
        self.ok("POST " + self.path("tasks/%s/progress?" % self.waiting), body=b'{"percent": 2}', msg="Progress set")
        self.ok("DELETE http://127.0.0.1:%d%s" % (self.stoker.port, self.path("codes/%s?" % code)),
                "Content-Type: application/x-www-form-urlencoded", body=b"{}", msg="Deleted")

    def test_perl_s_pretty_json_with_every_request(self):
        headers = ["Connection: TE, close", "TE: deflate,gzip;q=0.3", "Content-Type: application/json; charset=utf-8"]
        body = json.dumps({"tasks": [{"code_name": "held", "payload": "{}"}]}, indent=3).encode() + b"\n"
        self.ok("POST " + self.path("tasks"), *headers, body=body, msg="Queued up")
        self.ok("GET " + self.path("tasks?per_page=100&page=0"), *headers, body=b"{}\n")

    def test_a_revision_posted_to_the_code_without_part_names(self):
        """.NET (4.1, form e): parts without names, to codes/{id}; what the JSON says counts."""
        code = self.stoker.code("by-net", "true")
        body = b"\r\n".join([b"--77", b"Content-Type: application/json", b"", b'{"name":"by-net","image":"busybox","command":"false"}',
                             b"--77--", b""])
        made = self.ok("POST " + self.path("codes/" + code["id"]), "Content-Type: multipart/form-data; boundary=77", body=body)
        self.assertEqual((made["id"], made["command"], made["rev"]), (code["id"], "false", code["rev"] + 1))

    def test_the_same_key_at_once_queues_once(self):
        def ask():
            reply = self.stoker.post("tasks", {"tasks": [{"code_name": "held", "label": "at-once"}]},
                                     headers={"Idempotency-Key": "at-once"})
            answers.append((reply.status, reply.body))

        answers = []
        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(set(answers)), 1, answers)
        self.assertEqual(answers[0][0], 200)
        self.assertEqual(len(self.stoker.get("tasks?label=at-once").json["tasks"]), 1)

    def test_times_may_have_seven_decimals_and_any_offset(self):
        for given, shown in (("2031-04-05T06:07:08.1234567+02:00", "2031-04-05T04:07:08.123Z"),
                             ("2031-04-05T06:07:08.1234567", "2031-04-05T06:07:08.123Z"),
                             ("2031-04-05T06:07:08.309097+00:00", "2031-04-05T06:07:08.309Z"),
                             ("2031-04-05T06:07:08-04:00", "2031-04-05T10:07:08.000Z"),
                             ("2031-04-05T06:07:08Z", "2031-04-05T06:07:08.000Z")):
            made = self.stoker.post("schedules", {"schedules": [{"code_name": "held", "start_at": given}]})
            schedule = self.stoker.get("schedules/" + made.json["schedules"][0]["id"]).json
            self.assertEqual(schedule["start_at"], shown)

    def test_pages_are_clamped_and_end(self):
        for query, most in (("per_page=1000", 100), ("per_page=-1", 1), ("per_page=1&page=0", 1), ("page=100", 0)):
            reply = self.stoker.get("tasks?" + query)
            self.assertEqual(reply.status, 200)
            self.assertLessEqual(len(reply.json["tasks"]), most)

    def test_nets_nonsense_in_times_is_no_error(self):
        self.assertEqual(self.stoker.get("tasks?from_time=7&to_time=59").json["tasks"], [])

    def test_a_registry_login_is_taken(self):
        auth = base64.b64encode(json.dumps({"username": "u", "password": "p", "serveraddress": ""}).encode()).decode()
        reply = self.stoker.post("credentials", {"auth": auth})
        self.assertEqual((reply.status, reply.json["msg"]), (200, "Credentials added."))

    def test_a_page_in_a_browser_may_ask_without_a_token(self):
        reply = self.raw("OPTIONS " + self.path("tasks/webhook"), "Origin: http://a.example", token=False)
        self.assertEqual((reply.status, reply.headers["access-control-allow-origin"]), (200, "*"))


class Semantics(Wire):
    """What becomes of a task, as its reader sees it (ironworker-api.md 5.5, 8)."""

    def test_a_failed_task_names_its_retry_as_soon_as_it_has_failed(self):
        s = self.stoker
        s.code("fails", "sh -c 'echo no $TASK_ID; exit 9'", retries=3)
        chain = [s.wait_state(s.queue("fails", "p", label="chain"), "error")]
        while "retry_task_id" in chain[-1]:
            chain.append(s.wait_state(chain[-1]["retry_task_id"], "error"))
        self.assertEqual(len(chain), 4)
        for number, task in enumerate(chain):
            self.assertEqual((task["error_class"], task["payload"], task["label"]), ("Process Exit 9", "p", "chain"))
            self.assertEqual(task["msg"], "no %s\n" % task["id"])
            self.assertEqual(task.get("retry", 0), number)
            self.assertEqual(task.get("original_task_id"), chain[0]["id"] if number else None)
            self.assertEqual(s.task_log(task["id"]).decode(), task["msg"])

    def test_a_job_and_its_retry_know_the_trace_that_queued_them(self):
        s, trace = self.stoker, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        s.code("traced", "sh -c 'echo $TRACEPARENT; exit 1'", retries=1)
        queued = s.post("tasks", {"tasks": [{"code_name": "traced"}]}, headers={"traceparent": trace})
        task = s.wait_state(queued.json["tasks"][0]["id"], "error")
        retry = s.wait_state(task["retry_task_id"], "error")
        for one in (task, retry):
            self.assertEqual((one["traceparent"], s.task_log(one["id"]).decode()), (trace, trace + "\n"))
        # none, and what W3C calls invalid, is passed on to nobody
        for header in ({}, {"traceparent": "00-%s-00f067aa0ba902b7-01" % ("0" * 32)},
                       {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-%s-01" % ("0" * 16)}):
            queued = s.post("tasks", {"tasks": [{"code_name": "traced"}]}, headers=header)
            plain = s.wait_state(queued.json["tasks"][0]["id"], "error")
            self.assertEqual((plain.get("traceparent"), s.task_log(plain["id"])), (None, b"\n"))

    def test_what_nothing_started_in_time_is_expired_and_shows_as_cancelled(self):
        s = self.stoker
        made = s.code("soon", "sleep 4")
        runs = s.queue("soon", expires_in=600)
        s.wait_state(runs, "running")
        s.post("codes/%s/pause_task_queue" % made["id"])
        late = s.queue("soon", expires_in=1)
        queued = s.post("tasks", {"tasks": [{"code_name": "soon"}, {"code_name": "soon", "delay": 1, "expires_in": 2},
                                            {"code_name": "soon", "expires_in": 600}]}).json["tasks"]
        stays, delayed, longer = [one["id"] for one in queued]
        hooked = s.post("tasks/webhook?code_name=soon&expires_in=0.5", b"x").json["id"]
        self.assertRegex(s.task(late)["expires_at"], r"^20.*Z$")
        for task in (late, delayed, hooked):
            task = s.wait_state(task, "expired")
            self.assertEqual((task["status"], task["cause"], task["msg"], task["attempts"]),
                             ("cancelled", "expired", "Expired before it could start.", 0))
            self.assertGreaterEqual(task["end_time"], task["expires_at"])
            self.assertEqual(s.post("tasks/%s/cancel" % task["id"]).json["msg"], "Cancelled")
            self.assertEqual(s.task(task["id"])["state"], "expired")  # rule 23
        found = s.get("tasks?code_name=soon&cancelled=1").json["tasks"]
        self.assertEqual({one["id"] for one in found}, {late, delayed, hooked})
        self.assertEqual([s.task(one)["state"] for one in (stays, longer)], ["queued", "queued"])
        self.assertNotIn("expires_at", s.task(stays))
        self.assertEqual(s.wait_state(runs, "complete")["status"], "complete")
        s.post("codes/%s/cancel_all" % made["id"])
        for fields, why in (({"expires_in": -1}, "expires_in"), ({"expires_in": 5, "delay": 5}, "over before the delay"),
                            ({"expires_in": 1e300}, "100 years"), ({"expires_in": "soon"}, "number")):
            refused = s.post("tasks", {"tasks": [dict(fields, code_name="soon")]})
            self.assertEqual(refused.status, 400, refused)
            self.assertIn(why, refused.json["msg"])

    def test_a_retry_waits_for_the_code_s_delay(self):
        s = self.stoker
        s.code("later", "false", retries=1, retries_delay=600)
        failed = s.run_task("later")
        retry = s.task(failed["retry_task_id"])
        self.assertEqual((retry["status"], retry["delay"]), ("queued", 600))

    def test_a_timeout_is_no_error_and_not_tried_again(self):
        s = self.stoker
        s.code("slow", "sleep 30", retries=2, grace=0)
        task = s.run_task("slow", timeout=1)
        self.assertEqual((task["status"], task["msg"]), ("timeout", "Job timed out."))
        self.assertGreaterEqual(task["duration"], 1000)
        self.assertNotIn("retry_task_id", task)

    def test_cancel_all_ends_what_runs_and_what_waits(self):
        s = self.stoker
        code = s.code("many", "sleep 60", max_concurrency=2, retries=1, grace=0)["id"]
        tasks = [s.queue("many", "") for _ in range(4)]
        running = [task for task in tasks[:2] if s.wait_state(task, "running")]
        self.assertEqual(s.post("codes/%s/cancel_all" % code).json["msg"], "Cancelled")
        for task in tasks:
            ended = s.wait_state(task, "cancelled", seconds=5)
            self.assertEqual(ended["msg"], "Cancelled via API.")
            self.assertNotIn("retry_task_id", ended)
        self.assertEqual(len(running), 2)
        stats = s.get("codes/%s/stats" % code).json
        self.assertEqual((stats["cancelled"], stats["running"], stats["queued"]), (4, 0, 0))

    def test_a_cancel_that_meets_the_end_is_one_of_the_two(self):
        s = self.stoker
        s.code("short", "sh -c 'sleep 0.1; exit 3'", retries=1, retries_delay=900, grace=0)
        for i in range(10):
            task = s.queue("short", "")
            s.wait_state(task, "running", "error")
            time.sleep(0.02 * i)
            s.post("tasks/%s/cancel" % task)
            ended = s.wait_state(task, "error", "cancelled")
            self.assertEqual("retry_task_id" in ended, ended["status"] == "error", ended)
            time.sleep(0.1)
            self.assertEqual(s.task(task)["status"], ended["status"])

    def test_what_was_queued_runs_though_its_code_is_deleted(self):
        s = self.stoker
        code = s.code("leaving", "sh -c 'sleep 1; echo still here'", max_concurrency=1)["id"]
        first, second = s.queue("leaving", ""), s.queue("leaving", "")
        s.wait_state(first, "running")
        self.assertEqual(s.request("DELETE", "codes/" + code).json["msg"], "Deleted")
        self.assertEqual(s.post("tasks", {"tasks": [{"code_name": "leaving"}]}).status, 404)
        for task in (first, second):
            s.wait_state(task, "complete")
            self.assertEqual(s.task_log(task), b"still here\n")
        self.assertEqual(len(s.get("tasks?code_name=leaving").json["tasks"]), 2)


if __name__ == "__main__":
    harness.main()
