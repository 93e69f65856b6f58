#!/usr/bin/env python3
"""What may break of a node, breaks here (the database: test_outages.py). No accepted task is lost, none runs twice at
once, no byte of output is lost or doubled, and what ran goes on."""
import os
import shutil
import signal
import subprocess
import threading
import time
import unittest

import harness

# one line every 20 ms, numbered: a missing or doubled one shows
COUNTING = "i=0; while [ $i -lt %d ]; do echo $i; i=$((i+1)); sleep 0.02; done"


def numbers(n):
    return b"".join(b"%d\n" % i for i in range(n))


class Counting(harness.FlowTest):
    """Jobs that print numbers, and what must have become of them."""

    ENV = {"STOKER_NODE_GRACE_S": "1"}

    def setUp(self):
        harness.wait_for(lambda: self.stoker.pid("runner") and self.stoker.get("/readyz", token=False).status == 200,
                         30, "a whole instance")

    def start_counting(self, n, jobs=1, name=None):
        name = name or "count%d" % n
        self.stoker.code(name, COUNTING % n)
        ids = [self.stoker.queue(name) for _ in range(jobs)]
        for task in ids:
            self.stoker.wait_state(task, "running", seconds=20)
        return ids

    def expect_counted(self, ids, n, seconds=40):
        for task in ids:
            ended = self.stoker.wait_state(task, *harness.SETTLED, seconds=seconds)
            self.assertEqual((ended["state"], ended.get("cause")), ("complete", "exit"))
            rows = self.stoker.sql("SELECT number, cause, note FROM attempt WHERE task_id = UNHEX('%s')" % task)
            self.assertEqual(len(rows), 1, rows)
            self.assertEqual(self.stoker.task_log(task), numbers(n))


class Faults(Counting):
    # --- the runner ---------------------------------------------------------------------------------

    def test_kill_9_of_the_runner_loses_no_byte(self):
        ids = self.start_counting(250, jobs=4)
        for _ in range(2):
            old = self.stoker.kill("runner")
            self.stoker.wait_restarted("runner", old)
            time.sleep(1)
        self.expect_counted(ids, 250)

    def test_a_job_that_ends_while_no_runner_lives_is_settled_by_the_next(self):
        self.stoker.code("brief", "sleep 1; echo bye; exit 5")
        task = self.stoker.queue("brief")
        self.stoker.wait_state(task, "running")
        os.kill(self.stoker.pid("keeper"), signal.SIGSTOP)  # nobody starts it again for now
        try:
            self.stoker.kill("runner")
            time.sleep(2)
        finally:
            os.kill(self.stoker.pid("keeper"), signal.SIGCONT)
        ended = self.stoker.wait_state(task, *harness.SETTLED, seconds=20)
        self.assertEqual((ended["state"], ended["note"]), ("error", "exit status 5: bye"))
        self.assertEqual(self.stoker.task_log(task), b"bye\n")

    def test_an_end_during_an_outage_keeps_its_time(self):
        self.stoker.code("short", "sleep 2")
        task = self.stoker.queue("short")
        self.stoker.wait_state(task, "running")
        database = self.stoker.kill("mariadb", signal.SIGSTOP)
        try:
            time.sleep(6)
        finally:
            os.kill(database, signal.SIGCONT)
        self.stoker.wait_state(task, "complete")
        rows = self.stoker.sql("SELECT TIMESTAMPDIFF(MICROSECOND, t.started_at, t.ended_at),"
                               " TIMESTAMPDIFF(MICROSECOND, a.started_at, a.ended_at) FROM task t"
                               " JOIN attempt a ON a.task_id = t.id WHERE t.id = UNHEX('%s')" % task)
        for ran_us in rows[0]:
            self.assertGreater(int(ran_us), 1900000)
            self.assertLess(int(ran_us), 4000000)

    def test_term_hands_running_jobs_over(self):
        ids = self.start_counting(150, jobs=2, name="handed")
        old = self.stoker.kill("runner", signal.SIGTERM)
        self.stoker.wait_restarted("runner", old)
        self.expect_counted(ids, 150)
        self.assertIn("handing_over", self.stoker.log("runner"))
        self.assertIn("session_resumed", self.stoker.log("runner"))

    def test_a_killed_monitor_is_told_as_its_cause(self):
        self.stoker.code("orphan", "echo up; sleep 60")
        task = self.stoker.queue("orphan")
        self.stoker.wait_state(task, "running")
        harness.wait_for(lambda: self.stoker.task_log(task) == b"up\n", 20, "the job to speak")
        with open("%s/jobs/%s-1/monitor.pid" % (self.stoker.node, task)) as file:
            os.kill(int(file.read().split()[0]), signal.SIGKILL)
        ended = self.stoker.wait_state(task, *harness.SETTLED, seconds=20)
        self.assertEqual((ended["state"], ended["cause"]), ("killed", "monitor_lost"))
        self.assertEqual(self.stoker.task_log(task), b"up\n")

    def test_a_node_that_cannot_renew_ends_its_jobs_before_others_may_have_them(self):
        self.stoker.code("fenced", "date +%s.%N; [ $STOKER_ATTEMPT -gt 1 ] || while :; do sleep 0.1; done")
        task = self.stoker.queue("fenced")
        self.stoker.wait_state(task, "running")
        began = time.monotonic()
        # the server lives and greets, but nobody gets at the row of this node
        lock = threading.Thread(target=self.stoker.sql, args=(
            "BEGIN; SELECT * FROM node WHERE state <> 'gone' FOR UPDATE; SELECT SLEEP(15); COMMIT",))
        lock.start()
        folder = "%s/jobs/%s-1" % (self.stoker.node, task)
        harness.wait_for(lambda: os.path.exists(folder + "/exit") or not os.path.exists(folder), 11, "the fence")
        self.assertGreater(time.monotonic() - began, 4)
        lock.join()
        ended = self.stoker.wait_state(task, *harness.SETTLED, seconds=20)
        self.assertEqual((ended["state"], ended["attempt"]), ("complete", 2))
        rows = self.stoker.sql("SELECT cause FROM attempt WHERE task_id = UNHEX('%s') ORDER BY number" % task)
        self.assertEqual(rows, [("node_lost",), ("exit",)])

    def test_a_killed_launcher_costs_a_restart_of_the_runner_and_no_job(self):
        ids = self.start_counting(150, jobs=2, name="launcherless")
        old = self.stoker.pid("runner")
        for pid, name in self.stoker.processes().items():
            if name == "stoker-launcher":
                os.kill(pid, signal.SIGKILL)
        self.stoker.wait_restarted("runner", old)
        self.expect_counted(ids, 150)

    # --- the node ----------------------------------------------------------------------------------------

    def test_a_dead_node_s_tasks_get_their_next_attempt(self):
        self.stoker.code("again", "echo attempt $STOKER_ATTEMPT; [ $STOKER_ATTEMPT -gt 1 ] || sleep 60")
        task = self.stoker.queue("again")
        self.stoker.wait_state(task, "running")
        keeper = self.stoker.pid("keeper")
        os.kill(keeper, signal.SIGSTOP)
        try:
            self.stoker.kill("runner")
            for pid, name in self.stoker.processes().items():
                if name == "stoker-monitor":
                    self.stoker._kill(pid)
            self.stoker.kill_containers()
            began = time.monotonic()
            harness.wait_for(lambda: self.stoker.task(task)["state"] == "queued", 16, "the take-back")
        finally:
            os.kill(keeper, signal.SIGCONT)
        ended = self.stoker.wait_state(task, *harness.SETTLED, seconds=20)
        self.assertLess(time.monotonic() - began, 25)
        self.assertEqual(ended["state"], "complete")
        self.assertEqual(ended["attempt"], 2)
        rows = self.stoker.sql("SELECT cause FROM attempt WHERE task_id = UNHEX('%s') ORDER BY number" % task)
        self.assertEqual(rows, [("node_lost",), ("exit",)])
        self.assertIn("attempt 2", self.stoker.task_log(task).decode())


