"""Logs that are followed: what is newest past the head, and whole whatever dies meanwhile."""
import os
import socket
import threading
import time

import followers
import harness


def is_head_gap_tail(data, head):
    """As `data` is: the head, a notice or more, and the end."""
    return data.startswith(head) and " bytes left out here".encode() in data[len(head):]


class Live(followers.StreamTest):
    """Output behind the head, while the job runs: seen by followers, not yet by /log."""
    HEAD = 65536
    ENV = {"STOKER_LIMITS_LOG_HEAD": str(HEAD), "STOKER_LIMITS_LOG_TAIL": "262144"}

    def live(self, task, what="COUNT(*)"):
        return self.stoker.sql("SELECT %s FROM log_live WHERE task_id = x'%s'" % (what, task), "stoker_logs")[0][0]

    def test_a_flood_that_goes_on_is_told_as_a_gap_and_its_newest_lines(self):
        self.stoker.code("ticks", "sh -c 'yes 0123456789 | head -c 3000000; i=0; while [ $i -lt 6000 ]; do i=$((i+1)); echo tick $i; sleep 0.1; done'")
        task = self.stoker.queue("ticks")
        early = followers.Follower(self.stoker, task)
        harness.wait_for(lambda: b"tick 5\n" in early.output, 30, "the stream to tick")
        head = (b"0123456789\n" * 10000)[:self.HEAD]
        self.assertEqual(self.stoker.task_log(task), head)  # of IronWorker's /log nothing else
        late, got, gaps, last = followers.Stream(self.stoker, task), b"", [], None
        for last, name, data in late:
            got += followers.bytes_of(data) if name == "output" else b""
            gaps += [data] if name == "gap" else []
            if b"tick 9\n" in got:
                break
        late.close()
        self.assertEqual(got[:self.HEAD], head)
        self.assertGreaterEqual(gaps[0]["byte"], self.HEAD)
        self.assertRegex(got[-70:].decode(), "tick 5\ntick 6\ntick 7\ntick 8\ntick 9\n")
        self.assertEqual(last, "1-%d" % (len(got) + sum(gap["missing"] for gap in gaps)))
        behind = followers.Stream(self.stoker, task, last)
        again = next(iter(behind))
        behind.close()
        self.assertEqual((again[1], again[2]["byte"], again[2]["text"][:8]), ("output", int(last[2:]), "tick 10\n"))

        polled = self.stoker.get("tasks/%s/log?after=1-%d" % (task, self.HEAD - 1))
        self.assertTrue(is_head_gap_tail(polled.body, head[-1:]), polled.body[:200])
        self.assertIn(b"tick 10\n", polled.body)
        more = self.stoker.get("tasks/%s/log?after=%s" % (task, polled.headers["x-log-next"]))
        self.assertTrue(polled.body.endswith(b"\n") and (not more.body or more.body.startswith(b"tick ")), more.body[:100])
        whole = self.stoker.get("tasks/%s/log?download=plain" % task).body
        self.assertTrue(is_head_gap_tail(whole, head), whole[len(head):len(head) + 200])
        self.assertIn(b"tick 10\n", whole)
        tail = self.stoker.get("tasks/%s/log?tail=100" % task).body
        self.assertEqual(len(tail), 100)
        self.assertRegex(tail, rb"(^|\n)tick \d+\n$")
        self.assertEqual(self.stoker.get("tasks/%s/log?stream=stderr" % task).body.count(b"tick"), 0)
        page = "/ui/p/%s/tasks/%s/log" % (self.stoker.project, task)
        cookie = {"Cookie": "stoker=" + self.stoker.token}
        self.assertIn("tick 10<", self.stoker.get(page, token=False, headers=cookie).text)
        # the first live lines may follow the head at once, and a page has 1,000: asked for from where the gap is
        part = self.stoker.get(page + "?part=lines&from=%d&style=0" % (gaps[0]["byte"] - 1), token=False, headers=cookie).text
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
        follower = followers.Follower(self.stoker, task)
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


class LiveFlood(followers.StreamTest):
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


class Survival(followers.StreamTest):
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
        harness.wait_for(lambda: self.lines_of_log(path), 5, "the line of this test's own")
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
        follower = followers.Follower(self.stoker, task)
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


if __name__ == "__main__":
    harness.main()
