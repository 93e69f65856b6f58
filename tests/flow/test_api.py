"""The API over nginx and FastCGI, as plain CGI, and while its database or itself is taken away."""
import collections
import http.client
import itertools
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
import unittest

import harness


class Load:
    """Clients that repeat one request each until stopped; every answer is kept."""

    def __init__(self, stoker, count, ask):
        self.answers, self.lock, self.going = [], threading.Lock(), True
        self.threads = [threading.Thread(target=self._run, args=(ask,), daemon=True) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def _run(self, ask):
        while self.going:
            begun = time.monotonic()
            try:
                reply = ask()
            except (OSError, http.client.HTTPException) as error:
                reply = harness.Reply(0, {}, repr(error).encode())
            with self.lock:
                self.answers.append((reply, time.monotonic() - begun))
            if reply.status != 200:
                time.sleep(0.02)

    def stop(self):
        self.going = False
        for thread in self.threads:
            thread.join(30)
        return self.answers

    def count(self):
        return collections.Counter(reply.status for reply, _ in self.answers)


def answer_seconds():
    """Everybody is answered within three seconds; with other tests beside this one the clients
    themselves wait for a processor."""
    return 5 if os.getloadavg()[0] > 1.5 * os.cpu_count() else 3


def inside(stoker, *command):
    """A command in the instance's own mounts, as the user that its api runs as."""
    keeper, api = stoker.pid("keeper"), os.stat("/proc/%d" % stoker.pid("api"))
    return ["nsenter", "-t", str(keeper), "-m", "-S", str(api.st_uid), "-G", str(api.st_gid), "--", *command]


def raw(port, request):
    """Sends bytes as they are; returns status, headers and body as bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(request)
        reply = http.client.HTTPResponse(sock)
        reply.begin()
        return harness.Reply(reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read())


def record(kind, content, request=1):
    """One record of FastCGI."""
    return struct.pack(">BBHHBB", 1, kind, request, len(content), 0, 0) + content


def begin(**params):
    """The beginning of a FastCGI request, up to its body."""
    coded = b""
    for name, value in params.items():
        coded += struct.pack(">BI", len(name), len(value) | 1 << 31) + name.encode() + value.encode()
    return record(1, struct.pack(">HB5x", 1, 0)) + record(4, coded) + record(4, b"")


def converse(path, request):
    """Sends to a unix socket and reads until it is closed."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(path)
        sock.sendall(request)
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
    return answer


class Transport(harness.FlowTest):
    def url(self, path):
        return "/2/projects/%s/%s" % (self.stoker.project, path)

    def head(self, line, *headers):
        lines = [line, "Host: x", "Connection: close", "Authorization: OAuth " + self.stoker.token, *headers, "", ""]
        return "\r\n".join(lines).encode()

    def test_absolute_request_lines_and_a_lone_question_mark_are_understood(self):
        for uri in ("http://x:80" + self.url("codes"), self.url("codes?"), self.url("codes")):
            reply = raw(self.stoker.port, self.head("GET %s HTTP/1.1" % uri))
            self.assertEqual(reply.status, 200, uri)
            self.assertIn("codes", reply.json)

    def test_chunked_bodies_arrive_whole(self):
        self.stoker.code("chunked", "true")
        body = json.dumps({"tasks": [{"code_name": "chunked", "payload": "x" * 100000}]}).encode()
        pieces = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + 7777]), body[i:i + 7777]) for i in range(0, len(body), 7777))
        head = self.head("POST %s HTTP/1.1" % self.url("tasks"), "Transfer-Encoding: chunked")
        reply = raw(self.stoker.port, head + pieces + b"0\r\n\r\n")
        self.assertEqual(reply.status, 200, reply)
        task = self.stoker.task(reply.json["tasks"][0]["id"])
        self.assertEqual(len(task["payload"]), 100000)

    def test_bodies_on_get_are_read_over(self):
        head = self.head("GET %s HTTP/1.1" % self.url("tasks"), "Content-Length: 2")
        self.assertEqual(raw(self.stoker.port, head + b"{}").status, 200)

    def test_every_refusal_is_json_with_a_msg(self):
        s = self.stoker
        refusals = [
            (404, s.get("/nothing")), (404, s.get("/2/projects/66aa01c2d3e4f5061728394a")),
            (405, s.request("DELETE", "tasks")), (401, s.get("tasks", token=False)),
            (401, s.get("tasks", token="nonsense")), (400, s.post("tasks", b"{")),
            (406, s.post("tasks", {})), (404, s.post("tasks", {"tasks": [{"code_name": "nobody"}]})),
            (413, s.post("tasks/66aa01c2d3e4f5061728394a/progress", b" " * (5 << 20))),
            (413, s.post("tasks", b" " * (34 << 20))),
            (400, s.post("tasks", b'{"tasks":' + b"[" * 100 + b"]" * 100 + b"}")),
        ]
        for status, reply in refusals:
            self.assertEqual(reply.status, status, reply)
            self.assertRegex(reply.headers["content-type"], "^application/(problem\\+)?json")
            self.assertTrue(reply.json["msg"])

    def test_a_preflight_needs_no_token(self):
        reply = self.stoker.request("OPTIONS", "tasks", token=False)
        self.assertEqual(reply.status, 200)
        self.assertEqual(reply.headers["access-control-allow-origin"], "*")

    def test_head_has_the_headers_of_get(self):
        reply = self.stoker.request("HEAD", "codes")
        self.assertEqual((reply.status, reply.body), (200, b""))

    def test_ready_and_healthy(self):
        self.assertEqual(self.stoker.get("/healthz", token=False).status, 200)
        harness.wait_for(lambda: self.stoker.get("/readyz", token=False).status == 200, 10, "readiness")

    def test_ten_thousand_tasks_are_one_request(self):
        self.stoker.code("bulk", "true")
        code = self.stoker.get("codes?per_page=100").json["codes"]
        bulk = next(c for c in code if c["name"] == "bulk")
        self.assertEqual(self.stoker.post("codes/%s/pause_task_queue" % bulk["id"]).json["msg"], "Paused")
        tasks = [{"code_name": "bulk", "payload": "p%d" % i} for i in range(10000)]
        reply = self.stoker.post("tasks", {"tasks": tasks}, timeout=60)
        self.assertEqual(reply.status, 200, reply)
        ids = [task["id"] for task in reply.json["tasks"]]
        self.assertEqual(len(set(ids)), 10000)
        self.assertEqual(self.stoker.task(ids[4321])["payload"], "p4321")
        self.assertEqual(self.stoker.post("tasks", {"tasks": tasks + tasks[:1]}, timeout=60).status, 400)

    def test_a_job_runs_and_its_log_is_served_as_text_from_any_byte(self):
        self.stoker.code("speaks", "sh -c 'echo one; echo two >&2; echo three'")
        task = self.stoker.run_task("speaks")
        self.assertEqual(task["status"], "complete", task)
        log = self.stoker.task_log(task["id"])
        self.assertEqual(sorted(log.split()), [b"one", b"three", b"two"])
        self.assertEqual(task["log_size"], len(log))
        self.assertEqual(self.stoker.get("tasks/%s/outlog" % task["id"]).body, b"one\nthree\n")
        self.assertEqual(self.stoker.get("tasks/%s/log?offset=4" % task["id"]).body, log[4:])