class Host(unittest.TestCase):
    """A runner on a host where nothing can run says so in one sentence, and ends."""

    def play_runner(self, **env):
        folder = harness.scratch()
        self.addCleanup(shutil.rmtree, folder)
        with open(folder + "/conf", "w") as conf:
            conf.write("[node]\ndir = %s/node\ncgroup = %s\n[runner]\nuser = 65534\n" % (folder, os.path.basename(folder)))
        hide = 'for r in crun runc; do p=$(readlink -f "$(command -v $r)") && mount --bind /bin/false "$p"; done; exec "$@"'
        done = subprocess.run(["unshare", "-m", "sh", "-c", hide, "sh", harness.BUILD + "/bin/stoker-worker", "runner",
                               "-c", folder + "/conf"], env=dict(os.environ, **env), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60)
        self.assertEqual(done.returncode, 1)
        return [line for line in done.stdout.splitlines() if " failed " in line]

    def test_runtimes_that_do_not_work_are_named_once_each(self):
        said, = self.play_runner()
        why = "a test container could not be started: the runtime ended with status 1 and no word"
        self.assertTrue(said.endswith('why="no container can run on this host: crun: %s; runc: %s"' % (why, why)), said)

    def test_an_unknown_runtime_is_refused(self):
        said, = self.play_runner(STOKER_NODE_RUNTIME="bogus")
        self.assertIn('node.runtime must be auto, crun or runc, not "bogus"', said)


