"""Sixty-four connections mix all operations for a minute, on programs built with ASan and UBSan: nothing fails,
and memory does not grow.

stoker-api and stoker-worker are the ones of `make fuzz-built` (clang), everything else is the build's own. ASan keeps
what was freed in quarantine, 256 MiB a process by default: memory would grow for minutes whatever the program
does. Here the quarantine is 1 MiB, full within a second, so that what still grows is the program's own. Leaks
are looked for when a process ends, and tearing the instance down fails on any report in the logs.
"""
import http.client
import json
import os
import random
import shutil
import threading
import time
import unittest

import harness

CONNECTIONS, SECONDS, THINK_S = 64, 60, 0.15
SANITIZED = os.path.join(harness.TOP, "build-fuzz", "bin")
NOBODY = "66aa01c2d3e4f5061728394a"
GROWTH_MOST = 1.05


def mixed_build():
    """A build folder whose API and worker are the sanitized ones."""
    folder = harness.scratch("stoker-soak-")
    os.mkdir(os.path.join(folder, "bin"))
    for name in os.listdir(os.path.join(harness.BUILD, "bin")):
        own = os.path.join(SANITIZED, name)
        os.symlink(own if os.path.exists(own) else os.path.join(harness.BUILD, "bin", name),
                   os.path.join(folder, "bin", name))
    return folder


