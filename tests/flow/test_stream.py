"""Logs that are followed: exact at any byte, and cheap for many."""
import gzip
import os
import random
import socket
import time

import followers
import harness


class Streams(followers.StreamTest):
    def test_what_is_written_comes_with_stream_and_time_and_the_end(self):
        self.stoker.code("both", "sh -c 'echo out; sleep 1; echo err >&2; sleep 1; exit 3'")
        stream = followers.Stream(self.stoker, self.stoker.queue("both"))
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
        for start in [0, 1, 65535, 65536, len(whole) - 1, len(whole)] + [dice.randrange(len(whole)) for _ in range(40)]:
            at, got = start, b""
            events = self.events(task, "1-%d" % start)
            for event_id, name, data in events[:-1]:
                self.assertEqual((name, data["byte"]), ("output", at))
                got += followers.bytes_of(data)
                at = start + len(got)
                self.assertEqual(event_id, "1-%d" % at)
            self.assertEqual(got, whole[start:], "from byte %d" % start)
            self.assertEqual(events[-1][1:], ("end", {"status": "complete"}))

    def test_broken_off_again_and_again_nothing_is_lost_or_doubled(self):
        self.stoker.code("seq", "sh -c 'seq 1 30000; sleep 1; seq 30001 40000'")
        task, got, last, dice = self.stoker.queue("seq"), b"", None, random.Random(3)
        name = None
        while name != "end":
            stream = followers.Stream(self.stoker, task, last)
            for left in range(dice.randrange(1, 12), 0, -1):
                last, name, data = next(iter(stream), (last, None, None))
                got += followers.bytes_of(data) if name == "output" else b""
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
        head = b"".join(followers.bytes_of(d) for i, name, d in events if name == "output" and d["byte"] < gaps[0][1]["byte"])
        tail = b"".join(followers.bytes_of(d) for i, name, d in events if name == "output" and d["byte"] > gaps[0][1]["byte"])
        self.assertEqual(gaps[0][1]["byte"], len(head))
        self.assertEqual(len(head) + gaps[0][1]["missing"] + len(tail), 12000008)
        self.assertTrue(tail.endswith(b"the end\n"))
        log = self.stoker.task_log(task)
        self.assertTrue(log.startswith(head) and log.endswith(tail))
        behind = self.events(task, gaps[0][0])  # the gap's own id leads behind it
        self.assertEqual(b"".join(followers.bytes_of(d) for _, name, d in behind if name == "output"), tail)

    def test_a_place_behind_the_end_goes_on_at_the_end_and_is_told(self):
        self.stoker.code("two-lines", "sh -c 'echo one; while [ ! -e /tmp/never ]; do sleep 0.2; echo two; done'")
        task = self.stoker.queue("two-lines")
        harness.wait_for(lambda: followers.Stream(self.stoker, task).status == 200 and self.stoker.get("tasks/%s/log" % task).status == 200, 20, "a log")
        for asked in ("1-99999999", "7-3"):
            stream = followers.Stream(self.stoker, task, asked)
            events = iter(stream)
            last, name, data = next(events)
            self.assertEqual((name, data["asked"], last), ("reset", asked, "1-%d" % data["byte"]))
            _, name, data = next(events)  # and what comes then is not waited for in vain
            self.assertEqual((name, "1-%d" % data["byte"]), ("output", last))
            stream.close()
        self.assertEqual(self.stoker.post("tasks/%s/cancel" % task).status, 200)
        self.stoker.wait_state(task, "cancelled")
        self.assertEqual([name for _, name, _ in self.events(task, "1-99999999")], ["reset", "end"])
        size = len(self.stoker.task_log(task))
        self.assertEqual([name for _, name, _ in self.events(task, "1-%d" % size)], ["end"])

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
        self.assertEqual(self.stoker.get(path + "?stream=stderr").body, b"e\n")
        self.assertEqual(gzip.decompress(self.stoker.get(path + "?stream=stdout&download=gzip").body), whole.replace(b"e\n", b""))
        self.assertEqual(self.stoker.get(path + "?stream=both").status, 400)
        self.assertEqual(self.stoker.get(path + "?stream=stderr&tail=1").status, 400)
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
        for bad in (path + "x", path + "1-3&tail=4", path + "1-3&offset=1", path + "1-3&limit=4", path.replace("/log", "/outlog") + "1-3"):
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
        stream, began = followers.Stream(self.stoker, task), time.monotonic()
        lines = iter(stream.reply)
        self.assertEqual([next(lines), next(lines)], [b"retry: 2000\n", b"\n"])
        self.assertEqual(next(lines), b":\n")
        self.assertTrue(13 < time.monotonic() - began < 20)
        self.assertEqual(self.stoker.post("tasks/%s/cancel" % task).status, 200)
        self.assertEqual([event[1:] for event in stream], [("end", {"status": "cancelled"})])


