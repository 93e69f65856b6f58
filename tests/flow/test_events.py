"""The stream of a project's events: every change once, in order per task, whatever dies or commits late."""
import collections
import http.client
import json
import subprocess
import threading
import time

import harness


class Listener(threading.Thread):
    """Hears a project's events, and comes back with the last id whenever the stream breaks off."""

    def __init__(self, stoker, after=None):
        super().__init__(daemon=True)
        self.stoker, self.last, self.events, self.connections = stoker, after, [], 0
        self.connection, self.is_over = None, False
        self.start()
        harness.wait_for(lambda: self.connections, 20, "the stream")

    def once(self):
        self.connection = http.client.HTTPConnection("127.0.0.1", self.stoker.port, timeout=30)
        headers = {"Authorization": "OAuth " + self.stoker.token, "Accept": "text/event-stream"}
        if self.last is not None:
            headers["Last-Event-ID"] = self.last
        self.connection.request("GET", "/2/projects/%s/events" % self.stoker.project, None, headers)
        reply = self.connection.getresponse()
        if reply.status != 200:
            return
        self.connections += 1
        fields = {}
        for line in reply:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = value
            else:
                self.last = fields.get("id", self.last)  # counts without data, too
                if "data" in fields:
                    self.events.append(json.loads(fields["data"]))
                fields = {}

    def run(self):
        while not self.is_over:
            try:
                self.once()
            except (OSError, http.client.HTTPException, AttributeError):
                pass
            time.sleep(0.05)

    def stop(self):
        self.is_over = True
        self.connection.sock and self.connection.sock.shutdown(2)

    def states(self, task):
        return [e["data"]["state"] for e in list(self.events) if e["subject"] == task]


class EventsTest(harness.FlowTest):
    def setUp(self):
        self.stoker.code("hello", "echo hello")

    def page(self, after, **more):
        reply = self.stoker.get("events?after=%s%s" % (after, "".join("&%s=%s" % pair for pair in more.items())))
        self.assertEqual(reply.status, 200)
        return reply.json

    def all_pages(self, after="0", per_page=100):
        events = []
        while True:
            page = self.page(after, per_page=per_page)
            events += page["events"]
            if not page["events"]:
                return events
            after = page["next"]

    def check_whole(self, events):
        """Each task's changes from its first on, in order, each once."""
        numbers = collections.defaultdict(list)
        for event in events:
            numbers[event["subject"]].append(event["data"]["number"])
        for task, found in numbers.items():
            self.assertEqual(found, list(range(1, len(found) + 1)), task)
        places = [event["sequence"] for event in events]
        self.assertEqual(places, sorted(set(places)))