class Client(threading.Thread):
    """One connection and what it knows: ids that earlier answers gave it."""

    def __init__(self, soak, number):
        super().__init__(daemon=True)
        self.soak, self.number = soak, number
        self.random = random.Random(number)
        self.http = http.client.HTTPConnection("127.0.0.1", soak.stoker.port, timeout=30)
        self.tasks, self.schedules, self.codes, self.clusters = [], [], [], []
        self.wrong, self.done = [], {}

    def run(self):
        kinds = [name for name in dir(self) if name.startswith("do_")]
        while time.monotonic() < self.soak.until:
            kind = self.random.choice(kinds)
            try:
                getattr(self, kind)()
                self.done[kind] = self.done.get(kind, 0) + 1
            except Exception as error:  # whatever it is, the test shall name it
                self.wrong.append("%s: %r" % (kind, error))
                self.http.close()
            time.sleep(self.random.random() * 2 * THINK_S)
        self.http.close()

    def ask(self, method, path, body=None, allowed=(200,), headers=None):
        if not path.startswith("/"):
            path = "/2/projects/%s/%s" % (self.soak.stoker.project, path)
        given = {"Authorization": "OAuth " + self.soak.stoker.token}
        given.update(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        for attempt in (1, 2):  # nginx ends a connection after so many requests
            try:
                self.http.request(method, path, body, given)
                reply = self.http.getresponse()
                break
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                self.http.close()
                if attempt == 2:
                    raise
        data = reply.read()
        if reply.status not in allowed:
            raise AssertionError("%s %s: %d %s" % (method, path, reply.status, data[:200]))
        return json.loads(data) if data[:1] in (b"{", b"[") else data

    def one_of(self, ids):
        return self.random.choice(ids) if ids else NOBODY

    def any_task(self):
        return self.one_of(self.tasks)

    def remember(self, answer):
        self.tasks = (self.tasks + [task["id"] for task in answer["tasks"]])[-50:]

    def order(self):
        return {"code_name": self.random.choice(("held", "held", "held", "held", "runs")), "label": "soak",
                "payload": "x" * self.random.choice((0, 10, 1000, 20000)), "priority": self.random.randrange(3),
                "delay": self.random.choice((0, 0, 0, 3600))}

    # --- tasks: 404 is of a client that has queued nothing yet ------------------------------------------

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
        self.ask("GET", "tasks/" + self.any_task(), allowed=(200, 404))

    def do_get_unchanged(self):
        self.ask("GET", "tasks/" + self.any_task(), headers={"If-None-Match": "*"}, allowed=(304, 404))

    def do_log(self):
        path = self.random.choice(("log", "outlog", "log?offset=3&limit=10", "log?attempt=1"))
        self.ask("GET", "tasks/%s/%s" % (self.any_task(), path), allowed=(200, 404))

    def do_cancel(self):
        self.ask("POST", "tasks/%s/cancel" % self.any_task(), {}, allowed=(200, 404))

    def do_progress(self):
        self.ask("POST", "tasks/%s/progress" % self.any_task(), {"percent": 5, "msg": "half"}, allowed=(200, 404))

    def do_retry(self):
        self.ask("POST", "tasks/%s/retry" % self.any_task(), {"delay": 1}, allowed=(200, 404))

    # --- codes, schedules, clusters, people ---------------------------------------------------------------

    def do_put_code(self):
        body = {"name": "own-%d" % self.number, "image": "busybox", "command": "true", "config": "{}",
                "max_concurrency": self.random.randrange(5), "env_vars": {"A": "b"}}
        if self.random.random() < 0.5:
            body = b"data=" + json.dumps(body).replace("&", "").encode()
        self.codes = [self.ask("POST", "codes", body)["id"]]

    def do_codes(self):
        self.ask("GET", "codes?per_page=100")

    def do_code(self):
        path = self.random.choice(("", "/revisions", "/stats"))
        self.ask("GET", "codes/%s%s" % (self.one_of(self.codes), path), allowed=(200, 404))

    def do_change_code(self):
        path = self.random.choice(("pause_task_queue", "resume_task_queue", "cancel_all"))
        self.ask("POST", "codes/%s/%s" % (self.one_of(self.codes), path), {}, allowed=(200, 404))

    def do_delete_code(self):
        if self.random.random() < 0.2:
            self.ask("DELETE", "codes/" + self.one_of(self.codes), allowed=(200, 404))
            self.codes = []

    def do_add_schedule(self):
        answer = self.ask("POST", "schedules", {"schedules": [
            {"code_name": "held", "run_every": 3600, "start_at": "2090-01-02T03:04:05.1234567+01:00"}]})
        self.schedules = [schedule["id"] for schedule in answer["schedules"]]

    def do_schedules(self):
        self.ask("GET", "schedules?page=0")

    def do_schedule(self):
        path = "schedules/" + self.one_of(self.schedules)
        self.ask("GET", path, allowed=(200, 404))
        self.ask("PUT", path, {"payload": "new"}, allowed=(200, 404, 409))  # 409: it is cancelled
        if self.random.random() < 0.3:
            self.ask("POST", path + "/cancel", {}, allowed=(200, 404))

    def do_clusters(self):
        name = "cluster-%d" % self.number
        self.ask("GET", self.random.choice(("/2/clusters", "/2/clusters/default", "/2/clusters/default/stats",
                                            "/2/clusters/default/tasks?queued=1", "/2/stacks", "/version")))
        if self.random.random() < 0.2:
            self.ask("POST", "/2/clusters", {"name": name, "memory": 64}, allowed=(200, 409))
            self.ask("DELETE", "/2/clusters/" + name, allowed=(200, 404))

    def do_people(self):
        self.ask("GET", self.random.choice(("/2/projects", "/1/authentication", "/1/projects", "")))

    def do_credentials(self):
        self.ask("POST", "credentials", {"auth": "eyJ1c2VybmFtZSI6ImEiLCJwYXNzd29yZCI6ImIiLCJlbWFpbCI6ImMiLCJzZXJ2ZXJh"
                                                 "ZGRyZXNzIjoiaHR0cHM6Ly9yLmV4YW1wbGUvIn0="})

    # --- pages --------------------------------------------------------------------------------------------

    def do_page(self):
        front = "/ui/p/" + self.soak.stoker.project
        path = self.random.choice(("", "/tasks", "/tasks?page=1", "/tasks/" + self.any_task(),
                                   "/tasks/%s/log" % self.any_task()))
        self.ask("GET", front + path, headers={"Cookie": "stoker=" + self.soak.stoker.token}, allowed=(200, 404))

    # --- what is refused ------------------------------------------------------------------------------------

    def do_wrong(self):
        path, body, status = self.random.choice((
            ("tasks", b'{"tasks": [', 400), ("tasks", {"tasks": [{"code_name": "nobody"}]}, 404),
            ("tasks", {"tasks": [{"payload": "x"}]}, 406), ("tasks", b"[" * 100, 400),
            ("codes", {"name": "x", "max_concurrency": "many"}, 400), ("nothing", {}, 404)))
        self.ask("POST", path, body, allowed=(status,))

    def do_stranger(self):
        self.ask("GET", "tasks", headers={"Authorization": "OAuth nobody"}, allowed=(401,))


class Soak(unittest.TestCase):

    def resident_kib(self, process):
        """Of all processes of that name together, and their ids."""
        total, pids = 0, []
        for pid, name in self.stoker.processes().items():
            if name != process:
                continue
            with open("/proc/%d/status" % pid) as status:
                total += sum(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
            pids.append(pid)
        return total, sorted(pids)

    def watch(self, began):
        """Samples of second ten to twenty and of the last ten seconds, of the API and of the worker."""
        early, late = {}, {}
        while time.monotonic() < self.until:
            at = time.monotonic() - began
            kept = early if 10 <= at < 20 else late if at >= SECONDS - 10 else None
            if kept is not None:
                for process in ("stoker-api", "stoker-worker"):
                    kept.setdefault(process, []).append(self.resident_kib(process))
            time.sleep(0.5)
        return early, late

    def check_memory(self, early, late):
        for process in early:
            self.assertEqual(early[process][0][1], late[process][-1][1], process + ": a process was replaced")
            first = sum(kib for kib, _ in early[process]) / len(early[process])
            last = sum(kib for kib, _ in late[process]) / len(late[process])
            print("%s: %d KiB, then %d KiB" % (process, first, last))
            self.assertLess(last, first * GROWTH_MOST, process)

    def test_sixty_four_connections_mix_everything_for_a_minute(self):
        env = {"STOKER_API_PROCESSES": "4", "STOKER_API_RECYCLE_REQUESTS": "1000000",
               "STOKER_API_RECYCLE_MB": "4000", "STOKER_NODE_SLOTS": "4", "STOKER_NODE_MEMORY_MB": "32",
               "ASAN_OPTIONS": "quarantine_size_mb=1:thread_local_quarantine_size_kb=16:malloc_context_size=12",
               "UBSAN_OPTIONS": "print_stacktrace=1"}
        build = mixed_build()
        self.addCleanup(shutil.rmtree, build)
        with harness.Instance(env=env, build=build) as self.stoker:
            self.stoker.code("runs", "echo hello")
            held = self.stoker.code("held", "true")["id"]
            self.assertEqual(self.stoker.post("codes/%s/pause_task_queue" % held).status, 200)
            began = time.monotonic()
            self.until = began + SECONDS
            clients = [Client(self, number) for number in range(CONNECTIONS)]
            for client in clients:
                client.start()
            early, late = self.watch(began)
            for client in clients:
                client.join(60)
            self.check_clients(clients)
            self.check_memory(early, late)

    def check_clients(self, clients):
        wrong = [line for client in clients for line in client.wrong]
        done = {}
        for client in clients:
            for kind, n in client.done.items():
                done[kind] = done.get(kind, 0) + n
        print("%d requests: %s" % (sum(done.values()), done))
        self.assertEqual(wrong, [], "%d of them, the first: %s" % (len(wrong), wrong[:5]))
        self.assertEqual(len(done), len([name for name in dir(Client) if name.startswith("do_")]))
        self.assertGreater(min(done.values()), 20)


if __name__ == "__main__":
    harness.main()