class Life(harness.FlowTest):
    """A task as its reader sees it while it runs."""

    def follow(self, task_id):
        """Reads the log by its end until the task's status is a final one; checks that it only grows."""
        log = b""
        while True:
            whole = self.stoker.get("tasks/%s/log" % task_id)
            if whole.status == 200:
                self.assertTrue(whole.body.startswith(log), "the log did not only grow")
                part = self.stoker.get("tasks/%s/log?offset=%d" % (task_id, len(log)))
                self.assertTrue(part.body.startswith(whole.body[len(log):]))
                log += part.body
                if part.headers["x-task-status"] not in ("queued", "running"):
                    return log
            else:
                self.assertEqual(whole.status, 404)
                self.assertIn("log", whole.json["msg"])
            time.sleep(0.1)

    def test_a_log_that_is_followed_only_grows_and_is_complete_at_the_end(self):
        self.stoker.code("counts", "sh -c 'for i in $(seq 1 30); do echo line $i; sleep 0.05; done'")
        log = self.follow(self.stoker.queue("counts"))
        self.assertEqual(log, b"".join(b"line %d\n" % i for i in range(1, 31)))

    def test_a_long_output_ends_with_a_notice_and_its_tail(self):
        self.stoker.code("floods", "sh -c 'seq 1 3000000'")
        task = self.stoker.queue("floods")
        log = self.follow(task)
        self.assertTrue(log.startswith(b"1\n2\n3\n"))
        self.assertTrue(log.endswith(b"2999999\n3000000\n"))
        self.assertIn("left out".encode(), log)
        self.assertEqual(self.stoker.task(task)["log_size"], len(log))

    def test_a_running_task_that_is_cancelled_is_dead_when_it_says_so(self):
        self.stoker.code("sleeps", "sh -c 'trap \"\" TERM; echo up; sleep 60 & wait; sleep 60'", grace=1)
        task = self.stoker.queue("sleeps")
        self.stoker.wait_state(task, "running")
        begun = time.monotonic()
        for _ in range(2):
            self.assertEqual(self.stoker.post("tasks/%s/cancel" % task).json["msg"], "Cancelled")
        ended = self.stoker.wait_state(task, "cancelled", seconds=10)
        self.assertLess(time.monotonic() - begun, 4)
        self.assertEqual((ended["msg"], ended["cause"]), ("Cancelled via API.", "cancelled"))
        self.assertGreaterEqual(ended["duration"], 0)
        self.assertEqual(self.stoker.post("tasks/%s/cancel" % task).json["msg"], "Cancelled")

    def test_progress_stays_to_the_end(self):
        self.stoker.code("says", "true")
        task = self.stoker.run_task("says")
        self.assertNotIn("msg", task)
        self.stoker.post("tasks/%s/progress" % task["id"], {"percent": 80, "msg": "nearly"})
        got = self.stoker.task(task["id"])
        self.assertEqual((got["percent"], got["msg"]), (80, "nearly"))

    def test_progress_does_not_hide_why_a_task_did_not_end_well(self):
        ends = {"error": ("echo went wrong; exit 3", "went wrong\n", {}), "silent": ("sh -c 'exit 3'", "exit status 3", {}),
                "timeout": ("sleep 60", "Job timed out.", {"timeout": 1}), "cancelled": ("sleep 60", "Cancelled via API.", {})}
        tasks = {}
        for end, (command, _, more) in ends.items():
            self.stoker.code("ends-" + end, command, grace=0)
            tasks[end] = self.stoker.queue("ends-" + end, delay=1, **more)
            self.stoker.post("tasks/%s/progress" % tasks[end], {"percent": 50, "msg": "half"})
            self.assertEqual(self.stoker.task(tasks[end])["msg"], "half")
        self.stoker.wait_state(tasks["cancelled"], "running")
        self.stoker.post("tasks/%s/cancel" % tasks["cancelled"])
        for end, (_, msg, _) in ends.items():
            ended = self.stoker.wait_state(tasks[end], "error" if end == "silent" else end)
            self.assertEqual((ended["msg"], ended["percent"]), (msg, 50))
            self.assertEqual(self.stoker.post("tasks/%s/progress" % tasks[end], {"percent": 60, "msg": "late"}).status, 200)
            later = self.stoker.task(tasks[end])
            self.assertEqual((later["msg"], later["percent"]), (msg, 60))