class Events(EventsTest):
    def test_a_task_is_told_as_it_goes_by_stream_and_by_page(self):
        listener = Listener(self.stoker)
        self.stoker.code("three", "sh -c 'exit 3'")
        task = self.stoker.run_task("three", label="nightly")["id"]
        harness.wait_for(lambda: len(listener.states(task)) == 4, 10, "four events")
        self.assertEqual(listener.states(task), ["queued", "preparing", "running", "error"])
        event = [e for e in listener.events if e["subject"] == task][-1]
        self.assertEqual({k: event[k] for k in ("specversion", "id", "source", "type", "datacontenttype")},
                         {"specversion": "1.0", "id": task + "-4", "source": "/2/projects/" + self.stoker.project,
                          "type": "io.stoker.task.error", "datacontenttype": "application/json"})
        self.assertRegex(event["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual({k: event["data"][k] for k in ("task_id", "code_name", "label", "status", "cause", "attempt")},
                         {"task_id": task, "code_name": "three", "label": "nightly", "status": "error", "cause": "exit", "attempt": 1})
        listener.stop()
        self.assertEqual([e for e in self.all_pages() if e["subject"] == task], [e for e in listener.events if e["subject"] == task])
        whole = self.all_pages()
        self.check_whole(whole)
        self.assertEqual(self.all_pages(per_page=3), whole)
        middle = len(whole) // 2
        self.assertEqual(self.all_pages(whole[middle]["sequence"]), whole[middle + 1:])
        resumed = Listener(self.stoker, whole[middle]["sequence"])
        harness.wait_for(lambda: len(resumed.events) >= len(whole) - middle - 1, 10, "the rest")
        self.assertEqual(resumed.events, whole[middle + 1:])
        resumed.stop()

    def test_what_an_application_commits_late_is_told_when_it_does(self):
        listener = Listener(self.stoker)
        self.stoker.sql("INSERT IGNORE INTO app VALUES ('root@localhost', x'%s')" % self.stoker.project)
        late = subprocess.Popen(["mariadb", "--no-defaults", "-u", "root", "-S", self.stoker.run + "/s/db.sock", "-N", "-B", "-n",
                                 "stoker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        late.stdin.write("BEGIN; INSERT INTO queue (code_name, cluster_name, payload, delay_s, label)"
                         " VALUES ('hello', 'default', '', 3600, 'late'); SELECT 1;\n")
        late.stdin.flush()
        self.assertEqual(late.stdout.readline(), "1\n")
        early = self.stoker.run_task("hello")["id"]
        harness.wait_for(lambda: listener.states(early)[-1:] == ["complete"], 10, "what was later and committed sooner")
        self.assertFalse([e for e in listener.events if e["data"].get("label") == "late"])
        late.stdin.write("COMMIT;\n")
        late.stdin.close()
        late.wait(10)
        late.stdout.close()
        harness.wait_for(lambda: [e for e in listener.events if e["data"].get("label") == "late"], 10, "the late one")
        listener.stop()

    def test_who_may_not_and_what_makes_no_sense(self):
        self.assertEqual(self.stoker.get("events", token=False).status, 401)
        self.assertEqual(self.stoker.get("/2/projects/%s/events" % ("1" * 24)).status, 404)
        for bad in ("x", "-1", "1-2"):
            self.assertEqual(self.stoker.get("events?after=" + bad).status, 400, bad)
            reply = self.stoker.get("events", headers={"Last-Event-ID": bad, "Accept": "text/event-stream"})
            self.assertEqual(reply.status, 400, bad)

    def test_the_command_line(self):
        task = self.stoker.run_task("hello")["id"]
        harness.wait_for(lambda: [e for e in self.all_pages() if e["subject"] == task and e["data"]["state"] == "complete"], 10, "its end")
        done = self.stoker.cli("events", "--json")
        self.assertEqual([json.loads(line) for line in done.stdout.splitlines()], self.all_pages())
        self.assertRegex(self.stoker.cli("events").stdout, task + r" complete +hello\n")
        follower = self.stoker.background("events", "-f")
        lines = []
        threading.Thread(target=lambda: lines.extend(follower.stdout), daemon=True).start()
        # what follows is heard when the stream is there
        harness.wait_for(lambda: self.stoker.run_task("hello") and lines, 20, "a line")
        last = self.stoker.run_task("hello")["id"]
        harness.wait_for(lambda: any(last in line and "complete" in line for line in lines), 10, "the last line")
        self.assertFalse([line for line in lines if task in line])
        follower.send_signal(harness.signal.SIGINT)
        self.assertEqual(follower.wait(10), 130)
        follower.stderr.close()

    def statements_a_second(self, seconds=3):
        def count():
            return int(self.stoker.sql("SHOW GLOBAL STATUS LIKE 'Com_stmt_execute'")[0][1])
        before, began = count(), time.monotonic()
        time.sleep(seconds)
        return (count() - before) / (time.monotonic() - began)

    def test_fifty_listeners_ask_what_one_asks(self):
        one = Listener(self.stoker)
        harness.wait_for(lambda: self.stoker.run_task("hello") and one.events, 20, "an event")
        alone = self.statements_a_second()
        crowd = [Listener(self.stoker) for _ in range(49)]
        together = self.statements_a_second()
        self.assertLessEqual(together, alone + 5)
        task = self.stoker.run_task("hello")["id"]
        for listener in crowd + [one]:
            harness.wait_for(lambda: listener.states(task) == ["queued", "preparing", "running", "complete"], 10, "all four")
            listener.stop()

    def test_nothing_is_lost_or_doubled_whatever_dies(self):
        listener, tasks = Listener(self.stoker), []
        for role in ("tail", "scheduler", "mariadb", "runner", "tail"):
            tasks += [self.stoker.queue("hello") for _ in range(8)]
            self.stoker.wait_restarted(role, self.stoker.kill(role), 30)
            harness.wait_for(lambda: self.stoker.get("/readyz", token=False).status == 200, 30, "the instance")
            tasks += [self.stoker.queue("hello") for _ in range(8)]
        for task in tasks:
            self.stoker.wait_state(task, "complete", seconds=60)
        harness.wait_for(lambda: all(listener.states(t)[-1:] == ["complete"] for t in tasks), 30, "all ends")
        listener.stop()
        self.check_whole(listener.events)
        self.assertGreaterEqual(listener.connections, 2)
        stored = dict(self.stoker.sql("SELECT LOWER(HEX(task_id)), COUNT(*) FROM event GROUP BY task_id"))
        self.assertEqual([str(len(listener.states(task))) for task in tasks], [stored[task] for task in tasks])


class Places(EventsTest):
    ENV = {"STOKER_TAIL_WATCHERS": "2"}

    def test_over_the_cap_one_asks_for_pages(self):
        held = [Listener(self.stoker) for _ in range(2)]
        accept = {"Accept": "text/event-stream"}
        self.assertEqual(self.stoker.get("events", headers=accept).status, 503)
        self.assertEqual(self.stoker.get("events").status, 200)
        follower = self.stoker.background("events", "-f", "--after", "0", "--json")
        task = self.stoker.run_task("hello")["id"]
        for line in follower.stdout:
            event = json.loads(line)
            if event["subject"] == task and event["data"]["state"] == "complete":
                break
        follower.kill()
        follower.communicate()
        for listener in held:
            listener.stop()


del EventsTest
if __name__ == "__main__":
    harness.main()