class Crowd(followers.StreamTest):
    ENV = {"STOKER_API_PROCESSES": "2", "STOKER_NODE_SLOTS": "6"}
    TASKS = 5

    def statements_a_second(self, windows=3):
        """Of stoker-tail and the API, which nobody asks meanwhile; not of what writes the logs. In each of some seconds, in order."""
        def count():
            return int(self.stoker.sql("SELECT SUM(select_commands) FROM information_schema.user_statistics WHERE user = 'stoker_api'")[0][0] or 0)
        found = []
        for _ in range(windows):
            before, began = count(), time.monotonic()
            time.sleep(1)
            found.append((count() - before) / (time.monotonic() - began))
        return sorted(found)

    def stuck(self, task):
        """Asks and never reads."""
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", self.stoker.port))
        client.sendall(("GET /2/projects/%s/tasks/%s/log/stream HTTP/1.1\r\nHost: x\r\nAuthorization: OAuth %s\r\n\r\n"
                        % (self.stoker.project, task, self.stoker.token)).encode())
        return client

    def test_two_hundred_of_some_tasks_and_one_that_is_stuck_cost_what_one_costs(self):
        # much at first, for who does not read it; then a line five times a second
        self.stoker.code("tick", "sh -c 'seq 1 300000; i=0; while [ ! -e /tmp/stop ]; do i=$((i+1)); echo tick $i; sleep 0.2; done'")
        self.stoker.sql("SET GLOBAL userstat = 1")
        tasks = [self.stoker.queue("tick") for _ in range(self.TASKS)]
        for task in tasks:
            self.stoker.wait_state(task, "running")
        one = followers.Follower(self.stoker, tasks[0])
        harness.wait_for(lambda: b"tick 5\n" in one.output, 20, "the job to tick")
        alone = self.statements_a_second()[-1]  # the one in which a busy machine held it up least
        stuck = self.stuck(tasks[0])
        crowd = [followers.Follower(self.stoker, tasks[i % self.TASKS]) for i in range(1, 200)]
        harness.wait_for(lambda: all(b"tick 5\n" in f.output for f in crowd), 40, "all to catch up")
        together = self.statements_a_second()[1]
        lengths = [len(f.output) for f in crowd + [one]]
        harness.wait_for(lambda: all(len(f.output) > n for f, n in zip(crowd + [one], lengths)), 5, "all to go on beside the stuck one")
        print("\nstatements a second: one reader %.1f, 200 of %d tasks and a stuck one %.1f" % (alone, self.TASKS, together))
        self.assertGreater(alone, 5)
        self.assertLessEqual(together, alone + 5)
        for task in tasks:
            self.assertEqual(self.stoker.post("tasks/%s/cancel" % task).status, 200)
        for follower in crowd + [one]:
            follower.join(20)
            self.assertEqual((follower.end, follower.connections), ({"status": "cancelled"}, 1))
        self.assertEqual({(i % self.TASKS, hash(f.output)) for i, f in enumerate([one] + crowd)},
                         {(i, hash(self.stoker.task_log(task))) for i, task in enumerate(tasks)})
        stuck.close()
        self.assertLess(self.statements_a_second()[1], alone - 5)  # nobody watches, nothing is asked


class Places(followers.StreamTest):
    ENV = {"STOKER_TAIL_WATCHERS": "2"}

    def asked(self, task):
        stream = followers.Stream(self.stoker, task)
        stream.close()
        return stream.status

    def test_over_the_cap_one_polls(self):
        task = self.stoker.queue("hello", delay=3600)
        held = [followers.Stream(self.stoker, task) for _ in range(2)]
        self.assertEqual([s.status for s in held], [200, 200])
        self.assertEqual(self.stoker.get("tasks/%s/log/stream" % task).status, 503)
        for stream in held:
            stream.close()
        harness.wait_for(lambda: self.asked(task) == 200, 5, "a place to be free")


    def test_the_command_line_polls_and_takes_the_stream_when_there_is_one(self):
        self.stoker.code("steps", "sh -c 'i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo $i; sleep 0.05; done'")
        held = [followers.Stream(self.stoker, self.stoker.queue("hello", delay=3600)) for _ in range(2)]
        task = self.stoker.queue("steps")
        done = self.stoker.cli("log", "-f", task)
        self.assertEqual((done.returncode, done.stdout), (0, "".join("%d\n" % i for i in range(1, 61))))
        for stream in held:
            stream.close()


if __name__ == "__main__":
    harness.main()