class PlainCgi(harness.FlowTest):
    """The same program without a supervisor; its files lie in the instance's own mounts."""

    def cgi(self, method, uri, body=b"", token=True, length=None, **more):
        env = dict(GATEWAY_INTERFACE="CGI/1.1", REQUEST_METHOD=method, REQUEST_URI=uri, SERVER_PROTOCOL="HTTP/1.1",
                   STOKER_CONF=self.stoker.run + "/var/conf/api.conf", PATH=os.environ["PATH"], **more)
        if body or length is not None:
            env["CONTENT_LENGTH"] = str(len(body) if length is None else length)
        if token:
            env["HTTP_AUTHORIZATION"] = "OAuth " + self.stoker.token
        done = subprocess.run(inside(self.stoker, self.stoker.run + "/var/app/bin/stoker-api"), env=env, input=body,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30)
        self.assertEqual(done.returncode, 0, done.stderr)
        head, _, rest = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.decode().lower().split(": ", 1) for line in head.split(b"\r\n"))
        return harness.Reply(int(headers["status"].split()[0]), headers, rest)

    def test_queues_and_reads_as_plain_cgi(self):
        self.stoker.code("cgi", "true")
        path = "/2/projects/%s/" % self.stoker.project
        queued = self.cgi("POST", path + "tasks", json.dumps({"tasks": [{"code_name": "cgi"}]}).encode())
        self.assertEqual(queued.status, 200, queued)
        got = self.cgi("GET", path + "tasks/" + queued.json["tasks"][0]["id"])
        self.assertEqual(got.json["code_name"], "cgi")

    def test_a_broken_upload_changes_nothing(self):
        path = "/2/projects/%s/tasks" % self.stoker.project
        self.assertEqual(self.cgi("POST", path, b'{"tasks":[', length=5000).status, 400)

    def test_arguments_of_the_query_are_no_options(self):
        self.assertEqual(self.cgi("GET", "/healthz?--version", QUERY_STRING="--version").status, 200)


