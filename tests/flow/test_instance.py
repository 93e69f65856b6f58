"""The private instance itself: make run, up, down, status, and what may get in their way."""
import os
import shutil
import signal
import socket
import subprocess
import time
import unittest

import harness


class Instances(unittest.TestCase):
    def instance(self, **more):
        instance = harness.Instance(**more)
        self.addCleanup(instance.remove)
        return instance

    def foreground(self, instance):
        """make run, in a process group of its own, as a terminal would."""
        keeper = subprocess.Popen([instance.script, "run"], env=instance.env, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  start_new_session=True)
        self.addCleanup(keeper.stdout.close)
        return keeper

    def assert_gone(self, instance):
        self.assertEqual(instance.processes(), {})
        self.assertEqual(instance.cgroups(), [])
        self.assertFalse(os.path.exists(instance.run))
        with open("/proc/self/mountinfo") as mounts:
            self.assertNotIn(instance.hash, mounts.read())

    def test_run_shows_a_task_and_its_log_and_ctrl_c_leaves_nothing(self):
        stoker = self.instance(demo="yes")
        began = time.monotonic()
        keeper = self.foreground(stoker)
        lines = []
        for line in keeper.stdout:
            lines.append(line)
            if line.startswith("Dashboard: "):
                break
        text = "".join(lines)
        busy = os.getloadavg()[0] > 1.5 * os.cpu_count()  # with other tests beside it
        self.assertLess(time.monotonic() - began, 30 if busy else 10, "start to first log")
        self.assertIn("hello from", text)
        self.assertIn("complete", text)
        self.assertRegex(lines[-1], r"http://127\.0\.0\.1:\d+/ui +token: \S+")
        os.killpg(keeper.pid, signal.SIGINT)
        keeper.communicate(timeout=30)
        self.assertEqual(keeper.returncode, 0)
        self.assert_gone(stoker)
        self.assertTrue(os.path.exists(os.path.join(stoker.var, "mariadb")))
        self.assertEqual(os.stat(os.path.join(stoker.var, "stoker.env")).st_mode & 0o777, 0o600)

    def test_up_status_down_and_a_second_start_is_refused(self):
        stoker = self.instance()
        self.assertEqual(stoker.script_command("status").returncode, 3)
        stoker.start()
        status = stoker.script_command("status")
        self.assertEqual(status.returncode, 0, status.stdout)
        for role in ("keeper", "mariadb", "api", "runner", "scheduler", "courier", "nginx"):
            self.assertRegex(status.stdout, r"(?m)^%s +pid \d+$" % role)
        for again in ("run", "up"):
            second = stoker.script_command(again)
            self.assertEqual(second.returncode, 1)
            self.assertEqual(len(second.stdout.splitlines()), 1, second.stdout)
            self.assertIn("already runs", second.stdout)
        self.assertEqual(stoker.get("/readyz", token=False).status, 200)
        stoker.stop()
        self.assert_gone(stoker)
        self.assertEqual(stoker.script_command("down").returncode, 0)

    def test_only_the_launcher_and_the_keeper_are_root(self):
        with self.instance() as stoker:
            for pid, name in stoker.processes().items():
                with open("/proc/%d/status" % pid) as status:
                    uids = [line.split()[1:] for line in status if line.startswith("Uid:")][0]
                if name not in ("bash", "sleep", "stoker-launcher"):
                    self.assertEqual(set(uids), {"63210"}, name)

    def test_after_kill_9_of_everything_it_goes_on_with_its_data(self):
        stoker = self.instance().start()
        stoker.code("one", "true")
        before = stoker.run_task("one")["id"]
        stoker.code("long", "sleep 60")
        sleeper = stoker.queue("long")
        stoker.wait_state(sleeper, "running")
        stoker.kill_everything()
        stoker.start()
        self.assertEqual(stoker.task(before)["state"], "complete")
        stoker.run_task("one")

        # nobody was left who could tell how it ended: that is what the task says, unless its node's
        # lease was over before, then it has its next attempt
        def settled():
            task = stoker.task(sleeper)
            return task["attempt"] == 2 or (task["state"], task["cause"]) == ("killed", "monitor_lost")

        harness.wait_for(settled, 30, "the lost task to be settled or run again")

    def test_after_kill_9_of_the_keeper_alone_the_next_start_takes_over(self):
        stoker = self.instance().start()
        old = {pid for pid, name in stoker.processes().items() if name not in ("bash", "sleep")}
        stoker.kill("keeper")
        stoker.start()
        self.assertEqual(old & set(stoker.processes()), set())
        stoker.code("one", "true")
        self.assertEqual(stoker.run_task("one")["state"], "complete")

    def test_down_cleans_up_what_a_killed_keeper_left(self):
        stoker = self.instance().start()
        stoker.kill("keeper")
        stoker.stop()
        self.assert_gone(stoker)

    def test_a_role_that_dies_is_started_again(self):
        with self.instance() as stoker:
            for role in ("api", "nginx", "scheduler", "courier", "runner", "mariadb"):
                stoker.wait_restarted(role, stoker.kill(role))
            harness.wait_for(lambda: stoker.script_command("status").returncode == 0, 20, "ready again")

    def test_a_taken_port_is_one_sentence(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            stoker = self.instance(port=taken.getsockname()[1])
            done = stoker.script_command("up")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(len(done.stdout.splitlines()), 1, done.stdout)
        self.assertIn("port %s is taken" % stoker.env["PORT"], done.stdout)
        self.assert_gone(stoker)

    def test_a_full_disk_is_one_sentence(self):
        stoker = self.instance()
        done = subprocess.run(["unshare", "-m", "sh", "-c",
                               'mount -t tmpfs -o size=20m tmpfs "$VAR" && exec "$0" run', stoker.script],
                              env=stoker.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(len(done.stdout.splitlines()), 1, done.stdout)
        self.assertIn("MB are free", done.stdout)

    def test_a_program_that_dies_at_its_start_is_one_sentence(self):
        stoker = self.instance(env={"STOKER_API_SOCKET": "/nowhere/at/all.sock"})
        done = stoker.script_command("up")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(len(done.stdout.splitlines()), 1, done.stdout)
        self.assertRegex(done.stdout, "api ended at its start with status [0-9]+: .*/nowhere")
        self.assert_gone(stoker)

    def test_without_root_it_says_so(self):
        stoker = self.instance()
        done = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", "bash", "-c", 'exec "$0" run',
                               stoker.script], env=stoker.env, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        if "ermission denied" in done.stdout:
            self.skipTest("this clone is closed to other users")
        self.assertEqual(done.returncode, 1)
        self.assertIn("needs root", done.stdout)

    def test_a_clone_in_a_closed_folder_and_a_very_long_path_works(self):
        closed = harness.scratch()
        self.addCleanup(shutil.rmtree, closed)
        clone = os.path.join(closed, *["a long name with spaces " + "x" * 180] * 4)
        os.makedirs(clone)
        for part in ("conf", "sql", "www"):
            shutil.copytree(os.path.join(harness.TOP, part), os.path.join(clone, part))
        build = os.path.join(clone, "build")
        shutil.copytree(os.path.join(harness.BUILD, "bin"), os.path.join(build, "bin"))
        for folder, _, _ in os.walk(closed):
            os.chmod(folder, 0o700)
        stoker = self.instance(var=os.path.join(clone, "var"), build=build,
                               script=os.path.join(clone, "conf", "instance.sh"))
        stoker.start()
        stoker.code("one", "echo it runs")
        self.assertEqual(stoker.task_log(stoker.run_task("one")["id"]), b"it runs\n")
        stoker.stop()
        self.assert_gone(stoker)

    def test_an_instance_ends_with_the_test_that_started_it(self):
        test = subprocess.Popen(["sleep", "1000"], stdout=subprocess.DEVNULL)
        stoker = self.instance(env={"STOKER_THROWAWAY": str(test.pid)}).start()
        test.kill()
        test.wait()
        harness.wait_for(lambda: not os.path.exists(stoker.var), 30, "the instance to end by itself")
        self.assert_gone(stoker)

    def test_down_gives_jobs_their_grace_and_they_get_their_next_attempt(self):
        stoker = self.instance().start()
        stoker.code("polite", "sh -c 'trap \"echo asked to stop; exit 0\" TERM; echo here; sleep 60 & wait'")
        task = stoker.queue("polite")
        stoker.wait_state(task, "running")
        harness.wait_for(lambda: b"here" in stoker.task_log(task), 10, "its first line")
        stoker.stop()
        self.assert_gone(stoker)
        stoker.start()
        harness.wait_for(lambda: stoker.task(task)["attempt"] >= 2, 20, "the next attempt")
        self.assertIn(("node_stopped",), stoker.sql("SELECT cause FROM event"))


if __name__ == "__main__":
    harness.main()
