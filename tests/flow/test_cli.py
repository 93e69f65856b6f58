"""The command line against a whole instance: words in, verdicts out."""
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import time
import zipfile

import harness

STOKER = os.path.join(harness.BUILD, "bin", "stoker")


class CommandLine(harness.FlowTest):
    # else a flood that this machine is slow at shows its followers what is newest, which the log at its end leaves out
    ENV = {"STOKER_LIMITS_LOG_LIVE": "0"}

    def cli(self, *arguments, status=0, env=None, input=None, cwd=None):
        """Runs stoker with the project's token; its standard output, when it ends as expected."""
        full = dict(os.environ, **self.stoker.iron)
        for name, value in (env or {}).items():
            full.pop(name, None) if value is None else full.update({name: value})
        done = subprocess.run([STOKER, *arguments], env=full, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=60, cwd=cwd, **({"input": input} if input is not None
                                                      else {"stdin": subprocess.DEVNULL}))
        self.assertEqual(done.returncode, status, done)
        self.stderr = done.stderr.decode()
        return done.stdout.decode("utf-8", "replace")

    def background(self, *arguments):
        return self.stoker.background(*arguments)

    def register(self, name, command, *more):
        self.cli("code", "register", name, "--image", "busybox", "--command", command, *more)

    def test_a_zip_package_is_uploaded_and_run(self):
        path = os.path.join(harness.scratch(), "thumbs.zip")
        with zipfile.ZipFile(path, "w") as package:
            package.writestr("run.sh", "echo packed; cat data/file\n")
            package.writestr("data/file", "with data\n")
        self.assertIn("revision 1", self.cli("code", "register", "packed", "--zip", path, "--runtime", "sh", "--file", "run.sh") + self.stderr)
        self.assertEqual(self.cli("queue", "packed", "--wait"), "packed\nwith data\n")
        code = json.loads(self.cli("code", "register", "packed", "--zip", path, "--json"))
        self.assertEqual((code["rev"], code["package_name"], code["code_size"]), (2, "thumbs.zip", os.path.getsize(path)))
        self.cli("code", "register", "packed", "--zip", path, "--runtime", "cobol", status=1)
        self.assertIn("[runtimes] images", self.stderr)
        self.cli("code", "register", "packed", "--zip", path + ".none", status=1)
        self.assertIn("thumbs.zip.none", self.stderr)
        os.unlink(path)
        os.rmdir(os.path.dirname(path))

    # --- verdicts ---------------------------------------------------------------------------------------

    def test_queue_wait_prints_the_log_and_ends_as_the_job_did(self):
        self.register("seven", "sh -c 'echo out; echo err >&2; exit 7'")
        out = self.cli("queue", "seven", "--wait", status=7)
        self.assertEqual(sorted(out.splitlines()), ["err", "out"])
        self.assertRegex(self.stderr, r"task [0-9a-f]{24} is queued")
        self.register("fine", "true")
        self.assertEqual(self.cli("queue", "fine", "--wait"), "")

    def test_wait_and_log_follow_give_the_verdict_too(self):
        self.register("three", "sh -c 'echo one; sleep 1; echo two; exit 3'")
        task = self.cli("queue", "three").strip()
        self.assertRegex(task, r"^[0-9a-f]{24}$")
        follower = self.background("log", "-f", task)
        self.assertIn("error", self.cli("wait", task, status=3))
        out, _ = follower.communicate(timeout=30)
        self.assertEqual((follower.returncode, out), (3, "one\ntwo\n"))
        self.assertEqual(self.cli("log", task), "one\ntwo\n")

    def test_wait_for_many_ends_with_the_first_bad_one(self):
        self.register("fine", "true")
        self.register("nine", "sh -c 'exit 9'")
        tasks = [self.cli("queue", code).strip() for code in ("fine", "nine", "fine")]
        self.assertEqual(len(self.cli("wait", *tasks, status=9).splitlines()), 3)

    def test_timeout_is_124_memory_137_cancel_125_and_no_image_125(self):
        self.register("slow", "sleep 60", "--timeout", "1", "--grace", "0")
        self.cli("queue", "slow", "--wait", status=124)
        self.register("hog", "sh -c 'x=aaaaaaaaaaaaaaaa; while true; do x=$x$x; done'", "--memory", "16")
        self.cli("queue", "hog", "--wait", status=137)
        self.register("idle", "sleep 60", "--grace", "0")
        task = self.cli("queue", "idle").strip()
        waiter = self.background("wait", task)
        self.stoker.wait_state(task, "running")
        self.cli("cancel", task)
        waiter.communicate(timeout=30)
        self.assertEqual(waiter.returncode, 125)
        self.cli("code", "register", "nowhere", "--image", "not-there")
        self.cli("queue", "nowhere", "--wait", status=125)

    def test_what_no_job_decided_is_125_never_a_status_that_a_job_may_have(self):
        unknown = "0" * 24
        for words, fault in ((["queue", "unheard-of", "--wait"], "unheard-of"), (["wait", unknown], "404"),
                             (["log", "-f", unknown], "404")):
            self.cli(*words, status=125)
            self.assertIn(fault, self.stderr)
            self.cli(*words, env={"IRON_WORKER_TOKEN": "wrong"}, status=125)
            self.assertIn("401", self.stderr)
        self.register("one", "sh -c 'exit 1'")
        self.cli("queue", "one", "--wait", status=1)
        task = re.search(r"[0-9a-f]{24}", self.stderr).group()
        self.cli("wait", task, status=1)
        self.cli("wait", task, unknown, status=125)
        self.cli("queue", "one", "--wait", "--timeout", "x", status=2)

    def test_a_program_that_cannot_be_run_is_126_and_a_missing_one_127(self):
        self.register("missing", "no-such-program")
        self.cli("queue", "missing", "--wait", status=127)
        self.register("data", "/etc")
        self.cli("queue", "data", "--wait", status=126)

    def test_ctrl_c_leaves_the_job_running_and_says_so(self):
        self.register("idle", "sleep 60", "--grace", "0")
        waiter = self.background("queue", "idle", "--wait")
        task = re.search(r"task ([0-9a-f]{24})", waiter.stderr.readline()).group(1)
        self.stoker.wait_state(task, "running")
        waiter.send_signal(signal.SIGINT)
        _, said = waiter.communicate(timeout=10)
        self.assertEqual(waiter.returncode, 130)
        self.assertIn("goes on", said)
        self.assertEqual(self.stoker.task(task)["state"], "running")
        self.cli("cancel", task)

    def test_a_follower_outlasts_an_outage_of_the_database(self):
        self.register("late", "sh -c 'echo before; sleep 3; echo after; exit 4'")
        follower = self.background("queue", "late", "--wait")
        task = re.search(r"task ([0-9a-f]{24})", follower.stderr.readline()).group(1)
        self.stoker.wait_state(task, "running")
        waiter = self.background("wait", task)  # it asks, and notices; the follower has its stream
        server = self.stoker.kill("mariadb", signal.SIGSTOP)
        time.sleep(6)
        os.kill(server, signal.SIGCONT)
        out, said = follower.communicate(timeout=40)
        self.assertEqual((follower.returncode, out), (4, "before\nafter\n"), said)
        _, said = waiter.communicate(timeout=40)
        self.assertEqual(waiter.returncode, 4, said)
        self.assertIn("trying again", said)

    # --- words and forms ----------------------------------------------------------------------------------

    def test_json_everywhere_is_one_document(self):
        self.register("echo", 'sh -c "cat $PAYLOAD_FILE"')
        queued = json.loads(self.cli("queue", "echo", "--json", "--payload", "x", "--label", "mine", "--priority", "1"))
        task = queued["tasks"][0]["id"]
        self.assertEqual(json.loads(self.cli("wait", task, "--json"))["state"], "complete")
        status = json.loads(self.cli("status", task, "--json"))
        self.assertEqual((status["label"], status["priority"], status["exit_code"]), ("mine", 1, 0))
        self.assertEqual(json.loads(self.cli("log", task, "--json"))["log"], "x")
        listed = json.loads(self.cli("tasks", "--json", "--code", "echo", "--label", "mine"))
        self.assertEqual([t["id"] for t in listed["tasks"]], [task])
        self.assertIn("echo", [c["name"] for c in json.loads(self.cli("code", "list", "--json"))["codes"]])
        self.assertEqual(json.loads(self.cli("queue", "echo", "--wait", "--json"))["state"], "complete")
        self.cli("status", "0" * 24, "--json", status=1)
        self.assertIn("msg", json.loads(self.stderr))

    def test_tables_and_facts_for_people(self):
        self.register("echo", "echo hi")
        task = self.cli("queue", "echo", "-p", "x").strip()
        self.cli("wait", task, "--quiet")
        self.assertRegex(self.cli("status", task), r"(?m)^state +complete$")
        self.assertRegex(self.cli("tasks"), r"(?m)^%s +echo +complete" % task)
        self.assertRegex(self.cli("code", "list"), r"(?m)^echo +\d+ +busybox +echo hi")

    def test_payloads_come_from_files_and_from_stdin_whole(self):
        self.register("bytes", 'sh -c "cat $PAYLOAD_FILE"')
        payload = "ä\n\u2028 €\t\"quoted\" 'x' \\ end\n" * 5000
        path = os.path.join(harness.scratch(), "payload")
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(payload)
        self.assertEqual(self.cli("queue", "bytes", "-f", path, "--wait"), payload)
        os.remove(path)
        os.rmdir(os.path.dirname(path))
        self.assertEqual(self.cli("queue", "bytes", "-f", "-", "--wait", input=payload.encode()), payload)
        self.cli("queue", "bytes", "-f", "-", input=b"\xff\xfe", status=1)
        self.assertIn("UTF-8", self.stderr)
        self.cli("queue", "bytes", "-f", "-", "-p", "x", status=2)

    def test_a_code_takes_environment_config_and_all_its_policies(self):
        path = os.path.join(harness.scratch(), "config")
        with open(path, "w") as file:
            file.write("size=64")
        self.register("full", 'sh -c "echo $A $B; cat $CONFIG_FILE"', "--env", "A=1", "-e", "B=x=y", "--config", path,
                      "--retries", "2", "--retries-delay", "5", "--timeout", "77", "--memory", "64",
                      "--max-concurrency", "3", "--callback", "http://127.0.0.1:9/x", "--priority", "2", "--grace", "1")
        os.remove(path)
        os.rmdir(os.path.dirname(path))
        codes = json.loads(self.cli("code", "list", "--json"))["codes"]
        code = [c for c in codes if c["name"] == "full"][0]
        self.assertEqual(code["env_vars"], {"A": "1", "B": "x=y"})
        self.assertEqual([code[k] for k in ("retries", "retries_delay", "timeout", "memory_mb", "max_concurrency",
                                            "callback", "default_priority", "grace", "config")],
                         [2, 5, 77, 64, 3, "http://127.0.0.1:9/x", 2, 1, "size=64"])
        self.assertEqual(self.cli("queue", "full", "--wait"), "1 x=y\nsize=64")

    def test_usage_is_2_and_names_the_fault(self):
        for words, fault in ((["queue"], "CODE"), (["queue", "a", "--nope"], "--nope"), (["nope"], "nope"),
                             (["status", "12"], "task id"), (["queue", "a", "--priority", "3"], "priority"),
                             (["tasks", "--state", "asleep"], "asleep"), (["queue", "a", "--timeout"], "timeout"),
                             (["admin", "nope"], "nope"), (["log", "-f", "0" * 24, "--json"], "json"),
                             (["code", "register", "a", "--env", "X"], "NAME=VALUE")):
            self.cli(*words, status=2)
            self.assertIn(fault, self.stderr, words)

    def test_every_command_has_help(self):
        text = self.cli("--help")
        commands = re.findall(r"(?m)^  ([a-z]+(?: [a-z-]+)*)", text)
        self.assertGreater(len(commands), 18)
        for command in commands:
            self.assertIn("Usage: stoker " + command, self.cli(*command.split(), "--help"))
        self.assertRegex(self.cli("--version"), r"^stoker \d+\.\d+\.\d+$")

    def test_errors_of_the_server_are_its_own_sentences(self):
        self.cli("queue", "unheard-of", status=1)
        self.assertIn("unheard-of", self.stderr)
        self.cli("status", "0" * 24, status=1)
        self.assertIn("404", self.stderr)
        self.cli("tasks", env={"IRON_WORKER_TOKEN": "wrong"}, status=1)
        self.assertIn("401", self.stderr)
        self.cli("tasks", "--port", "1", status=1)
        self.assertIn("127.0.0.1:1", self.stderr)

    def test_a_followed_flood_is_byte_for_byte_the_log_and_its_size(self):
        self.register("flood", "sh -c 'i=0; while [ $i -lt 300 ]; do head -c 65536 /dev/zero | tr \\\\000 x; echo; i=$((i+1));"
                      " done; echo the end'")
        followed = self.cli("queue", "flood", "--wait")
        task = re.search(r"[0-9a-f]{24}", self.stderr).group()
        self.assertIn("bytes left out here", followed)
        self.assertTrue(followed.endswith("x\nthe end\n"))
        self.assertEqual(self.cli("log", task), followed)
        self.assertEqual(self.stoker.task(task)["log_size"], len(followed.encode()))

    def test_a_terminal_is_spared_what_could_steer_it_and_a_pipe_gets_every_byte(self):
        self.register("steer", "printf 'a\\033[31mred\\377 \\342\\202\\254'")
        task = self.cli("queue", "steer", "--quiet").strip()
        self.cli("wait", task)
        raw = b"a\x1b[31mred\xff \xe2\x82\xac"
        for words in (["log", task], ["log", "-f", task]):
            done = subprocess.run([STOKER, *words], env=dict(os.environ, **self.stoker.iron), timeout=30,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
            self.assertEqual(done.stdout, raw)
            terminal, inside = pty.openpty()
            done = subprocess.Popen([STOKER, *words], env=dict(os.environ, **self.stoker.iron),
                                    stdin=subprocess.DEVNULL, stdout=inside)
            done.wait(30)
            shown = os.read(terminal, 4096).decode()
            os.close(inside)
            os.close(terminal)
            self.assertEqual(shown, "a\u241b[31mred\ufffd \u20ac")

    # --- where the server is found -----------------------------------------------------------------------

    def test_configuration_by_its_precedence(self):
        none = {name: None for name in self.stoker.iron}
        folder = harness.scratch()
        home = os.path.join(folder, "home")
        own = os.path.join(home, ".config", "stoker")
        os.makedirs(own)
        facts = {"host": "127.0.0.1", "port": self.stoker.port, "scheme": "http", "token": self.stoker.token,
                 "project_id": self.stoker.project}
        base = dict(none, HOME=home, XDG_CONFIG_HOME=None)

        def files(**content):
            for name, path in (("own", own + "/config"), ("home", home + "/.iron.json"), ("here", folder + "/iron.json")):
                if os.path.exists(path):
                    os.remove(path)
                if name in content:
                    with open(path, "w") as file:
                        file.write(content[name])

        lines = "".join("%s = %s\n" % pair for pair in facts.items())
        self.cli("tasks", env=base, cwd=folder, status=2)
        self.assertIn("host", self.stderr)
        files(own=lines)
        self.cli("tasks", env=base, cwd=folder)
        wrong = json.dumps(dict(facts, token="wrong"))
        files(own=lines, home=wrong)
        self.cli("tasks", env=base, cwd=folder, status=1)
        files(home=wrong, here=json.dumps(facts))
        self.cli("tasks", env=base, cwd=folder)
        files(here=json.dumps(dict(facts, token="wrong", iron_worker={"token": self.stoker.token})))
        self.cli("tasks", env=base, cwd=folder)
        self.cli("tasks", env=dict(base, IRON_TOKEN="wrong"), cwd=folder, status=1)
        self.cli("tasks", env=dict(base, IRON_TOKEN="wrong", IRON_WORKER_TOKEN=self.stoker.token), cwd=folder)
        self.cli("tasks", "--token", "wrong", env=dict(base, IRON_WORKER_TOKEN=self.stoker.token), cwd=folder, status=1)
        files(here="{broken")
        self.cli("tasks", env=base, cwd=folder, status=1)
        self.assertIn("iron.json", self.stderr)
        subprocess.run(["rm", "-rf", folder], check=True)

    # --- for operators ---------------------------------------------------------------------------------------

    def admin(self, *arguments, status=0):
        return self.cli("admin", "-c", os.path.join(self.stoker.var, "conf", "admin.conf"), *arguments, status=status)

    def test_projects_and_tokens(self):
        project = self.admin("project", "create", "other").strip()
        self.admin("project", "create", "other", status=1)
        self.assertEqual(self.admin("project", "create", "other", "--if-absent").strip(), project)
        self.assertIn("other", self.admin("project", "list"))
        token = self.admin("token", "create", "--user", "ana", "--project", "other", "--role", "viewer").strip()
        self.cli("tasks", env={"IRON_WORKER_TOKEN": token}, status=1) # the demo project is not hers
        hers = {"IRON_WORKER_TOKEN": token, "IRON_WORKER_PROJECT_ID": project}
        self.cli("tasks", env=hers)
        self.cli("code", "register", "x", "--image", "busybox", env=hers, status=1)
        row = json.loads(self.admin("token", "list", "--project", "other", "--json"))["tokens"][0]
        self.assertNotIn(token.split("_", 2)[2], json.dumps(row))  # which may hold _ itself
        self.admin("token", "revoke", row["id"])
        time.sleep(1.2)  # the API remembers a token for a second
        self.cli("tasks", env=hers, status=1)
        self.assertIn("401", self.stderr)

    def test_a_drained_node_takes_nothing_until_it_is_resumed(self):
        self.register("fine", "true")
        name = json.loads(self.admin("node", "list", "--json"))["nodes"][0]["name"]
        self.admin("node", "drain", name)
        self.assertIn("draining", self.admin("node", "list"))
        time.sleep(4)  # the runner hears of it with its next renewal
        task = self.cli("queue", "fine").strip()
        time.sleep(2)
        self.assertEqual(self.stoker.task(task)["state"], "queued")
        self.admin("node", "resume", name)
        self.cli("wait", task)
        self.admin("node", "drain", "no-such-node", status=1)

    def test_the_doctor_finds_an_instance_well_and_an_ill_one_ill(self):
        report = json.loads(self.admin("doctor", "--json"))
        failed = [c for c in report["checks"] if c["verdict"] == "fail"]
        self.assertEqual(failed, [])
        self.assertGreater(len(report["checks"]), 15)
        self.assertLessEqual({"crun", "runc"}, {c["name"] for c in report["checks"]})
        self.stoker.sql("INSERT INTO ready (lane_id, rank_at, task_id, place, attempt) VALUES (999999, NOW(6), 'x', 999, 0)")
        try:
            self.assertRegex(self.admin("doctor", status=1), r"(?m)^fail +lanes ")
        finally:
            self.stoker.sql("DELETE FROM ready WHERE lane_id = 999999")
        done = subprocess.run([STOKER, "admin", "doctor", "--json"], stdout=subprocess.PIPE, timeout=60,
                              env=dict(os.environ, STOKER_DATABASE_SOCKET="/nowhere/db.sock"))
        self.assertEqual(done.returncode, 1)
        self.assertEqual(json.loads(done.stdout)["checks"][0]["verdict"], "fail")

    def test_the_doctor_says_which_limit_of_the_kernel_is_short(self):
        with open("/proc/sys/kernel/pid_max") as file:
            enough_for = int(file.read()) // 4
        slots = 10000  # the most that may be set
        said = subprocess.run([STOKER, "admin", "-c", os.path.join(self.stoker.var, "conf", "admin.conf"), "doctor"], timeout=60,
                              stdout=subprocess.PIPE, text=True, env=dict(os.environ, STOKER_NODE_SLOTS=str(slots))).stdout
        if enough_for < slots:
            self.assertRegex(said, r"(?m)^warn +slots +10000 jobs at once take kernel.pid_max = 40000, which is \d+: enough for %d$" %
                             enough_for)
        else:
            self.assertRegex(said, r"(?m)^(ok|warn) +slots ")
        self.assertRegex(self.admin("doctor"), r"(?m)^ok +slots ")

    def test_verify_passes_what_was_done_and_finds_what_was_broken_and_what_was_left_on_the_node(self):
        self.register("verified", "true")
        self.cli("wait", self.cli("queue", "verified").strip())
        self.assertEqual(json.loads(self.admin("verify", "--json"))["findings"], [])
        stray = "%s/jobs/%s-1" % (self.stoker.node, "0" * 23 + "7")
        os.mkdir(stray)
        os.utime(stray, (0, 0))
        self.stoker.sql("INSERT INTO ready (lane_id, rank_at, task_id, place, attempt) VALUES (999999, NOW(6), 'x', 999, 0)")
        try:
            report = json.loads(self.admin("verify", "--json", status=1))
        finally:
            self.stoker.sql("DELETE FROM ready WHERE lane_id = 999999")
            shutil.rmtree(stray, ignore_errors=True)
        self.assertEqual({finding["law"] for finding in report["findings"]}, {"I1", "I10"})
        self.assertIn(stray.split("/")[-1], " ".join(finding["rows"] for finding in report["findings"]))

    def test_migrate_twice_changes_nothing(self):
        self.assertEqual(json.loads(self.admin("migrate", "--json", "--sql", os.path.join(harness.TOP, "sql")))["applied"], 0)

    def test_the_sample_configuration_is_the_one_that_is_shipped(self):
        with open(os.path.join(harness.TOP, "conf", "stoker.conf")) as file:
            self.assertEqual(self.cli("config", "sample"), file.read())


if __name__ == "__main__":
    harness.main()