class FullDisk(harness.FlowTest):
    """The node's folder is a small disk of its own, mounted before the instance starts."""

    @classmethod
    def setUpClass(cls):
        cls.disk = harness.scratch()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", cls.disk], check=True)
        cls.ENV = {"STOKER_NODE_DIR": cls.disk, "STOKER_NODE_SLOTS": "4"}
        try:
            super().setUpClass()
        except BaseException:
            cls.unmount()
            raise

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.unmount()

    @classmethod
    def unmount(cls):
        subprocess.run(["umount", "-l", cls.disk], check=True)
        os.rmdir(cls.disk)

    def states(self):
        return dict(self.stoker.sql("SELECT state, COUNT(*) FROM task GROUP BY 1"))

    def test_a_full_disk_gives_tasks_back_and_claims_no_more_until_there_is_room(self):
        self.stoker.code("small", "echo $STOKER_ATTEMPT")
        self.assertEqual(self.stoker.run_task("small")["state"], "complete")
        filler = os.path.join(self.disk, "filler")
        with open(filler, "wb", buffering=0) as file, self.assertRaises(OSError):
            while True:
                file.write(b"x" * 4096)
        ids = [self.stoker.queue("small") for _ in range(12)]
        harness.wait_for(lambda: "node_fault" in self.stoker.log("runner"), 10, "the fault to be told")
        time.sleep(4)
        self.assertEqual(self.states(), {"complete": "1", "queued": "12"})
        rows = self.stoker.sql("SELECT cause, COUNT(*) FROM attempt WHERE cause <> 'exit' GROUP BY 1")
        self.assertEqual([cause for cause, _ in rows], ["node_lost"])
        self.assertLessEqual(int(rows[0][1]), 4)  # a claim for each slot, and then no more
        rows = self.stoker.sql("SELECT DISTINCT note FROM attempt WHERE cause = 'node_lost'")
        self.assertRegex(rows[0][0], "^its node could not start it: .*No space left on device$")
        self.assertEqual(self.stoker.log("runner").count(" node_fault "), 1)
        os.remove(filler)
        for task in ids:
            self.assertEqual(self.stoker.wait_state(task, *harness.SETTLED, seconds=30)["state"], "complete")
        self.assertIn("node_fault_over", self.stoker.log("runner"))


class Stopping(harness.FlowTest):
    ENV = {"STOKER_NODE_GRACE_S": "1", "STOKER_NODE_STOP_GRACE_S": "3"}

    def test_down_gives_jobs_back_and_the_next_start_runs_them(self):
        self.stoker.code("stopped", "trap 'echo TERM; exit 0' TERM; echo attempt $STOKER_ATTEMPT;"
                         " [ $STOKER_ATTEMPT -gt 1 ] || while :; do :; done")
        task = self.stoker.queue("stopped")
        self.stoker.wait_state(task, "running")
        self.assertEqual(self.stoker.script_command("down").returncode, 0)
        self.assertEqual(os.listdir(self.stoker.node + "/jobs"), [])
        up = self.stoker.script_command("up")
        self.assertEqual(up.returncode, 0, up.stdout)
        self.stoker.read_env()
        ended = self.stoker.wait_state(task, *harness.SETTLED, seconds=20)
        self.assertEqual((ended["state"], ended["attempt"]), ("complete", 2))
        rows = self.stoker.sql("SELECT cause FROM attempt WHERE task_id = UNHEX('%s') ORDER BY number" % task)
        self.assertEqual(rows, [("node_stopped",), ("exit",)])

    def test_down_waits_no_longer_for_a_job_than_the_node_may_and_gives_it_back(self):
        """Its own grace would be a minute."""
        self.stoker.code("stubborn", "trap '' TERM; echo up; [ $STOKER_ATTEMPT -gt 1 ] || while :; do sleep 1; done", grace=60)
        task = self.stoker.queue("stubborn")
        self.stoker.wait_state(task, "running")
        harness.wait_for(lambda: self.stoker.get("tasks/%s/log" % task).status == 200, 5, "a log")
        began = time.monotonic()
        self.assertEqual(self.stoker.script_command("down").returncode, 0)
        self.assertLess(time.monotonic() - began, 15)
        up = self.stoker.script_command("up")
        self.assertEqual(up.returncode, 0, up.stdout)
        self.stoker.read_env()
        self.assertEqual(self.stoker.wait_state(task, *harness.SETTLED, seconds=20)["state"], "complete")
        rows = self.stoker.sql("SELECT cause FROM attempt WHERE task_id = UNHEX('%s') ORDER BY number" % task)
        self.assertEqual(rows, [("node_stopped",), ("exit",)])

    def test_kill_9_of_everything_and_the_next_start_goes_on(self):
        self.stoker.code("powercut", "echo attempt $STOKER_ATTEMPT; [ $STOKER_ATTEMPT -gt 1 ] || sleep 60")
        task = self.stoker.queue("powercut")
        self.stoker.wait_state(task, "running")
        self.stoker.kill_everything()
        up = self.stoker.script_command("up")
        self.assertEqual(up.returncode, 0, up.stdout)
        self.stoker.read_env()
        ended = self.stoker.wait_state(task, *harness.SETTLED, seconds=40)
        self.assertEqual((ended["state"], ended["attempt"]), ("complete", 2), ended)


if __name__ == "__main__":
    harness.main()
