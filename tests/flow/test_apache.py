#!/usr/bin/env python3
"""Behind a real Apache, below /stoker, with conf/apache/stoker.conf as it is shipped but for its paths: what streams,
what others call, and pages."""
import hashlib
import hmac
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.parse

import harness
from receivers import Good

MODULES = "/usr/lib/apache2/modules"
MAIN = """ServerRoot "{folder}"
ServerName localhost
Listen 127.0.0.1:{port}
PidFile "{folder}/pid"
DefaultRuntimeDir "{folder}"
ErrorLog "{folder}/error.log"
TypesConfig /dev/null
User nobody
Group nogroup
Define APACHE_LOG_DIR {folder}
{modules}
Include "{folder}/stoker.conf"
"""
LOADED = ("mpm_event authz_core alias env mime headers setenvif unique_id proxy proxy_fcgi").split()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Apache:
    """Apache and, on sockets of their own, a stoker-api and a stoker-tail of an instance that know their base path."""

    def __init__(self, stoker):
        self.stoker, self.folder, self.children = stoker, harness.scratch(), []
        self.token, self.project = stoker.token, stoker.project
        os.chmod(self.folder, 0o755)
        try:
            self.start_programs()
            self.start()
        except BaseException:
            self.remove()
            raise

    def spawn(self, *words, **env):
        with open(self.folder + "/programs.log", "ab") as log:
            self.children.append(subprocess.Popen(words, env=dict(self.stoker.env, **env), stdin=subprocess.DEVNULL,
                                                  stdout=log, stderr=log, start_new_session=True))

    def start_programs(self):
        for name, key in (("stoker-api", "API"), ("stoker-tail", "TAIL")):
            path = "%s/%s.sock" % (self.folder, key.lower())
            self.spawn(os.path.join(self.stoker.build, "bin", name), "-c", os.path.join(self.stoker.var, "conf", "api.conf"),
                       STOKER_DATABASE_PASSWORD_FILE=os.path.join(self.stoker.var, "conf/api.password"),
                       STOKER_LOGS_PASSWORD_FILE=os.path.join(self.stoker.var, "conf/api.password"),
                       STOKER_SECRETS_KEY_FILE=os.path.join(self.stoker.var, "conf/secrets.key"),
                       STOKER_API_BASE_PATH="/stoker", STOKER_API_UPLOAD_DIR=self.folder, STOKER_API_WWW=os.path.abspath("www"),
                       **{"STOKER_%s_SOCKET" % key: path})
            harness.wait_for(lambda: os.path.exists(path), 20, name + " to listen")
            os.chmod(path, 0o666)

    def start(self):
        with open("conf/apache/stoker.conf") as shipped:
            conf = shipped.read()
        for was, now in (("/run/stoker/api.sock", self.folder + "/api.sock"), ("/run/stoker/tail.sock", self.folder + "/tail.sock"),
                         ("/usr/local/share/stoker/www/static", os.path.abspath("www/static"))):
            assert was in conf, was
            conf = conf.replace(was, now)
        with open(self.folder + "/stoker.conf", "w") as out:
            out.write(conf)
        for _ in range(5):  # somebody else may take the port first
            self.port = free_port()
            with open(self.folder + "/main.conf", "w") as out:
                out.write(MAIN.format(folder=self.folder, port=self.port, modules="\n".join(
                    "LoadModule %s_module %s/mod_%s.so" % (name, MODULES, name) for name in LOADED)))
            self.spawn("/usr/sbin/apache2", "-d", self.folder, "-f", self.folder + "/main.conf", "-DFOREGROUND")
            if harness.wait_for(lambda: self.children[-1].poll() is not None or self.answers(), 20, "Apache") and self.answers():
                return
        raise AssertionError("Apache does not start:\n" + "".join(open(self.folder + name).read() for name in ("/programs.log", "/error.log")))

    def answers(self):
        try:
            return self.get("/readyz", token=False).status == 200
        except OSError:
            return False

    def remove(self):
        for child in reversed(self.children):
            child.send_signal(signal.SIGTERM)
        for child in self.children:
            child.wait(20)
        shutil.rmtree(self.folder, ignore_errors=True)

    def request(self, method, path, body=None, headers=None, token=True, timeout=30):
        path = path if path.startswith("/") else "/2/projects/%s/%s" % (self.project, path)
        path = path if path.startswith("/stoker/") else "/stoker" + path
        return harness.Instance.request(self, method, path, body, headers, token, timeout)

    get, post, code, queue = (getattr(harness.Instance, name) for name in ("get", "post", "code", "queue"))
    task, wait_state, run_task, task_log = (getattr(harness.Instance, name) for name in ("task", "wait_state", "run_task", "task_log"))


