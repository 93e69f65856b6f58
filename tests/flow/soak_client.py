"""One connection of the soak (test_soak.py): asks for everything that one can ask for, in any order, and knows what
each answer has to be. Every do_ method is an operation; together they reach every row of the table of routes."""
import hashlib
import hmac
import http.client
import io
import json
import os
import random
import re
import threading
import time
import urllib.parse
import zipfile

import harness

THINK_S = 0.4
# the clients that have a log destination, of which a project has room for twenty; from 64 on they run before the others
DESTINATIONS, PAGE_DESTINATIONS = 16, (16, 17, 64, 65, 66, 67, 68, 69)
SELDOM = ("do_person", "do_upload_and_download")  # passwords and packages cost much, on purpose
NOBODY = "66aa01c2d3e4f5061728394a"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
LISTEN_S = 1.0
# base64 of {"username":"a","password":"b","email":"c","serveraddress":"https://r.example/"}
LOGIN = "eyJ1c2VybmFtZSI6ImEiLCJwYXNzd29yZCI6ImIiLCJlbWFpbCI6ImMiLCJzZXJ2ZXJhZGRyZXNzIjoiaHR0cHM6Ly9yLmV4YW1wbGUvIn0="


def zipped(size):
    """A package that prints a line and carries so many bytes that do not compress."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("run.sh", "echo packed\n")
        file.writestr("ballast", os.urandom(size))
    return out.getvalue()


PACKAGES = [zipped(size) for size in (0, 5000, 60000, 300000)]


def multipart(fields, file, end=b"\r\n"):
    """Form a of a registration, or with end=LF form b."""
    return end.join([b"--7712", b'Content-Disposition: form-data; name="data"', b"", json.dumps(fields).encode(), b"--7712",
                     b'Content-Disposition: form-data; name="file"; filename="x.zip"', b"Content-Type: application/zip", b"",
                     file, b"--7712--", b""])


class Client(threading.Thread):
    """`soak` has the instance, its admin's token, a receiver, and the time until which to go on."""

    def __init__(self, soak, number):
        super().__init__(daemon=True)
        self.soak, self.number = soak, number
        self.random = random.Random(number)
        self.http = http.client.HTTPConnection("127.0.0.1", soak.stoker.port, timeout=30)
        self.tasks, self.known = [], {}
        self.wrong, self.done, self.answered, self.asked = [], {}, set(), 0
        self.think_s = THINK_S

    def kinds(self):
        return [name for name in dir(self) if name.startswith("do_")]

    def do(self, kind):
        try:
            getattr(self, kind)()
            self.done[kind] = self.done.get(kind, 0) + 1
        except Exception as error:  # whatever it is, the test shall name it
            self.wrong.append("%s: %r" % (kind, error))
            self.http.close()

    def run(self):
        kinds = [kind for kind in self.kinds() for _ in range(1 if kind in SELDOM else 4)]
        while time.monotonic() < self.soak.until:
            self.do(self.random.choice(kinds))
        self.http.close()

    def once_through(self):
        """Everything once, in any order and without a pause."""
        self.think_s = 0
        for kind in self.random.sample(self.kinds(), len(self.kinds())):
            self.do(kind)
        self.http.close()

    def settle(self):
        """Makes what it will mostly have of each kind, so that from the first second as much is there as later."""
        self.think_s = 0
        for noun in ("any_task", "code", "schedule", "trigger", "callback"):
            getattr(self, noun)()
        if self.number < DESTINATIONS:
            self.do_log_destination()
        self.think_s = THINK_S

    # --- asking ----------------------------------------------------------------------------------------------

    def ask(self, method, path, body=None, allowed=(200,), headers=None, token=None):
        """What was answered, JSON read; `path` absolute or below the project. Nothing is asked twice: no answer is an error."""
        if not path.startswith("/"):
            path = "/2/projects/%s/%s" % (self.soak.stoker.project, path)
        given = {"Authorization": "OAuth " + (token or self.soak.stoker.token)}
        given.update(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        time.sleep(self.random.random() * 2 * self.think_s)
        self.asked += 1
        self.http.request(method, path, body, given)
        reply = self.http.getresponse()
        data = reply.read()
        if reply.status not in allowed:
            raise AssertionError("%s %s: %d %s" % (method, path, reply.status, data[:200]))
        if reply.status < 400:
            self.answered.add((method, path.partition("?")[0]))
        return json.loads(data) if data[:1] in (b"{", b"[") and reply.status != 304 else data

    def maybe(self, chance):
        return self.random.random() < chance

    def own(self, noun, make):
        """The id of this client's own one, made when there is none."""
        if noun not in self.known:
            self.known[noun] = make()
        return self.known[noun]

    def drop(self, noun, path, chance=0.4):
        if self.maybe(chance):
            self.ask("DELETE", path)
            self.known.pop(noun)

    def any_task(self):
        """One that this client has queued: it must be found."""
        if not self.tasks:
            self.do_queue_one()
        return self.random.choice(self.tasks)

    def remember(self, answer):
        self.tasks = (self.tasks + [task["id"] for task in answer["tasks"]])[-50:]
        return answer["tasks"][0]["id"]

    def queue(self, code, **more):
        return self.remember(self.ask("POST", "tasks", {"tasks": [dict(more, code_name=code)]}))

    # --- tasks ------------------------------------------------------------------------------------------------

    def order(self):
        return {"code_name": self.random.choice(("held",) * 8 + ("runs",)), "label": "soak",
                "payload": "x" * self.random.choice((0, 10, 1000, 20000)), "priority": self.random.randrange(3),
                "delay": self.random.choice((0, 0, 0, 3600)), "expires_in": self.random.choice((0, 0, 7200))}

    def do_queue_one(self):
        self.remember(self.ask("POST", "tasks", {"tasks": [self.order()]}))

    def do_queue_many(self):
        orders = [dict(self.order(), code_name="held") for _ in range(self.random.randrange(2, 40))]
        self.remember(self.ask("POST", "tasks", {"tasks": orders}))

    def do_queue_once(self):
        headers = {"Idempotency-Key": "%d-%d" % (self.number, self.random.randrange(20)), "traceparent":
                   "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
        self.remember(self.ask("POST", "tasks", {"tasks": [{"code_name": "held"}]}, headers=headers))

    def do_queue_latin1(self):
        self.remember(self.ask("POST", "tasks", b'{"tasks": [{"code_name": "held", "payload": "gr\xfc\xdfe"}]}'))

    def do_webhook(self):
        self.ask("POST", "tasks/webhook?code_name=held", os.urandom(self.random.randrange(5000)))

    def do_list(self):
        query = self.random.choice(("", "?per_page=100", "?queued=1&page=2", "?code_name=held&cancelled=1",
                                    "?label=soak&from_time=1", "?complete=1&error=1", "?before=" + self.any_task()))
        self.ask("GET", "tasks" + query)

    def do_get(self):
        self.ask("GET", "tasks/" + self.any_task())

    def do_get_unchanged(self):
        self.ask("GET", "tasks/" + self.any_task(), headers={"If-None-Match": "*"}, allowed=(304,))

    def do_cancel(self):
        self.ask("POST", "tasks/%s/cancel" % self.any_task(), {})

    def do_progress(self):
        self.ask("POST", "tasks/%s/progress" % self.any_task(), {"percent": 5, "msg": "half"})

    def do_retry(self):
        self.ask("POST", "tasks/%s/retry" % self.any_task(), {"delay": 3600})

    # --- what is answered late ---------------------------------------------------------------------------------

    def do_wait_for_the_end(self):
        body = {"tasks": [{"code_name": "held", "delay": 3600}, {"code_name": "held"}]}
        answer = self.ask("POST", "tasks", body, headers={"Prefer": "wait=1"})
        self.remember(answer)
        self.ask("GET", "tasks/" + answer["tasks"][0]["id"], headers={"Prefer": "wait=1"})

    def listen(self, path, headers=None, until=None, seconds=LISTEN_S):
        """Reads a stream for a moment, or up to a line that begins so; what was read."""
        connection = http.client.HTTPConnection("127.0.0.1", self.soak.stoker.port, timeout=30)
        path = path if path.startswith("/") else "/2/projects/%s/%s" % (self.soak.stoker.project, path)
        lines = []
        try:
            connection.connect()
            sock = connection.sock
            connection.request("GET", path, None, dict(headers or {}, Authorization="OAuth " + self.soak.stoker.token))
            reply = connection.getresponse()
            if reply.status != 200:
                raise AssertionError("GET %s: %d %s" % (path, reply.status, reply.read()[:200]))
            self.answered.add(("GET", path))
            sock.settimeout(seconds)
            end = time.monotonic() + seconds
            for line in reply:
                lines.append(line)
                if time.monotonic() > end or (until and line.startswith(until)):
                    break
        except TimeoutError:
            if not lines:
                raise
        finally:
            connection.close()
        return lines

    def do_log_stream(self):
        self.listen("tasks/%s/log/stream" % self.any_task(), until=b"event: end")

    def do_log_stream_of_what_is_over(self):
        lines = self.listen("tasks/%s/log/stream" % self.soak.finished, {"Last-Event-ID": "1-2"}, b"event: end", 30)
        if not any(b"llo" in line for line in lines) or lines[-1] != b"event: end\n":
            raise AssertionError("a stream of what is over: %r" % lines)

    def do_page_stream(self):
        self.listen("/ui/p/%s/tasks/%s/log/stream" % (self.soak.stoker.project, self.soak.finished), self.session(), b"event: end", 30)

    def do_events(self):
        page = self.ask("GET", "events?per_page=%d" % self.random.choice((1, 30, 100)))
        self.ask("GET", "events?after=%s" % page["next"])

    def do_event_stream(self):
        self.listen("events", {"Accept": "text/event-stream"})

    # --- logs ---------------------------------------------------------------------------------------------------

    def do_log(self):
        path = self.random.choice(("log", "outlog", "log?offset=3&limit=10", "log?attempt=1", "log?tail=4", "log?download=gzip"))
        self.ask("GET", "tasks/%s/%s" % (self.soak.finished, path))
        answer = self.ask("GET", "tasks/%s/%s" % (self.any_task(), path), allowed=(200, 404))
        if isinstance(answer, dict) and not answer["msg"].startswith("there is no log"):  # of what never began
            raise AssertionError("the log of a task that is there: %r" % answer)

    def do_search(self):
        found = self.ask("GET", "logs/search?q=" + self.random.choice(("hello", "nothing-like-it", "l")))
        if "hits" not in found and "tasks" not in found:
            raise AssertionError("a search: %r" % found)

    # --- codes and packages -----------------------------------------------------------------------------------

    def fields(self):
        return {"name": "own-%d" % self.number, "image": "busybox", "command": "true", "config": "{}",
                "max_concurrency": self.random.randrange(5), "env_vars": {"A": "b"}}

    def code(self):
        return self.own("code", lambda: self.ask("POST", "codes", self.fields())["id"])

    def do_put_code(self):
        urlencoded = b"data=" + urllib.parse.quote(json.dumps(self.fields())).encode()
        self.known["code"] = self.ask("POST", "codes", urlencoded, headers=FORM)["id"]
        self.ask("POST", "codes/" + self.code(), self.fields())

    def do_upload_and_download(self):
        package = self.random.choice(PACKAGES)
        fields = {"name": "zip-%d" % self.number, "runtime": "sh", "file_name": "run.sh"}
        made = self.ask("POST", "codes", multipart(fields, package, self.random.choice((b"\r\n", b"\n"))),
                        headers={"Content-Type": "multipart/form-data; boundary=7712"})
        for path in ("codes/%s/download" % made["id"], "codes/%s/download?revision=%d" % (made["id"], made["rev"])):
            if self.ask("GET", path) != package:
                raise AssertionError("%s is not what was uploaded" % path)

    def do_refused_upload(self):
        fields, packed = {"name": "broken", "runtime": "sh", "file_name": "run.sh"}, PACKAGES[1]
        self.ask("POST", "codes", multipart(fields, packed[:len(packed) // 2]), allowed=(400,),
                 headers={"Content-Type": "multipart/form-data; boundary=7712"})

    def do_codes(self):
        self.ask("GET", "codes?per_page=100")

    def do_code(self):
        for path in self.random.sample(("", "/revisions", "/stats"), 2):
            self.ask("GET", "codes/%s%s" % (self.code(), path))

    def do_change_code(self):
        for path in self.random.sample(("pause_task_queue", "resume_task_queue", "cancel_all", "resume_callback"), 3):
            self.ask("POST", "codes/%s/%s" % (self.code(), path), {})
        self.drop("code", "codes/" + self.code())

    # --- schedules ----------------------------------------------------------------------------------------------

    def schedule(self):
        return self.own("schedule", lambda: self.ask("POST", "schedules", {"schedules": [
            {"code_name": "held", "cron": "30 2 * * *", "start_at": "2024-01-02T03:04:05.1234567+01:00"}]})["schedules"][0]["id"])

    def do_schedules(self):
        self.ask("GET", "schedules?page=0")
        self.ask("POST", "schedules/preview", {"code_name": "held", "cron": "0 9 * * 1-5", "time_zone": "Europe/Berlin", "n": 5})

    def do_schedule(self):
        path = "schedules/" + self.schedule()
        self.ask("GET", path)
        self.ask("PUT", path, {"payload": "new"})
        self.ask("GET", path + self.random.choice(("/preview?n=3", "/fires?per_page=10", "/pauses")))
        if self.maybe(0.4):
            self.ask("POST", path + "/cancel", {})
            self.known.pop("schedule")

    def do_fire_schedule(self):
        path = "schedules/" + self.schedule()
        self.ask("POST", path + "/pause", {"reason": "soak"})
        self.ask("POST", path + "/resume", {})
        self.ask("POST", path + "/run", {})
        self.ask("POST", path + "/backfill", {"from": "2024-01-02T00:00:00Z", "to": "2024-01-02T04:00:00Z"})

    def do_schedule_that_fires(self):
        self.ask("POST", "schedules", {"schedules": [{"code_name": "held", "run_every": 1, "run_times": 3}]})

    def do_calendars(self):
        name = "calendars/days-%d" % self.number
        self.ask("PUT", name, {"dates": ["2090-12-25", "12-26"]})
        self.ask("GET", "calendars")
        self.ask("DELETE", name)

    # --- webhooks in and out --------------------------------------------------------------------------------

    def trigger(self):
        return self.own("trigger", lambda: self.ask("POST", "triggers", {
            "code_name": "held", "name": "from-%d-%d" % (self.number, self.random.randrange(1 << 30)), "verify": "github", "secret": "s3cret"}))

    def send(self, path, body, **headers):
        self.ask("POST", path, body, headers=dict(headers, Authorization=""))

    def do_trigger(self):
        trigger, body = self.trigger(), json.dumps({"n": self.random.randrange(9), "pad": "x" * self.random.randrange(3000)}).encode()
        signature = "sha256=" + hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()
        headers = {"X-Hub-Signature-256": signature, "X-GitHub-Delivery": str(self.random.randrange(50)), "Authorization": ""}
        self.ask("POST", trigger["path"], body, headers=headers)
        headers["X-Hub-Signature-256"] = "sha256=" + "0" * 64
        self.ask("POST", trigger["path"], body, headers=headers, allowed=(401,))

    def do_triggers(self):
        path = "triggers/" + self.trigger()["id"]
        self.ask("GET", "triggers")
        self.ask("GET", path)
        self.ask("GET", path + "/requests")
        self.ask("POST", path + "/pause", {})
        self.ask("POST", path + "/resume", {})
        self.ask("PUT", path, {"filter": [{"pointer": "/n", "equals": 1}]})
        self.known["trigger"] = self.ask("POST", path + "/rotate", {})
        self.drop("trigger", path)

    def callback(self):
        return self.own("callback", lambda: self.ask("POST", "callbacks", {"url": self.soak.receiver.url("/%d" % self.number)})["id"])

    def do_callback(self):
        path = "callbacks/" + self.callback()
        self.ask("GET", path)
        self.ask("PUT", path, {"states": ["cancelled", "error"], "ordered": self.maybe(0.5)})
        self.ask("POST", path + "/pause", {})
        self.ask("POST", path + "/resume", {})
        self.ask("POST", path + "/test", {})
        self.ask("POST", path + "/rotate", {"keep": 5})
        self.drop("callback", path)

    def do_task_with_a_callback(self):
        task = self.queue("held", callback=self.soak.receiver.url("/tasks"))
        self.ask("POST", "tasks/%s/cancel" % task, {})

    def do_deliveries(self):
        self.ask("GET", "callbacks")
        found = self.ask("GET", "deliveries?per_page=5")["deliveries"]
        for one in found[:1]:
            self.ask("GET", "deliveries/%d" % one["id"])
            self.ask("POST", "deliveries/%d/redeliver" % one["id"], {})
        self.ask("POST", "deliveries/redeliver", {"state": "exhausted"})
        self.ask("POST", "callback_secret/rotate", {"keep": 5})

    def do_log_destination(self):
        if self.number >= DESTINATIONS:
            self.ask("GET", "log_destinations")
            return
        path = "log_destinations/" + self.own("destination", lambda: self.ask("POST", "log_destinations", {
            "address": self.soak.receiver.url("/logs"), "template": "ndjson", "secret": "s"})["id"])
        self.ask("GET", path)
        self.ask("PUT", path, {"name": "soak"})
        self.ask("POST", path + "/pause", {})
        self.ask("POST", path + "/resume", {})
        self.ask("POST", path + "/ping", {})
        self.drop("destination", path, 0.5)

    # --- secrets, clusters, people ------------------------------------------------------------------------------

    def do_secrets(self):
        name = "secrets/s-%d" % self.number
        self.ask("PUT", name, {"value": "hunter2-%d" % self.number})
        self.ask("GET", "secrets")
        self.ask("DELETE", name)

    def do_credentials(self):
        self.ask("POST", "credentials", {"auth": LOGIN})

    def do_clusters(self):
        self.ask("GET", self.random.choice(("/2/clusters?shared=true&internal=true", "/2/clusters/shared", "/2/clusters/default", "/2/clusters/default/stats",
                                            "/2/clusters/default/tasks?queued=1", "/2/stacks", "/version", "/healthz", "/readyz")))

    def do_cluster(self):
        name, admin = "cluster-%d" % self.number, self.soak.admin
        path = "/2/clusters/" + self.ask("POST", "/2/clusters", {"name": name, "memory": 1 << 26}, token=admin)["id"]
        self.ask("PUT", path, {"autoscale": {"runners_min": 2}}, token=admin)
        self.ask("POST", path + "/share", {"emails": ["admin"]}, token=admin)
        self.ask("POST", path + "/unshare/admin", {}, token=admin)
        self.ask("GET", path + "/credentials", token=admin)
        self.ask("POST", path + "/terminate", {"instance_ids": ["9999"]}, token=admin)
        self.ask("DELETE", path, token=admin)

    def do_people(self):
        self.ask("GET", self.random.choice(("/2/projects", "/1/authentication", "/1/projects", "", "/1/projects/" + self.soak.stoker.project,
                                            "/1/projects/%s/share" % self.soak.stoker.project)))
        self.ask("GET", "/1/users?per_page=10", token=self.soak.admin)

    def do_person(self):
        name, admin = "p%d-%d@example.org" % (self.number, self.random.randrange(1 << 40)), self.soak.admin
        self.ask("POST", "/1/users", {"email": name, "password": "correct horse"}, token=admin)
        token = self.ask("POST", "/1/authentication", {"email": name, "password": "correct horse"}, headers={"Authorization": ""})["tokens"][0]["token"]
        made = self.ask("POST", "/1/tokens", {"name": "t", "role": "viewer"}, token=token)
        self.ask("GET", "/1/users/" + name, token=token)
        self.ask("PATCH", "/1/users/" + name, {"password": "battery staple"}, token=token)
        project = self.ask("POST", "/1/projects", {"name": name}, token=token)["id"]
        self.ask("PATCH", "/1/projects/%s/share" % project, {"emails": ["admin"]}, token=token)
        self.ask("PATCH", "/1/projects/%s/unshare" % project, {"emails": ["admin"]}, token=token)
        self.ask("DELETE", "/1/projects/" + project, token=token)
        self.ask("DELETE", "/1/tokens/" + made["id"], token=token)
        self.ask("DELETE", "/1/users/" + name, token=admin)

    # --- pages --------------------------------------------------------------------------------------------

    def session(self):
        return {"Cookie": "stoker=" + self.soak.stoker.token}

    def page(self, path, allowed=(200,)):
        self.ask("GET", path if path.startswith("/") else "/ui/p/%s%s" % (self.soak.stoker.project, path and "/" + path),
                 headers=self.session(), allowed=allowed)

    def form(self, path, **fields):
        """Sends a form as the session's own page has it."""
        fields["csrf"] = hmac.new(self.soak.stoker.token.encode(), b"csrf", hashlib.sha256).hexdigest()
        host = "127.0.0.1:%d" % self.soak.stoker.port
        self.ask("POST", path if path.startswith("/") else "/ui/p/%s/%s" % (self.soak.stoker.project, path),
                 urllib.parse.urlencode(fields).encode(), headers=dict(self.session(), Origin="http://" + host, **FORM),
                 allowed=(200, 303))

    def do_task_pages(self):
        task = self.any_task()
        for path in self.random.sample(("", "tasks", "tasks?page=1", "tasks/" + task, "tasks/%s/log" % task, "tasks/%s/log" % self.soak.finished,
                                        "tasks/%s/log/raw" % self.soak.finished, "tasks?part=rows"), 2):
            self.page(path)
        self.form("tasks/%s/cancel" % task, confirm="yes")

    def do_schedule_pages(self):
        schedule = "schedules/" + self.schedule()
        for path in self.random.sample(("schedules", "schedules/new", "schedules/calendar", schedule, schedule + "/edit"), 2):
            self.page(path)
        self.form(schedule + "/pause", reason="page")
        self.form(schedule + "/resume")
        self.form(schedule + "/run")
        self.form(schedule + "/backfill", **{"from": "2024-01-02T00:00:00Z", "to": "2024-01-02T04:00:00Z"})
        self.form(schedule + "/edit", do="check", code_name="held", run_every="3600")
        self.form("schedules/new", do="check", code_name="held", cron="0 9 * * *")
        self.form("schedules/calendar", do="save", name="page-%d" % self.number, dates="12-25")
        if self.maybe(0.4):
            self.form(schedule + "/cancel", confirm="yes")
            self.known.pop("schedule")

    def do_webhook_pages(self):
        self.page("callbacks")
        self.page("triggers/" + self.trigger()["id"])
        self.form("callbacks/%s/test" % self.callback())
        for one in self.ask("GET", "deliveries?per_page=1")["deliveries"]:
            self.page("deliveries/%d" % one["id"])
            self.form("deliveries/%d/redeliver" % one["id"])

    def do_settings_pages(self):
        self.page("settings")
        self.page(self.random.choice(("logs/search", "logs/search?q=hello")))
        self.ask("PATCH", "/2/projects/" + self.soak.stoker.project, {"payload_keys": ["soak", "word-%d" % self.number]})
        self.form("settings/payload_keys", payload_keys="soak")
        if self.number not in PAGE_DESTINATIONS:
            return
        name = "page-%d" % self.number
        self.form("settings/destinations", address=self.soak.receiver.url("/logs"), name=name, template="ndjson")
        for one in self.ask("GET", "log_destinations")["log_destinations"]:
            if one["name"] == name:
                for what in ("pause", "resume", "ping", "delete"):
                    self.form("settings/destinations/%s/%s" % (one["id"], what), confirm="yes")

    def do_front_pages(self):
        project = self.soak.stoker.project
        self.page("/ui", allowed=(200, 303))
        self.page("/", allowed=(303,))
        self.page("/ui/signin")
        self.page("/worker/projects/%s/tasks/%s" % (project, self.soak.finished), allowed=(302,))
        self.page("/worker/projects/%s/scheduled_jobs/%s" % (project, NOBODY), allowed=(302,))
        self.form("/ui/theme", theme="dark")
        self.form("/ui/signin", token=self.soak.stoker.token)
        self.form("/ui/signout")

    # --- what is refused ------------------------------------------------------------------------------------

    def do_wrong(self):
        path, body, status = self.random.choice((
            ("tasks", b'{"tasks": [', 400), ("tasks", {"tasks": [{"code_name": "nobody"}]}, 404),
            ("tasks", {"tasks": [{"payload": "x"}]}, 406), ("tasks", b"[" * 100, 400),
            ("codes", {"name": "x", "max_concurrency": "many"}, 400), ("nothing", {}, 404)))
        self.ask("POST", path, body, allowed=(status,))

    def do_stranger(self):
        self.ask("GET", "tasks", headers={"Authorization": "OAuth nobody"}, allowed=(401,))


def routes():
    """(method, pattern) of every row of the table of routes."""
    with open(os.path.join(harness.TOP, "fcgi", "routes.c")) as file:
        rows = re.findall(r"_ROW\((\w+), (.*?), AUTH_", file.read())
    prefixes = {"P": "/2/projects/{project}", "UI": "/ui/p/{project}"}
    for method, path in rows:
        words = [prefixes.get(word, word.strip('"')) for word in path.split()]
        yield method, "".join(words)


def unanswered(answered):
    """The rows that no request reached which was answered well."""
    def reached(method, pattern):
        shape = re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(pattern)) + "/?$")
        return any(verb == method and shape.match(path) for verb, path in answered)

    return ["%s %s" % row for row in routes() if not reached(*row)]