class Direct(harness.FlowTest):
    """Whoever speaks to the socket itself."""

    def connect(self):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(10)
        sock.connect(self.stoker.run + "/s/api.sock")
        return sock

    def test_silent_and_broken_peers_do_not_hold_the_door(self):
        peers = [self.connect() for _ in range(12)]
        for i, peer in enumerate(peers):
            if i % 3 == 1:
                peer.sendall(b"\xff" * 64)
            if i % 3 == 2:
                peer.sendall(record(1, b"x")[:5])
                peer.close()
        begun = time.monotonic()
        self.assertEqual(self.stoker.get("/healthz").status, 200)
        self.assertLess(time.monotonic() - begun, 8)
        for peer in peers:
            peer.close()
        for _ in range(20):
            self.assertEqual(self.stoker.get("/healthz").status, 200)

    def test_a_request_that_waited_over_two_seconds_is_refused(self):
        path = "/2/projects/%s/codes" % self.stoker.project
        answer = converse(self.stoker.run + "/s/api.sock",
                          begin(REQUEST_METHOD="GET", REQUEST_URI=path, REQUEST_MSEC="%.3f" % (time.time() - 2.5),
                                HTTP_AUTHORIZATION="OAuth " + self.stoker.token) + record(5, b""))
        self.assertIn(b"Status: 503", answer)
        self.assertIn(b"Retry-After: ", answer)


class Modes(unittest.TestCase):
    """How the program is started decides how it serves; no database is needed for that."""

    HEALTH = begin(REQUEST_METHOD="GET", REQUEST_URI="/healthz") + record(5, b"")

    def setUp(self):
        self.folder = harness.scratch()
        self.addCleanup(shutil.rmtree, self.folder)
        self.socket = self.folder + "/api.sock"

    def start(self, stdin=subprocess.DEVNULL, **env):
        program = subprocess.Popen([harness.BUILD + "/bin/stoker-api"], stdin=stdin, stderr=subprocess.PIPE,
                                   env=dict(os.environ, STOKER_API_SOCKET=self.socket, **env))
        self.addCleanup(program.stderr.close)
        self.addCleanup(program.kill)
        return program

    def assert_ends(self, program):
        begun = time.monotonic()
        program.terminate()
        self.assertEqual(program.wait(10), 0)
        self.assertLess(time.monotonic() - begun, 5)

    def test_a_listening_socket_as_fd_0_is_served(self):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.socket)
            listener.listen(16)
            program = self.start(stdin=listener.fileno(), GATEWAY_INTERFACE="CGI/1.1")
            for _ in range(3):
                self.assertIn(b"Status: 200", converse(self.socket, self.HEALTH))
            self.assert_ends(program)

    def test_root_becomes_the_configured_user_before_it_listens(self):
        if os.getuid() != 0:
            self.skipTest("needs root")
        os.chmod(self.folder, 0o777)
        program = self.start(STOKER_API_USER="65534")
        harness.wait_for(lambda: os.path.exists(self.socket), 10, "the socket")
        made = os.stat(self.socket)
        self.assertEqual((made.st_uid, made.st_mode & 0o777), (65534, 0o660))
        with open("/proc/%d/status" % program.pid) as status:
            fields = dict(line.rstrip("\n").split(":\t", 1) for line in status if ":\t" in line)
        self.assertEqual(fields["Uid"].split(), ["65534"] * 4)
        self.assertEqual(fields["CapEff"].strip("0"), "")
        self.assertIn(b"Status: 200", converse(self.socket, self.HEALTH))
        self.assert_ends(program)
        self.assertFalse(os.path.exists(self.socket))

    def test_a_wrong_setting_is_one_sentence_and_no_start(self):
        program = self.start(STOKER_API_PROCESSES="many")
        self.assertNotEqual(program.wait(10), 0)
        self.assertIn("processes", program.stderr.read().decode().lower())