class Events:
    """A stream of server-sent events; each as (fields, when it came)."""

    def __init__(self, apache, path, **headers):
        self.connection = http.client.HTTPConnection("127.0.0.1", apache.port, timeout=30)
        self.connection.request("GET", "/stoker/2/projects/%s/%s" % (apache.project, path), None,
                                dict({"Authorization": "OAuth " + apache.token, "Accept": "text/event-stream"}, **headers))
        self.reply = self.connection.getresponse()

    def __iter__(self):
        for event in harness.server_events(self.reply):
            yield event, time.monotonic()

    def close(self):
        self.connection.close()


class BehindApache(harness.FlowTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        try:
            cls.apache = Apache(cls.stoker)
        except BaseException:
            cls.stoker.remove()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.apache.remove()
        super().tearDownClass()

    def test_a_log_is_streamed_as_it_is_written_and_resumed_at_the_byte(self):
        self.apache.code("steps", "sh -c 'echo one; sleep 1; echo two >&2; sleep 1; echo three'")
        task = self.apache.queue("steps")
        stream = Events(self.apache, "tasks/%s/log/stream" % task)
        self.assertEqual((stream.reply.status, stream.reply.headers["content-type"]), (200, "text/event-stream"))
        came = list(stream)
        stream.close()
        self.assertEqual([(e["event"], e["id"]) for e, _ in came],
                         [("output", "1-4"), ("output", "1-8"), ("output", "1-14"), ("end", "1-14")])
        self.assertGreater(came[2][1] - came[0][1], 1)  # each when it was written, not all at the end
        again = Events(self.apache, "tasks/%s/log/stream" % task, **{"Last-Event-ID": "1-6"})
        self.assertEqual([e["data"].get("text") for e, _ in again], ["o\n", "three\n", None])
        again.close()

    def test_silence_has_its_sign_of_life_and_events_come(self):
        stream = Events(self.apache, "events")
        self.assertEqual(stream.reply.status, 200)
        self.apache.code("hello", "echo hello")
        task = self.apache.run_task("hello")["id"]
        states = []
        for event, _ in stream:
            if event["data"]["subject"] == task:
                states.append(event["data"]["type"])
            if states and states[-1] == "io.stoker.task.completed":
                break
        self.assertEqual((states[0], states[-1]), ("io.stoker.task.queued", "io.stoker.task.completed"))
        began = time.monotonic()
        self.assertEqual(next(line for line in stream.reply if line != b"\n"), b":\n")
        self.assertLess(time.monotonic() - began, 20)
        stream.close()

    def test_late_answers_come_when_there_is_one(self):
        self.apache.code("nap", "sleep 1")
        task, began = self.apache.queue("nap"), time.monotonic()
        reply = self.apache.get("tasks/" + task, headers={"Prefer": "wait=20"})
        self.assertEqual((reply.status, reply.json["status"]), (200, "complete"))
        self.assertLess(time.monotonic() - began, 19)

    def test_a_signed_trigger_gets_its_body_byte_for_byte(self):
        self.apache.code("deploy", "cat $PAYLOAD_FILE")
        trigger = self.apache.post("triggers", {"code_name": "deploy", "name": "push", "verify": "github", "secret": "s3cret"}).json
        body = b'{"ref":  "a/b", "text": "\xc3\xa4 %2F +"}\r\n'
        signed = {"X-Hub-Signature-256": "sha256=" + hmac.new(b"s3cret", body, hashlib.sha256).hexdigest(), "X-GitHub-Delivery": "1"}
        self.assertTrue(trigger["path"].startswith("/stoker/hooks/"), trigger["path"])
        reply = self.apache.request("POST", trigger["path"], body, signed, token=False)
        self.assertEqual(reply.status, 200, reply)
        self.assertEqual(self.apache.wait_state(reply.json["id"], "complete")["payload"], body.decode())
        self.assertEqual(self.apache.request("POST", trigger["path"], body + b" ", signed, token=False).status, 401)
        wire = self.apache.request("POST", "tasks/webhook?code_name=deploy", body)
        self.assertEqual(self.apache.wait_state(wire.json["id"], "complete")["payload"], body.decode())

    def test_callbacks_are_kept_sent_and_sent_again(self):
        good = Good()
        self.addCleanup(good.close)
        made = self.apache.post("callbacks", {"url": good.url("/hook"), "name": "billing", "states": ["complete"]})
        self.assertEqual(made.status, 200, made)
        self.apache.code("paid", "true")
        task = self.apache.run_task("paid")["id"]
        harness.wait_for(lambda: good.got, 20, "the callback")
        delivery = harness.wait_for(lambda: [d for d in self.apache.get("deliveries?task=" + task).json["deliveries"]
                                             if d["state"] == "delivered"], 20, "its delivery to be written down")[0]
        again = self.apache.post("deliveries/%s/redeliver" % delivery["id"])
        self.assertEqual(again.status, 200, again)
        harness.wait_for(lambda: len(good.got) == 2, 20, "the callback again")
        self.assertEqual(self.apache.request("DELETE", "callbacks/" + made.json["id"]).status, 200)

    def test_a_person_signs_in_and_every_link_stays_below_the_prefix(self):
        page = self.apache.get("/ui/signin", token=False)
        cookie = re.match(r"([^=]+=[^;]+)", page.headers["set-cookie"]).group(1)
        csrf = re.search(r'name="csrf"[^>]*value="([^"]+)"', page.text).group(1)
        form = urllib.parse.urlencode({"csrf": csrf, "token": self.apache.token}).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": cookie}
        reply = self.apache.request("POST", "/ui/signin", form, headers, token=False)
        self.assertEqual(reply.status, 303, reply)
        self.assertIn("Path=/stoker", reply.headers["set-cookie"])
        cookie = re.match(r"([^=]+=[^;]+)", reply.headers["set-cookie"]).group(1)
        task = self.apache.run_task("hello")["id"] if self.apache.code("hello", "echo hello") else None
        for path in ("", "/tasks", "/tasks/" + task, "/tasks/%s/log" % task, "/callbacks", "/schedules"):
            page = self.apache.get("/ui/p/%s%s" % (self.apache.project, path), token=False, headers={"Cookie": cookie})
            self.assertEqual((path, page.status), (path, 200))
            self.assertIn("default-src 'none'", page.headers["content-security-policy"])
            links = re.findall(r'(?:href|src|action)="(/[^"]*)"', page.text)
            self.assertGreater(len(links), 5)
            self.assertEqual([link for link in links if not link.startswith("/stoker/")], [])
            for link in {link.partition("#")[0] for link in links if "/static/" in link}:
                self.assertEqual((link, self.apache.get(link, token=False).status), (link, 200))

    def test_the_web_server_guards_as_nginx_does(self):
        reply = self.apache.get("tasks", headers={"X-Request-Id": "mine-1"})
        self.assertEqual((reply.status, reply.headers["x-request-id"]), (200, "mine-1"))
        reply = self.apache.get("tasks", headers={"X-Request-Id": "not, sane"})
        self.assertRegex(reply.headers["x-request-id"], r"^[A-Za-z0-9_.:@-]{20,39}$")
        self.assertEqual(self.apache.get("tasks", token=False).status, 401)
        self.assertEqual(self.apache.get("tasks?oauth=" + self.apache.token, token=False).status, 200)
        with open(self.apache.folder + "/stoker.log") as log:
            self.assertNotIn(self.apache.token, log.read())

    def raw(self, request):
        with socket.create_connection(("127.0.0.1", self.apache.port), timeout=10) as client:
            client.sendall(request)
            answer = b""
            while piece := client.recv(65536):
                answer += piece
        head, _, body = answer.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = [(name.lower(), value) for name, _, value in (line.partition(": ") for line in lines)]
        for name in ("content-type", "x-request-id", "access-control-allow-origin"):
            self.assertEqual([one for one, _ in headers].count(name), 1, head)
        return harness.Reply(int(first.split()[1]), dict(headers), body)

    def assert_refused(self, reply, status, problem):
        self.assertEqual(reply.status, status, reply)
        self.assertTrue(reply.json["msg"])
        self.assertEqual(reply.headers["access-control-allow-origin"], "*")
        self.assertRegex(reply.headers["x-request-id"], r"^[A-Za-z0-9_.:@-]{20,39}$")
        if problem:
            self.assertEqual(reply.headers["content-type"], "application/problem+json")
            self.assertEqual((reply.json["status"], reply.json["detail"]), (status, reply.json["msg"]))
        else:
            self.assertEqual((reply.headers["content-type"], list(reply.json)), ("application/json", ["msg"]))

    def test_what_apache_refuses_itself_is_a_problem_and_below_2_ironworker_s(self):
        line = "%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n"
        for path, problem in (("tasks", False), ("/1/projects", True)):
            self.assert_refused(self.apache.post(path, b"x" * 34603009), 413, problem)
        # the program's own are as they were
        self.assert_refused(self.apache.get("tasks/none"), 404, False)
        self.assert_refused(self.apache.get("/none"), 404, True)
        self.assert_refused(self.apache.get("/static/none.css", token=False), 404, True)
        self.assert_refused(self.raw((line % ("GET /stoker/2/" + "x" * 20480, "")).encode()), 414, True)
        self.assert_refused(self.raw((line % ("GET /stoker/2/", "bad header\r\n")).encode()), 400, True)

    def test_a_program_that_is_away_is_told_in_each_place_s_form(self):
        api = self.apache.children[0]
        self.assertIn("stoker-api", api.args[0])
        where = self.apache.folder + "/api.sock"
        os.rename(where, where + ".away")
        try:
            for path, problem in (("tasks", False), ("/1/projects", True)):
                reply = self.apache.get(path)
                self.assert_refused(reply, 503, problem)
                self.assertEqual(reply.headers["retry-after"], "2")
        finally:
            os.rename(where + ".away", where)
        self.assertEqual(self.apache.get("tasks").status, 200)


if __name__ == "__main__":
    harness.main()
