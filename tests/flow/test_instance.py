"""The private instance itself: make run, up, down, status, and what may get in their way."""
import os
import re
import shlex
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

    def free_port(self, first=20000, last=30000):
        for port in range(first, last):
            with socket.socket() as trial:
                try:
                    trial.bind(("127.0.0.1", port))
                    return port
                except OSError:
                    continue
        raise AssertionError("no port is free")

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
        with open(os.path.join(stoker.var, "log", "instance.log"), "a") as log:
            log.write("first words\n")
        status = stoker.script_command("status")
        self.assertEqual(status.returncode, 0, status.stdout)
        for role in ("keeper", "mariadb", "api", "tail", "runner", "scheduler", "courier", "nginx"):
            self.assertRegex(status.stdout, r"(?m)^%s +pid \d+$" % role)
        for again in ("run", "up"):
            second = stoker.script_command(again)
            self.assertEqual(second.returncode, 1)
            self.assertEqual(len(second.stdout.splitlines()), 1, second.stdout)
            self.assertIn("already runs", second.stdout)
        # and the log of the one that runs is still its log
        self.assertIn("first words\n", stoker.log("instance"))
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

    def test_after_kill_9_of_the_keeper_its_own_port_is_free_for_the_next_and_its_jobs_go_on(self):
        stoker = self.instance(port=self.free_port()).start()
        stoker.code("long", "sh -c 'sleep 6; echo to the end'")
        task = stoker.queue("long")
        stoker.wait_state(task, "running")
        stoker.kill("keeper")
        status = stoker.script_command("status")
        self.assertEqual(status.returncode, 1)
        self.assertRegex(status.stdout, r"(?m)^  nginx \d+$")
        self.assertRegex(status.stdout, r"(?m)^  stoker-monitor \d+$")
        self.assertIn("make down", status.stdout)
        stoker.start()
        ended = stoker.wait_state(task, *harness.SETTLED)
        self.assertEqual((ended["state"], ended["attempt"]), ("complete", 1))
        self.assertEqual(stoker.task_log(task), b"to the end\n")

    def test_down_cleans_up_what_a_killed_keeper_left(self):
        stoker = self.instance().start()
        stoker.kill("keeper")
        stoker.stop()
        self.assertEqual(stoker.script_command("status").returncode, 3)
        self.assert_gone(stoker)

    def test_a_role_that_dies_is_started_again(self):
        with self.instance() as stoker:
            for role in ("api", "tail", "nginx", "scheduler", "courier", "runner", "mariadb"):
                stoker.wait_restarted(role, stoker.kill(role))
                self.assertIn("stoker: %s was ended by signal 9, it is started again\n" % role,
                              stoker.log("instance"))
            harness.wait_for(lambda: stoker.script_command("status").returncode == 0, 20, "ready again")
            self.assertNotIn("Killed", stoker.log("instance"))  # bash's own words

    def test_who_keeps_dying_is_started_ever_later_but_a_scheduler_after_a_second(self):
        said = subprocess.run(["bash", "-c", """
            complain() { :; }
            . "$1"
            unset SECONDS # the clock stands still
            SECONDS=100 run=/nonexistent
            for role in courier runner scheduler; do
                for ((i = 0; i < 7; i++)); do
                    started_at[$role]=$SECONDS
                    note_death "$role" 137
                    printf '%s ' $((due_at[$role] - SECONDS))
                done
                SECONDS=200 # it ran for a while
                note_death "$role" 137
                echo "$((due_at[$role] - SECONDS))"
                SECONDS=100
            done""", "-", os.path.join(harness.TOP, "conf", "instance", "keeper.sh")], text=True, capture_output=True)
        self.assertEqual(said.stdout, "0 1 2 4 8 10 10 0\n0 1 2 2 2 2 2 0\n0 1 1 1 1 1 1 0\n", said.stderr)

    def test_systemd_never_gives_a_program_up(self):
        """By default it does after five deaths in ten seconds."""
        folder = os.path.join(harness.TOP, "conf", "systemd")
        for name in os.listdir(folder):
            with open(os.path.join(folder, name)) as unit:
                text = unit.read()
            self.assertLess(text.index("[Unit]"), text.index("\nStartLimitIntervalSec=0\n"), name)
            self.assertLess(text.index("\nStartLimitIntervalSec=0\n"), text.index("[Service]"), name)
            self.assertIn("\nRestart=always\nRestartSec=1\n", text, name)

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

    def test_what_is_no_port_is_one_sentence(self):
        for port in ("abc", "-1", "80 80", "99999", "0x50"):
            stoker = self.instance(port=port)
            for command in ("run", "up"):
                done = stoker.script_command(command)
                self.assertEqual(done.returncode, 1, done.stdout)
                self.assertEqual(len(done.stdout.splitlines()), 1, done.stdout)
                self.assertIn('PORT is "%s"' % port, done.stdout)
            self.assert_gone(stoker)

    def test_a_port_below_1024_works(self):
        with self.instance(port=self.free_port(600, 1024)) as stoker:
            self.assertEqual(stoker.get("/readyz", token=False).status, 200)

    def test_down_during_a_start_stops_it(self):
        stoker = self.instance()
        os.makedirs(stoker.run + "/pid")
        other = subprocess.Popen(["sleep", "1000"])  # whose pid a keeper of old has had
        self.addCleanup(other.wait)
        self.addCleanup(other.kill)
        with open(stoker.run + "/pid/keeper", "w") as pid:
            pid.write("%d 1\n" % other.pid)
        keeper = self.foreground(stoker)
        lock = os.path.join(stoker.var, "lock")
        harness.wait_for(lambda: os.path.exists(lock) and subprocess.call(["flock", "-n", lock, "true"]), 10, "it to start",
                         every=0.01)
        done = stoker.script_command("down", timeout=60)
        self.assertEqual((done.returncode, done.stdout), (0, "stopped\n"))
        self.assertIn("stopped while it was starting", keeper.communicate(timeout=10)[0])
        self.assertIsNone(other.poll())
        self.assert_gone(stoker)

    def test_the_token_and_the_passwords_stay_where_they_belong(self):
        stoker = self.instance(demo="yes")
        stoker.env["IRON_TOKEN"] = "of-another-server"  # as after sourcing another stoker.env
        os.makedirs(os.path.join(stoker.var, "log"))
        with open(os.path.join(stoker.var, "log", "instance.log"), "w") as log:
            log.write("what an earlier version left for all to read\n")
        stoker.start()
        stoker.wait_restarted("courier", stoker.kill("courier"))
        secrets = {stoker.token.encode(), b"of-another-server"}
        for pid, name in stoker.processes().items():
            for kind in ("environ", "cmdline"):
                try:
                    with open("/proc/%d/%s" % (pid, kind), "rb") as file:
                        text = file.read()
                except OSError:
                    continue
                self.assertFalse([secret for secret in secrets if secret in text], (name, kind))
        with open(os.path.join(stoker.var, "conf", "admin.password"), "rb") as file:
            secrets.add(file.read().strip())
        allowed = {"stoker.env", "conf/admin.password"}
        for folder, _, names in os.walk(stoker.var):
            for name in names:
                path = os.path.join(folder, name)
                short = os.path.relpath(path, stoker.var)
                if short.startswith(("mariadb/", "node/")) or not os.path.isfile(path):
                    continue
                with open(path, "rb") as file:
                    text = file.read()
                if [secret for secret in secrets if secret in text]:
                    self.assertIn(short, allowed)
        for short in allowed | {"log/instance.log", "conf/admin.conf"}:
            found = os.stat(os.path.join(stoker.var, short))
            self.assertEqual((found.st_mode & 0o777, found.st_uid), (0o600, 0), short)
        self.assertIn("token: " + stoker.token, stoker.output)

    def test_what_it_prints_can_be_typed(self):
        top = harness.scratch("stoker test with a blank-")
        self.addCleanup(shutil.rmtree, top)
        stoker = self.instance(demo="yes", var=os.path.join(top, "var")).start()
        command = re.search("(?m)^Command line: (.*)$", stoker.output).group(1)
        done = subprocess.run(["bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("hello from", done.stdout)
        image = re.search("(?m)^Your own image: (.*)$", stoker.output).group(1)
        self.assertNotIn(" -> queued", stoker.output)
        tar = os.path.join(stoker.var, "demo", "busybox.tar")
        done = subprocess.run(["bash", "-c", image.replace("NAME FILE.tar", "mine " + shlex.quote(tar))],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(done.returncode, 0, done.stdout)
        stoker.code("own", "echo mine", image="mine")
        self.assertEqual(stoker.run_task("own")["state"], "complete")
        # and the next start says of a paused code that it is
        hello = [code for code in stoker.get("codes").json["codes"] if code["name"] == "hello"][0]["id"]
        self.assertEqual(stoker.post("codes/%s/pause_task_queue" % hello).status, 200)
        stoker.stop()
        self.assertIn("the code hello is paused", stoker.start().output)

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