class Taken(harness.FlowTest):
    """Under load, parts are taken away."""

    ENV = {"STOKER_API_RECYCLE_REQUESTS": "150"}

    def setUp(self):
        self.stoker.code("load", "true")
        codes = self.stoker.get("codes?per_page=100").json["codes"]
        code = next(c for c in codes if c["name"] == "load")
        self.stoker.post("codes/%s/pause_task_queue" % code["id"])

    def load(self, count):
        """Clients that queue one task each, again and again, every one under a label of its own."""
        numbers = itertools.count()

        def queue_one():
            label = "%s-%d" % (self.id().rpartition(".")[2], next(numbers))
            reply = self.stoker.post("tasks", {"tasks": [{"code_name": "load", "label": label}]}, timeout=30)
            reply.label = label
            return reply

        return Load(self.stoker, count, queue_one)

    def assert_answers_are_true(self, answers):
        """200: it is there, once. 503: it is not. 502: nobody could say, which is for those alone that
        were under way when the database went: one a process."""
        labels = [row[0] for row in self.stoker.sql(
            "SELECT label FROM task WHERE label LIKE '%s-%%'" % self.id().rpartition(".")[2])]
        self.assertEqual(len(labels), len(set(labels)))
        there = set(labels)
        said = collections.defaultdict(set)
        for reply, _ in answers:
            said[reply.status].add(reply.label)
        self.assertLessEqual(set(said), {200, 502, 503})
        self.assertLessEqual(said[200], there)
        self.assertFalse(said[503] & there)
        self.assertLessEqual(len(said[502]), 16)

    def test_a_task_runs_the_revision_that_was_current_when_it_was_queued(self):
        """Every process remembers codes for a second: what it remembers is checked by the INSERT."""
        for revision in range(1, 31):
            self.assertEqual(self.stoker.code("revised", "echo %d" % revision)["rev"], revision)
            tasks = [self.stoker.queue("revised") for _ in range(3)]
            self.assertEqual([self.stoker.task(task)["code_rev"] for task in tasks], [str(revision)] * 3)

    def test_a_hung_database_is_503_within_three_seconds_and_true(self):
        load = self.load(16)
        time.sleep(1)
        self.stoker.kill("mariadb", signal.SIGSTOP)
        time.sleep(7)
        hung = len(load.answers)
        self.stoker.kill("mariadb", signal.SIGCONT)
        resumed = time.monotonic()
        harness.wait_for(lambda: self.stoker.get("codes").status == 200, 10, "recovery")
        self.assertLess(time.monotonic() - resumed, 5)
        time.sleep(1)
        answers = load.stop()
        self.assertGreater(hung, 16)
        for reply, seconds in answers:
            self.assertLess(seconds, answer_seconds(), reply)
            if reply.status == 503:
                self.assertTrue(reply.json["msg"])
                self.assertGreater(int(reply.headers["retry-after"]), 0)
        self.assert_answers_are_true(answers)

    def test_a_restarted_database_loses_nothing(self):
        load = self.load(8)
        time.sleep(1)
        pid = self.stoker.kill("mariadb")
        self.stoker.wait_restarted("mariadb", pid, 40)
        harness.wait_for(lambda: self.stoker.get("codes").status == 200, 20, "recovery")
        time.sleep(1)
        answers = load.stop()
        self.assertLess(max(seconds for _, seconds in answers), answer_seconds())
        self.assert_answers_are_true(answers)

    def second_api(self):
        """Another supervisor on the same socket; returns when it has logged that it listens."""
        command = inside(self.stoker, self.stoker.run + "/var/app/bin/stoker-api", "-c",
                         self.stoker.run + "/var/conf/api.conf")
        second = subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        self.addCleanup(second.stderr.close)
        self.addCleanup(second.kill)
        line = b""
        while b" listening " not in line:
            line = second.stderr.readline()
            self.assertTrue(line, "the second supervisor ended")
        threading.Thread(target=second.stderr.read, daemon=True).start()
        return second

    def test_reloads_recycling_and_restarts_lose_no_request(self):
        load = self.load(8)
        for _ in range(3):
            time.sleep(0.7)
            self.stoker.kill("api", signal.SIGHUP)
        time.sleep(1)
        second = self.second_api()
        old = self.stoker.kill("api", signal.SIGTERM)
        self.stoker.wait_restarted("api", old, 20)
        time.sleep(1)
        begun = time.monotonic()
        second.terminate()
        self.assertEqual(second.wait(10), 0)
        self.assertLess(time.monotonic() - begun, 5)
        time.sleep(1)
        answers = load.stop()
        self.assertEqual(set(load.count()), {200}, [r for r, _ in answers if r.status != 200][:3])
        self.assertGreater(load.count()[200], 300)
        self.assert_answers_are_true(answers)

    def test_a_killed_child_costs_at_most_its_request_and_is_replaced(self):
        def children():
            pids = subprocess.run(["pgrep", "-P", str(self.stoker.pid("api"))], stdout=subprocess.PIPE, text=True)
            return [int(pid) for pid in pids.stdout.split()]

        before = harness.wait_for(children, 5, "children")
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        harness.wait_for(lambda: len(children()) == len(before) and not set(children()) & set(before), 10, "new children")
        self.assertEqual(self.stoker.get("codes").status, 200)


if __name__ == "__main__":
    harness.main()
