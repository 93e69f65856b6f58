"""Logs that are followed: exact at any byte, cheap for many, and whole whatever dies meanwhile."""
import base64
import gzip
import http.client
import json
import os
import random
import socket
import threading
import time

import harness


class Stream:
    """One connection to a log's stream; events as (id, name, data)."""

    def __init__(self, stoker, task, after=None, timeout=30):
        self.connection = http.client.HTTPConnection("127.0.0.1", stoker.port, timeout=timeout)
        headers = {"Authorization": "OAuth " + stoker.token}
        if after:
            headers["Last-Event-ID"] = after
        self.connection.request("GET", "/2/projects/%s/tasks/%s/log/stream" % (stoker.project, task), None, headers)
        self.reply = self.connection.getresponse()
        self.status = self.reply.status

    def __iter__(self):
        fields = {}
        for line in self.reply:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = value
            elif "event" in fields:
                yield fields["id"], fields["event"], json.loads(fields["data"])
                fields = {}

    def close(self):
        self.connection.close()


def bytes_of(data):
    return data["text"].encode() if "text" in data else base64.b64decode(data["base64"])


class Follower(threading.Thread):
    """Follows as a client should: comes back with the last id whenever the stream breaks off."""

    def __init__(self, stoker, task):
        super().__init__(daemon=True)
        self.stoker, self.task = stoker, task
        self.output, self.connections, self.last, self.end = b"", 0, None, None
        self.socket = None
        self.start()

    def once(self):
        stream = Stream(self.stoker, self.task, self.last)
        try:
            if stream.status != 200:
                return
            self.connections += 1
            self.socket = stream.connection.sock
            for self.last, name, data in stream:
                if name == "output":
                    self.output += bytes_of(data)
                elif name == "end":
                    self.end = data
        finally:
            stream.close()

    def run(self):
        while self.end is None:
            try:
                self.once()
            except (OSError, http.client.HTTPException):
                pass
            if self.end is None:
                time.sleep(0.1)


class StreamTest(harness.FlowTest):
    def setUp(self):
        self.stoker.code("hello", "echo hello")

    def events(self, task, after=None):
        stream = Stream(self.stoker, task, after)
        self.assertEqual(stream.status, 200)
        found = list(stream)
        stream.close()
        return found


