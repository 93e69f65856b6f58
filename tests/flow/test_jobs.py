#!/usr/bin/env python3
"""Jobs through everything: nginx, FastCGI, MariaDB, runner, launcher, monitor, crun. Each end has its
own true cause, output is exact, callbacks arrive."""
import http.server
import json
import os
import re
import threading
import time

import harness

MIB = 1 << 20


class Receiver(http.server.BaseHTTPRequestHandler):
    """Keeps what it is sent; answers with the status that its path asks for, /flaky the first time 503."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            self.server.got.append((self.path, dict(self.headers), json.loads(body)))
            times = sum(1 for path, _, _ in self.server.got if path == self.path)
        status = 503 if self.path == "/flaky" and times == 1 else 410 if self.path == "/gone" else 200
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def receiver():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.got, server.lock = [], threading.Lock()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def expect_a_small_runner(test):
    with open("/proc/%d/status" % test.stoker.pid("runner")) as status:
        peak_kib = int(re.search(r"VmHWM:\s+(\d+)", status.read()).group(1))
    if "asan" not in os.environ.get("O", ""):  # the sanitizers' own memory comes on top
        test.assertLess(peak_kib, 64 * 1024)


class Jobs(harness.FlowTest):
    ENV = {"STOKER_NODE_MEMORY_MB": "64", "STOKER_NODE_GRACE_S": "1", "STOKER_COURIER_RETRY_S": "1,1,1"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = receiver()
        cls.url = "http://127.0.0.1:%d" % cls.server.server_port

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.server.shutdown()
        cls.server.server_close()

    def run_code(self, name, command, **more):
        self.stoker.code(name, command)
        return self.stoker.run_task(name, **more)

    def events(self, task):
        rows = self.stoker.sql("SELECT state FROM event WHERE task_id = UNHEX('%s') ORDER BY number" % task)
        return [state for state, in rows]

    # --- how it ends ----------------------------------------------------------------------------

    def test_hello(self):
        task = self.run_code("hello", "echo hello $TASK_ID; cat $PAYLOAD_FILE; echo oops >&2", payload="the payload")
        self.assertEqual(task["state"], "complete")
        self.assertEqual(self.stoker.task_log(task["id"]).decode(),
                         "hello %s\nthe payloadoops\n" % task["id"])
        self.assertEqual(self.events(task["id"]), ["queued", "preparing", "running", "complete"])

    def test_exit_statuses_are_told_exactly(self):
        for status in (1, 2, 99, 137):
            task = self.run_code("exit%d" % status, "echo last words; exit %d" % status)
            self.assertEqual(task["state"], "killed" if status == 137 else "error")
            self.assertEqual(task["cause"], "exit")
            self.assertEqual(task["note"], "exit status %d: last words" % status)

    def test_a_program_that_is_not_there(self):
        task = self.run_code("nope", "/no/such/program")
        self.assertEqual((task["state"], task["cause"]), ("error", "not_found"))
        task = self.run_code("noexec", "/etc")
        self.assertEqual((task["state"], task["cause"]), ("error", "not_executable"))

    def test_an_image_that_is_not_there(self):
        self.stoker.code("noimage", "true", image="no/such:image")
        task = self.stoker.run_task("noimage")
        self.assertEqual((task["state"], task["cause"]), ("error", "image"))
        self.assertIn("no/such:image", task["note"])

    def test_a_signal_has_its_name(self):
        task = self.run_code("segv", "kill -SEGV $$")
        self.assertEqual((task["state"], task["cause"]), ("error", "signal"))
        self.assertIn("SIGSEGV", task["note"])
        task = self.run_code("kill9", "kill -KILL $$")
        self.assertEqual((task["state"], task["cause"]), ("killed", "signal"))
        self.assertIn("SIGKILL", task["note"])

    def test_out_of_memory_is_told_apart(self):
        task = self.run_code("hog", "exec tail /dev/zero; true")
        self.assertEqual((task["state"], task["cause"]), ("killed", "out_of_memory"))
        self.assertIn("64 MiB", task["note"])

    def test_out_of_memory_of_a_child_is_no_end(self):
        task = self.run_code("childhog", "(tail /dev/zero); echo the parent lives; exit 0")
        self.assertEqual(task["state"], "complete")
        rows = self.stoker.sql("SELECT note, oom_kills FROM attempt WHERE task_id = UNHEX('%s')" % task["id"])
        self.assertIn("killed at the memory limit", rows[0][0])
        self.assertGreater(int(rows[0][1]), 0)

    def test_a_timeout_ends_all_that_ignores_term(self):
        began = time.monotonic()
        task = self.run_code("stubborn", "trap '' TERM; (trap '' TERM; sleep 300) & while :; do sleep 1; done", timeout=2)
        self.assertEqual((task["state"], task["cause"]), ("timeout", "timeout"))
        self.assertLess(time.monotonic() - began, 10)
        name = "%s-1" % task["id"]
        harness.wait_for(lambda: not [group for top in self.stoker.cgroups() for group in os.listdir(top) if group == name],
                         10, "everything in the job to be gone")

    def test_cancel_ends_a_running_job(self):
        self.stoker.code("sleeper", "trap 'echo got TERM; exit 0' TERM; echo up; while :; do :; done")
        task = self.stoker.queue("sleeper")
        self.stoker.wait_state(task, "running")
        harness.wait_for(lambda: self.stoker.get("tasks/%s/log" % task).status == 200, 5, "a log")
        self.assertEqual(self.stoker.post("tasks/%s/cancel" % task).status, 200)
        ended = self.stoker.wait_state(task, "cancelled", seconds=8)
        self.assertEqual(ended["cause"], "cancelled")
        self.assertEqual(self.stoker.task_log(task), b"up\ngot TERM\n")

    def test_a_monitor_keeps_few_rights_while_its_job_runs(self):
        self.stoker.code("watched", "echo up; sleep 20")
        task = self.stoker.queue("watched")
        self.stoker.wait_state(task, "running")
        with open("%s/jobs/%s-1/monitor.pid" % (self.stoker.node, task)) as file:
            pid = file.read().split()[0]

        def rights():
            with open("/proc/%s/status" % pid) as status:
                found = dict(line.split(":\t") for line in status if line.startswith("Cap"))
            return int(found["CapEff"], 16) | int(found["CapPrm"], 16)

        # CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_KILL
        harness.wait_for(lambda: rights() == 1 << 0 | 1 << 1 | 1 << 5, 5, "the monitor to drop its rights")
        self.assertEqual(self.stoker.post("tasks/%s/cancel" % task).status, 200)
        self.stoker.wait_state(task, "cancelled", seconds=8)

    # --- what it sees ------------------------------------------------------------------------------

    def test_the_environment_is_the_documented_one(self):
        self.stoker.code("env", "env", env_vars={"FOO": "bar baz", "TASK_ID": "forged"}, config="c=1")
        task = self.stoker.run_task("env", timeout=77)
        env = dict(line.split("=", 1) for line in self.stoker.task_log(task["id"]).decode().splitlines())
        self.assertEqual(env["TASK_ID"], task["id"])
        self.assertEqual(env["FOO"], "bar baz")
        self.assertEqual(env["TASK_DIR"], "/task/")
        self.assertEqual(env["PAYLOAD_FILE"], "/task/task_payload.json")
        self.assertTrue(env["CONFIG_FILE"])
        self.assertEqual((env["TASK_TIMEOUT"], env["TASK_MAXRAM"], env["STOKER_ATTEMPT"]), ("77", "64m", "1"))

    # --- output ---------------------------------------------------------------------------------------

    def test_any_byte_comes_back(self):
        task = self.run_code("bytes", r"printf '\000\001\377\376x\n'; printf '\303' >&2")
        log = self.stoker.task_log(task["id"])
        self.assertEqual(log[:6], b"\x00\x01\xff\xfex\n")
        self.assertEqual(log[6:], b"\xc3")

    def test_no_output_is_an_empty_log(self):
        task = self.run_code("silent", "true")
        self.assertEqual(self.stoker.task_log(task["id"]), b"")

    def test_a_flood_keeps_head_and_tail_and_the_runner_small(self):
        self.stoker.code("flood", "yes 0123456789abcde | head -c 209715200; echo THE END")
        task = self.stoker.run_task("flood", seconds=60)
        self.assertEqual(task["state"], "complete")
        log = self.stoker.task_log(task["id"])
        head, notice, tail = re.split(rb"\n([^\n]*bytes left out[^\n]*)\n", log, maxsplit=1)
        self.assertEqual(len(head), 5 * MIB)
        self.assertEqual(len(tail), 5 * MIB)
        self.assertEqual(head, (b"0123456789abcde\n" * (5 * MIB // 16)))
        whole = (b"0123456789abcde\n" * (5 * MIB // 16 + 1)) + b"THE END\n"
        self.assertEqual(tail, whole[-5 * MIB:])
        self.assertIn(format(200 * MIB + 8 - 10 * MIB, ",").encode(), notice)
        expect_a_small_runner(self)

    def test_output_is_readable_while_it_runs_and_only_grows(self):
        self.stoker.code("slow", "i=0; while [ $i -lt 12 ]; do echo line $i; i=$((i+1)); sleep 0.1; done")
        task = self.stoker.queue("slow")
        seen = [b""]
        while self.stoker.task(task)["state"] not in harness.SETTLED:
            reply = self.stoker.get("tasks/%s/log" % task)
            if reply.status == 200:
                self.assertTrue(reply.body.startswith(seen[-1]))
                if reply.body != seen[-1]:
                    seen.append(reply.body)
            time.sleep(0.05)
        self.assertGreater(len(seen), 4)
        self.assertEqual(self.stoker.task_log(task), b"".join(b"line %d\n" % i for i in range(12)))

    # --- many, and callbacks -----------------------------------------------------------------------------

    def test_a_hundred_jobs_all_end_once_with_their_log(self):
        self.stoker.code("many", "echo $TASK_ID")
        reply = self.stoker.post("tasks", {"tasks": [{"code_name": "many"}] * 100})
        ids = [task["id"] for task in reply.json["tasks"]]
        for task in ids:
            self.stoker.wait_state(task, "complete", seconds=60)
            self.assertEqual(self.stoker.task_log(task).decode().strip(), task)
        rows = self.stoker.sql("SELECT COUNT(*), MAX(number) FROM attempt a JOIN task t ON t.id = a.task_id"
                               " JOIN code c ON c.id = t.code_id WHERE c.name = 'many'")
        self.assertEqual(rows, [("100", "1")])

    def sent_to(self, path):
        with self.server.lock:
            return [(headers, body) for at, headers, body in self.server.got if at == path]

    def test_a_callback_is_delivered_and_tried_again(self):
        self.stoker.code("called", "echo x", callback=self.url + "/flaky")
        task = self.stoker.run_task("called")
        harness.wait_for(lambda: len(self.sent_to("/flaky")) >= 2, 10, "the second try")
        (first, body), (second, again) = self.sent_to("/flaky")[:2]
        self.assertEqual(body["type"], "task.complete")
        self.assertEqual(body["task"]["id"], task["id"])
        self.assertRegex(body["time"], r"^\d{4}-\d\d-\d\dT[\d:.]+Z$")
        self.assertEqual(first["webhook-id"], second["webhook-id"])
        self.assertEqual(body["task"]["id"], again["task"]["id"])
        self.assertRegex(first["User-Agent"], "^Stoker/")
        harness.wait_for(lambda: self.stoker.sql("SELECT state, tries FROM outbox WHERE url LIKE '%/flaky'") ==
                         [("delivered", "2")], 5, "the delivery to be noted")

    def test_a_callback_that_is_gone_is_given_up(self):
        self.stoker.code("gone", "exit 3", callback=self.url + "/gone")
        self.stoker.run_task("gone")
        harness.wait_for(lambda: self.stoker.sql("SELECT state, last_status FROM outbox WHERE url LIKE '%/gone'") ==
                         [("exhausted", "410")], 10, "the callback to be given up")
        self.assertEqual(len(self.sent_to("/gone")), 1)

    def test_nothing_is_left_of_ended_jobs(self):

        task = self.run_code("tidy", "echo tidy")
        self.assertEqual(task["state"], "complete")
        harness.wait_for(lambda: not [name for name in os.listdir(self.stoker.node + "/jobs")
                                      if name.startswith(task["id"])], 10, "the job's folder to be gone")


class Payloads(harness.FlowTest):
    ENV = {"STOKER_NODE_SLOTS": "16", "STOKER_LIMITS_PAYLOAD": str(14 << 20), "STOKER_NODE_MEMORY_MB": "64"}

    def queue_all(self, code, sizes):
        """Due at the same moment: one claim takes them all."""
        ids = []
        for at in range(0, len(sizes), 2):
            tasks = [{"code_name": code, "payload": "x" * size, "delay": 4} for size in sizes[at:at + 2]]
            reply = self.stoker.post("tasks", {"tasks": tasks})
            self.assertEqual(reply.status, 200)
            ids += [task["id"] for task in reply.json["tasks"]]
        return ids

    def expect_sizes(self, ids, sizes):
        for task, size in zip(ids, sizes):
            self.assertEqual(self.stoker.wait_state(task, *harness.SETTLED, seconds=60)["state"], "complete")
            self.assertEqual(int(self.stoker.task_log(task)), size)

    def test_large_payloads_are_exact_and_the_runner_stays_small(self):
        self.stoker.code("size", "wc -c <$PAYLOAD_FILE")
        sizes = [0, 1, 4096, 4097, MIB, MIB + 1] + [3 * MIB] * 16 + [14 * MIB] * 2
        self.expect_sizes(self.queue_all("size", sizes), sizes)
        expect_a_small_runner(self)

    def test_failed_tasks_with_large_payloads_are_retried_with_them(self):
        self.stoker.code("fails", "wc -c <$PAYLOAD_FILE; exit 1", retries=1, retries_delay=0)
        sizes = [3 * MIB] * 8
        ids = self.queue_all("fails", sizes)
        for task, size in zip(ids, sizes):
            first = self.stoker.wait_state(task, *harness.SETTLED, seconds=60)
            second = self.stoker.wait_state(first["retry_task_id"], *harness.SETTLED, seconds=60)
            self.assertEqual(int(self.stoker.task_log(second["id"])), size)
        expect_a_small_runner(self)


if __name__ == "__main__":
    harness.main()