class Streams(StreamTest):
    def test_what_is_written_comes_with_stream_and_time_and_the_end(self):
        self.stoker.code("both", "sh -c 'echo out; sleep 1; echo err >&2; sleep 1; exit 3'")
        stream = Stream(self.stoker, self.stoker.queue("both"))
        self.assertEqual((stream.status, stream.reply.headers["content-type"]), (200, "text/event-stream"))
        came = [(time.time(), event) for event in stream]
        events = [event for _, event in came]
        self.assertEqual([(i, name) for i, name, _ in events], [("1-4", "output"), ("1-8", "output"), ("1-8", "end")])
        self.assertEqual([(d["attempt"], d["byte"], d["stream"], d["text"]) for _, _, d in events[:2]],
                         [(1, 0, "stdout", "out\n"), (1, 4, "stderr", "err\n")])
        self.assertEqual(events[2][2], {"status": "error"})
        self.assertRegex(events[0][2]["at"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertLess(events[0][2]["at"], events[1][2]["at"])
        self.assertGreater(came[1][0] - came[0][0], 0.5)  # as it is written, not at the end

    def test_resumed_at_any_byte_it_is_exact(self):
        command = "sh -c 'head -c 150000 /dev/urandom; printf \"\\0\\n\\303\\244 \\033[1m\\377\"; seq 1 20000; echo x >&2'"
        self.stoker.code("bytes", command)
        task = self.stoker.run_task("bytes")["id"]
        whole = self.stoker.task_log(task)
        self.assertGreater(len(whole), 250000)
        dice = random.Random(8)
        for start in [0, 1, 65535, 65536, len(whole) - 1, len(whole), len(whole) + 5] + [dice.randrange(len(whole)) for _ in range(40)]:
            at, got = start, b""
            events = self.events(task, "1-%d" % start)
            for event_id, name, data in events[:-1]:
                self.assertEqual((name, data["byte"]), ("output", at))
                got += bytes_of(data)
                at = start + len(got)
                self.assertEqual(event_id, "1-%d" % at)
            self.assertEqual(got, whole[start:], "from byte %d" % start)
            self.assertEqual(events[-1][1:], ("end", {"status": "complete"}))

    def test_broken_off_again_and_again_nothing_is_lost_or_doubled(self):
        self.stoker.code("seq", "sh -c 'seq 1 30000; sleep 1; seq 30001 40000'")
        task, got, last, dice = self.stoker.queue("seq"), b"", None, random.Random(3)
        name = None
        while name != "end":
            stream = Stream(self.stoker, task, last)
            for left in range(dice.randrange(1, 12), 0, -1):
                last, name, data = next(iter(stream), (last, None, None))
                got += bytes_of(data) if name == "output" else b""
                if name == "end":
                    break
            stream.close()
        self.assertEqual(got, b"".join(b"%d\n" % i for i in range(1, 40001)))

    def test_over_the_limit_a_gap_is_told(self):
        self.stoker.code("flood", "sh -c 'yes 0123456789 | head -c 12000000; echo the end'")
        task = self.stoker.run_task("flood", seconds=60)["id"]
        events = self.events(task)
        gaps = [(i, data) for i, name, data in events if name == "gap"]
        self.assertEqual(len(gaps), 1)
        head = b"".join(bytes_of(d) for i, name, d in events if name == "output" and d["byte"] < gaps[0][1]["byte"])
        tail = b"".join(bytes_of(d) for i, name, d in events if name == "output" and d["byte"] > gaps[0][1]["byte"])
        self.assertEqual(gaps[0][1]["byte"], len(head))
        self.assertEqual(len(head) + gaps[0][1]["missing"] + len(tail), 12000008)
        self.assertTrue(tail.endswith(b"the end\n"))
        log = self.stoker.task_log(task)
        self.assertTrue(log.startswith(head) and log.endswith(tail))
        behind = self.events(task, gaps[0][0])  # the gap's own id leads behind it
        self.assertEqual(b"".join(bytes_of(d) for _, name, d in behind if name == "output"), tail)

    def test_a_log_by_range_by_tail_and_as_a_file(self):
        self.stoker.code("two-mb", "sh -c 'seq 1 300000; echo e >&2'")
        task = self.stoker.run_task("two-mb")["id"]
        path, whole = "tasks/%s/log" % task, self.stoker.task_log(task)
        size, dice = len(whole), random.Random(5)
        self.assertGreater(size, 1 << 20)
        for first, last in [(0, 0), (size - 1, size + 9), (0, size)] + [sorted(dice.sample(range(size), 2)) for _ in range(12)]:
            reply = self.stoker.get(path, headers={"Range": "bytes=%d-%d" % (first, last)})
            self.assertEqual((reply.status, reply.headers["content-range"]), (206, "bytes %d-%d/%d" % (first, min(last, size - 1), size)))
            self.assertEqual(reply.body, whole[first:last + 1])
        self.assertEqual(self.stoker.get(path, headers={"Range": "bytes=-7"}).body, whole[-7:])
        self.assertEqual(self.stoker.get(path, headers={"Range": "bytes=1000000-"}).body, whole[1000000:])
        reply = self.stoker.get(path, headers={"Range": "bytes=%d-" % size})
        self.assertEqual((reply.status, reply.headers["content-range"], reply.body), (416, "bytes */%d" % size, b""))
        for ignored in ("bytes=x", "bytes=5-2", "lines=1-2", "bytes=1-2,5-6"):
            self.assertEqual(self.stoker.get(path, headers={"Range": ignored}).status, 200, ignored)
        for tail in (0, 1, 70000, size, size + 5):
            self.assertEqual(self.stoker.get("%s?tail=%d" % (path, tail)).body, whole[size - min(tail, size):])
        packed = self.stoker.get(path + "?download=gzip")
        self.assertEqual(packed.headers["content-disposition"], 'attachment; filename="%s.log.gz"' % task)
        self.assertEqual(gzip.decompress(packed.body), whole)
        self.assertEqual(self.stoker.get(path + "?download=plain").body, whole)
        for bad in ("?download=zip", "?tail=5&offset=3", "?tail=x"):
            self.assertEqual(self.stoker.get(path + bad).status, 400, bad)

    def test_polled_from_any_place_it_is_exact_and_says_where_it_goes_on(self):
        self.stoker.code("bytes", "sh -c 'head -c 150000 /dev/urandom; seq 1 20000'")
        task = self.stoker.run_task("bytes")["id"]
        path, whole = "tasks/%s/log?after=" % task, self.stoker.task_log(task)
        dice = random.Random(2)
        for start in [0, 1, 65536, len(whole) - 1, len(whole), len(whole) + 5] + [dice.randrange(len(whole)) for _ in range(12)]:
            reply = self.stoker.get("%s1-%d" % (path, start))
            self.assertEqual(reply.body, whole[start:], "from byte %d" % start)
            self.assertEqual(reply.headers["x-log-next"], "1-%d" % max(start, len(whole)))
        self.assertEqual(self.stoker.get(path + "0-0").body, whole)
        self.assertEqual(self.stoker.get(path + "2-0").body, b"")
        for bad in (path + "x", path + "1-3&tail=4", path + "1-3&offset=1", path.replace("/log", "/outlog") + "1-3"):
            self.assertEqual(self.stoker.get(bad).status, 400, bad)

    def test_who_may_not_and_what_is_not_there(self):
        task = self.stoker.queue("hello")
        path = "tasks/%s/log/stream" % task
        self.assertEqual(self.stoker.get(path, token=False).status, 401)
        self.assertEqual(self.stoker.get("tasks/%s/log/stream" % ("0" * 24)).status, 404)
        for bad in ("x", "1", "1-", "-1-3", "1--3", "1-2-3"):
            self.assertEqual(self.stoker.get(path, headers={"Last-Event-ID": bad}).status, 400, bad)
        self.assertEqual(self.stoker.get(path + "?after=nothing").status, 400)

    def test_without_stoker_tail_it_says_what_to_do(self):
        task, old = self.stoker.run_task("hello")["id"], self.stoker.pid("tail")
        keeper = self.stoker.pid("keeper")
        os.kill(keeper, harness.signal.SIGSTOP)
        try:
            self.stoker.kill("tail")
            harness.wait_for(lambda: not harness.process_exists(old), 10, "stoker-tail to end")
            reply = self.stoker.get("tasks/%s/log/stream" % task)
        finally:
            os.kill(keeper, harness.signal.SIGCONT)
        self.assertEqual(reply.status, 503)
        self.assertIn("retry-after", reply.headers)
        self.assertIn("read /log?after=ID instead", reply.json["msg"])
        self.stoker.wait_restarted("tail", old)

    def test_a_page_hears_that_there_is_more_and_when_it_is_over(self):
        path = "/ui/p/%s/tasks/%s/log/stream" % (self.stoker.project, self.stoker.run_task("hello")["id"])
        reply = self.stoker.get(path, token=False, headers={"Cookie": "stoker=" + self.stoker.token})
        self.assertEqual((reply.status, reply.headers["content-type"]), (200, "text/event-stream"))
        self.assertEqual(reply.text, "retry: 2000\n\n"
                         'id: 1-6\nevent: news\ndata: {"attempt":1,"bytes":6}\n\n'
                         'id: 1-6\nevent: end\ndata: {"status":"complete"}\n\n')
        self.assertNotEqual(self.stoker.get(path, token=False).headers["content-type"], "text/event-stream")

    def test_there_is_a_sign_of_life_in_silence(self):
        task = self.stoker.queue("hello", delay=3600)
        stream, began = Stream(self.stoker, task), time.monotonic()
        lines = iter(stream.reply)
        self.assertEqual([next(lines), next(lines)], [b"retry: 2000\n", b"\n"])
        self.assertEqual(next(lines), b":\n")
        self.assertTrue(13 < time.monotonic() - began < 20)
        self.assertEqual(self.stoker.post("tasks/%s/cancel" % task).status, 200)
        self.assertEqual([event[1:] for event in stream], [("end", {"status": "cancelled"})])


class Crowd(StreamTest):
    ENV = {"STOKER_API_PROCESSES": "2"}

    def statements_a_second(self, seconds=3):
        def count():
            return int(self.stoker.sql("SHOW GLOBAL STATUS LIKE 'Com_stmt_execute'")[0][1])
        before, began = count(), time.monotonic()
        time.sleep(seconds)
        return (count() - before) / (time.monotonic() - began)

    def stuck(self, task):
        """Asks and never reads."""
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", self.stoker.port))
        client.sendall(("GET /2/projects/%s/tasks/%s/log/stream HTTP/1.1\r\nHost: x\r\nAuthorization: OAuth %s\r\n\r\n"
                        % (self.stoker.project, task, self.stoker.token)).encode())
        return client

    def test_two_hundred_and_one_that_is_stuck_cost_what_one_costs(self):
        # much at first, for who does not read it; then a line five times a second
        self.stoker.code("tick", "sh -c 'seq 1 300000; i=0; while [ ! -e /tmp/stop ]; do i=$((i+1)); echo tick $i; sleep 0.2; done'")
        task = self.stoker.queue("tick")
        one = Follower(self.stoker, task)
        harness.wait_for(lambda: b"tick 5\n" in one.output, 20, "the job to tick")
        alone = self.statements_a_second()
        stuck = self.stuck(task)
        crowd = [Follower(self.stoker, task) for _ in range(199)]
        harness.wait_for(lambda: all(b"tick 5\n" in f.output for f in crowd), 40, "all to catch up")
        together = self.statements_a_second()
        lengths = [len(f.output) for f in crowd + [one]]
        harness.wait_for(lambda: all(len(f.output) > n for f, n in zip(crowd + [one], lengths)), 5, "all to go on beside the stuck one")
        print("\nstatements a second: one reader %.1f, 200 and a stuck one %.1f" % (alone, together))
        self.assertGreater(alone, 5)
        self.assertLessEqual(together, alone + 5)
        self.assertEqual(self.stoker.post("tasks/%s/cancel" % task).status, 200)
        for follower in crowd + [one]:
            follower.join(20)
            self.assertEqual((follower.end, follower.connections), ({"status": "cancelled"}, 1))
        self.assertEqual({hash(f.output) for f in crowd}, {hash(self.stoker.task_log(task))})
        stuck.close()
        began = self.statements_a_second()
        self.assertLess(began, alone - 5)  # nobody watches, nothing is asked


class Places(StreamTest):
    ENV = {"STOKER_TAIL_WATCHERS": "2"}

    def asked(self, task):
        stream = Stream(self.stoker, task)
        stream.close()
        return stream.status

    def test_over_the_cap_one_polls(self):
        task = self.stoker.queue("hello", delay=3600)
        held = [Stream(self.stoker, task) for _ in range(2)]
        self.assertEqual([s.status for s in held], [200, 200])
        self.assertEqual(self.stoker.get("tasks/%s/log/stream" % task).status, 503)
        for stream in held:
            stream.close()
        harness.wait_for(lambda: self.asked(task) == 200, 5, "a place to be free")


    def test_the_command_line_polls_and_takes_the_stream_when_there_is_one(self):
        self.stoker.code("steps", "sh -c 'i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo $i; sleep 0.05; done'")
        held = [Stream(self.stoker, self.stoker.queue("hello", delay=3600)) for _ in range(2)]
        task = self.stoker.queue("steps")
        done = self.stoker.cli("log", "-f", task)
        self.assertEqual((done.returncode, done.stdout), (0, "".join("%d\n" % i for i in range(1, 61))))
        for stream in held:
            stream.close()


def is_head_gap_tail(data, head):
    """As `data` is: the head, a notice or more, and the end."""
    return data.startswith(head) and " bytes left out here".encode() in data[len(head):]


class Live(StreamTest):
    """Output behind the head, while the job runs: seen by followers, not yet by /log."""
    HEAD = 65536
    ENV = {"STOKER_LIMITS_LOG_HEAD": str(HEAD), "STOKER_LIMITS_LOG_TAIL": "262144"}

    def live(self, task, what="COUNT(*)"):
        return self.stoker.sql("SELECT %s FROM log_live WHERE task_id = x'%s'" % (what, task), "stoker_logs")[0][0]

    def test_a_flood_that_goes_on_is_told_as_a_gap_and_its_newest_lines(self):
        self.stoker.code("ticks", "sh -c 'yes 0123456789 | head -c 3000000; i=0; while [ $i -lt 600 ]; do i=$((i+1)); echo tick $i; sleep 0.1; done'")
        task = self.stoker.queue("ticks")
        early = Follower(self.stoker, task)
        harness.wait_for(lambda: b"tick 5\n" in early.output, 30, "the stream to tick")
        head = (b"0123456789\n" * 10000)[:self.HEAD]
        self.assertEqual(self.stoker.task_log(task), head)  # of IronWorker's /log nothing else
        late, got, gaps, last = Stream(self.stoker, task), b"", [], None
        for last, name, data in late:
            got += bytes_of(data) if name == "output" else b""
            gaps += [data] if name == "gap" else []
            if b"tick 9\n" in got:
                break
        late.close()
        self.assertEqual(got[:self.HEAD], head)
        self.assertGreaterEqual(gaps[0]["byte"], self.HEAD)
        self.assertRegex(got[-70:].decode(), "tick 5\ntick 6\ntick 7\ntick 8\ntick 9\n")
        self.assertEqual(last, "1-%d" % (len(got) + sum(gap["missing"] for gap in gaps)))
        behind = Stream(self.stoker, task, last)
        again = next(iter(behind))
        behind.close()
        self.assertEqual((again[1], again[2]["byte"], again[2]["text"][:8]), ("output", int(last[2:]), "tick 10\n"))

        polled = self.stoker.get("tasks/%s/log?after=1-%d" % (task, self.HEAD - 1))
        self.assertTrue(is_head_gap_tail(polled.body, head[-1:]), polled.body[:200])
        self.assertIn(b"tick 10\n", polled.body)
        more = self.stoker.get("tasks/%s/log?after=%s" % (task, polled.headers["x-log-next"]))
        self.assertTrue(polled.body.endswith(b"\n") and (not more.body or more.body.startswith(b"tick ")), more.body[:100])
        page = "/ui/p/%s/tasks/%s/log" % (self.stoker.project, task)
        cookie = {"Cookie": "stoker=" + self.stoker.token}
        self.assertIn("tick 10<", self.stoker.get(page, token=False, headers=cookie).text)
        part = self.stoker.get(page + "?part=lines&from=%d&style=0" % (self.HEAD - 1), token=False, headers=cookie).text
        self.assertIn(" bytes left out here", part)
        shown = self.stoker.background("log", "-f", task)
        seen = []
        reader = threading.Thread(target=lambda: seen.extend(shown.stdout), daemon=True)
        reader.start()
        harness.wait_for(lambda: "tick 20\n" in seen, 20, "the command line to tick")
        shown.terminate()
        shown.wait(10)
        reader.join(10)
        shown.stdout.close()
        shown.stderr.close()

        self.assertGreater(int(self.live(task)), 0)
        self.assertEqual(self.stoker.post("tasks/%s/cancel" % task).status, 200)
        early.join(20)
        self.assertEqual(early.end, {"status": "cancelled"})
        log = self.stoker.task_log(task)
        self.assertTrue(is_head_gap_tail(log, head))
        tail = log[-262144:]
        self.assertTrue(early.output.endswith(tail[tail.index(b"tick 5\n"):]))
        self.assertEqual(self.live(task), "0")

    def test_lines_behind_the_head_come_once_whatever_dies(self):
        last = 14200  # of which 12,773 fill the head
        self.stoker.code("count", "sh -c 'seq 1 13000; i=13000; while [ $i -lt %d ]; do i=$((i+1)); echo $i; [ $((i %% 10)) = 0 ] && sleep 0.1; done'" % last)
        task = self.stoker.queue("count")
        follower = Follower(self.stoker, task)
        harness.wait_for(lambda: len(follower.output) > self.HEAD, 20, "the job to fill the head")
        for role in ("runner", "tail", "mariadb", "follower", "runner"):
            self.assertIsNone(follower.end, "the job was over before all had been killed")
            seen = len(follower.output)
            if role == "follower":
                follower.socket.shutdown(socket.SHUT_RDWR)
            else:
                self.stoker.wait_restarted(role, self.stoker.kill(role), 30)
            harness.wait_for(lambda: len(follower.output) > seen, 40, "the follower to hear more after the death of " + role)
        self.assertEqual(len(self.stoker.task_log(task)), self.HEAD)
        follower.join(90)
        self.assertEqual(follower.end, {"status": "complete"})
        want = b"".join(b"%d\n" % i for i in range(1, last + 1))
        self.assertEqual(follower.output, want)
        self.assertEqual(self.stoker.task_log(task), want)
        self.assertEqual((self.live(task), self.stoker.task(task)["attempts"]), ("0", 1))


class LiveFlood(StreamTest):
    """As fast as the job writes: what is shipped is bounded all the same."""
    ENV = {"STOKER_LIMITS_LOG_HEAD": "65536", "STOKER_LIMITS_LOG_LIVE": str(64 << 20)}

    def test_older_output_goes_while_newer_comes(self):
        self.stoker.code("much", "sh -c 'i=0; while [ $i -lt 80 ]; do i=$((i+1)); yes 0123456789 | head -c 100000; sleep 0.1; done'")
        task = self.stoker.queue("much")
        where = "FROM log_live WHERE task_id = x'%s'" % task
        most = ends = 0
        while ends < 4 << 20:
            row = self.stoker.sql("SELECT COALESCE(SUM(bytes), 0), COALESCE(MAX(first_byte), 0) " + where, "stoker_logs")[0]
            most, ends = max(most, int(row[0])), int(row[1])
            time.sleep(0.1)
        self.assertGreater(most, 1 << 20)
        self.assertLessEqual(most, 3 << 20)  # a MiB, and what came since it was last looked through
        self.stoker.wait_state(task, "complete")
        self.assertEqual(self.stoker.sql("SELECT COUNT(*) " + where, "stoker_logs")[0][0], "0")


class Survival(StreamTest):
    def lines_of_log(self, path):
        with open(os.path.join(self.stoker.var, "nginx", "access.log")) as log:
            return sum(1 for line in log if path in line)

    def test_the_command_line_follows_by_the_stream(self):
        self.stoker.code("bytes", "sh -c 'echo begin; sleep 1; yes 0123456789 | head -c 4000000; printf \"\\377\\303\"; exit 3'")
        task = self.stoker.queue("bytes")
        done = self.stoker.cli("log", "-f", task, text=False)
        self.assertEqual((done.returncode, done.stdout), (3, self.stoker.task_log(task)))
        path = "/tasks/%s/log " % task
        # nginx writes a line when the exchange is over; one of them is this test's own
        harness.wait_for(lambda: self.lines_of_log(path.replace(" ", "/stream ")) == 1, 5, "the stream's line")
        self.assertEqual(self.lines_of_log(path), 1)

    def test_the_command_line_sees_each_line_once_whatever_dies(self):
        last = 6000
        self.stoker.code("count", "sh -c 'i=0; while [ $i -lt %d ]; do i=$((i+1)); echo $i; [ $((i %% 40)) = 0 ] && sleep 0.1; done'" % last)
        task, got = self.stoker.queue("count"), []
        follower = self.stoker.background("log", "-f", task)
        reader = threading.Thread(target=lambda: got.extend(follower.stdout), daemon=True)
        reader.start()
        for role in ("tail", "runner", "mariadb", "tail"):
            seen = len(got)
            harness.wait_for(lambda: len(got) > seen + 40, 40, "more lines before the death of " + role)
            self.assertIsNone(follower.poll(), "the job was over before all had been killed")
            self.stoker.wait_restarted(role, self.stoker.kill(role), 30)
        self.assertEqual(follower.wait(90), 0)
        reader.join(10)
        self.assertEqual(got, ["%d\n" % i for i in range(1, last + 1)])

    def test_a_log_survives_everybody_who_carries_it(self):
        """Runner, stoker-tail, the follower itself and MariaDB die in turn, twice."""
        last = 12000
        self.stoker.code("count", "sh -c 'i=0; while [ $i -lt %d ]; do i=$((i+1)); echo $i; [ $((i %% 40)) = 0 ] && sleep 0.1; done'" % last)
        task = self.stoker.queue("count")
        follower = Follower(self.stoker, task)
        harness.wait_for(lambda: follower.output, 20, "the job to print")
        for role in ("runner", "tail", "mariadb", "follower") * 2:
            self.assertIsNone(follower.end, "the job was over before all had been killed")
            seen = len(follower.output)
            if role == "follower":
                follower.socket.shutdown(socket.SHUT_RDWR)
            else:
                self.stoker.wait_restarted(role, self.stoker.kill(role), 30)
            harness.wait_for(lambda: len(follower.output) > seen, 40, "the follower to hear more after the death of " + role)
        follower.join(90)
        self.assertEqual(follower.end, {"status": "complete"})
        want = b"".join(b"%d\n" % i for i in range(1, last + 1))
        self.assertEqual(self.stoker.task_log(task), want)
        self.assertEqual(follower.output, want)
        self.assertGreaterEqual(follower.connections, 3)
        self.assertEqual(self.stoker.task(task)["attempts"], 1)


del StreamTest
if __name__ == "__main__":
    harness.main()
