#!/usr/bin/env python3
"""Tasks whose code asks for an engine that is a daemon: dockerd, started in the instance's private mounts, where it sees the
node's folder. What the engine itself does is the contract of tests/engine."""
import io
import os
import signal
import sys
import unittest
import zipfile

import harness

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "engine"))
from node import Docker  # noqa: E402


class PrivateDocker(Docker):
    live_restore = False

    def __init__(self):
        super().__init__()
        self.stoker = None

    def command(self):
        return ["nsenter", "-t", str(self.stoker.pid("keeper")), "-m"] + super().command()


class EnginesFlow(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.docker = PrivateDocker()
        cls.stoker = harness.Instance(env={"STOKER_NODE_ENGINES": "oci, docker", "STOKER_NODE_DOCKER_SOCKET": cls.docker.socket,
                                           "STOKER_NODE_SLOTS": "2"})
        cls.addClassCleanup(cls.docker.close)
        cls.addClassCleanup(cls.stoker.remove)
        cls.stoker.start()
        cls.docker.stoker = cls.stoker
        cls.docker.start()
        cls.addClassCleanup(lambda: cls.docker.process.poll() is None and cls.docker.stop())

    def attempts(self, task):
        return self.stoker.sql("SELECT number, IFNULL(cause, '') FROM attempt WHERE task_id = UNHEX('%s') ORDER BY number" % task)

    def test_a_job_of_the_nodes_own_image(self):
        self.stoker.code("plain", "sh -c 'cat $PAYLOAD_FILE; echo to stderr >&2; hostname; echo $TASK_ID; exit 3'", engine="docker",
                         retries=0)
        task = self.stoker.run_task("plain", payload="the payload ")
        self.assertEqual(("error", "exit", 3), (task["state"], task["cause"], task["exit_code"]), task)
        log = self.stoker.task_log(task["id"]).decode()
        self.assertIn("the payload ", log)
        self.assertIn("to stderr", log)
        self.assertEqual(2, log.count(task["id"]))
        harness.wait_for(lambda: not self.docker.containers(), 30, "the container to be gone")

    def test_the_doctor_asks_the_daemon(self):
        self.assertRegex(self.stoker.admin("doctor").stdout, r"(?m)^ok +docker +.*version \S+ answers at " + self.docker.socket)
        self.docker.process.send_signal(signal.SIGSTOP)
        try:
            said = self.stoker.admin("doctor").stdout
            self.assertRegex(said, r"(?m)^warn +docker +\S.* at " + self.docker.socket)
            self.assertIn("a hardened test container ran", said)
        finally:
            self.docker.process.send_signal(signal.SIGCONT)

    def test_a_package(self):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as z:
            z.writestr("run.sh", "pwd; cat data; echo \"$@\"\n")
            z.writestr("data", "of the zip\n")
        path = os.path.join(self.docker.dir, "package.zip")
        with open(path, "wb") as f:
            f.write(packed.getvalue())
        done = self.stoker.cli("code", "register", "packed", "--zip", path, "--runtime", "sh", "--file", "run.sh", "--engine", "docker")
        self.assertEqual(0, done.returncode, done.stderr)
        task = self.stoker.run_task("packed")
        log = self.stoker.task_log(task["id"]).decode()
        self.assertEqual("complete", task["state"], (task, log))
        self.assertTrue(log.startswith("/task\nof the zip\n-d /task/ -payload /task/task_payload.json"), log)

    def test_an_engine_that_the_node_has_not(self):
        self.stoker.code("elsewhere", "true", engine="podman", retries=0)
        task = self.stoker.run_task("elsewhere")
        self.assertEqual(("error", "launch"), (task["state"], task["cause"]))
        self.assertIn("this node has no engine podman", task["note"])

    def refused(self, code, words):
        task = self.stoker.run_task(code)
        self.assertEqual(("error", "launch"), (task["state"], task["cause"]), task)
        self.assertIn(words, task["note"])

    def test_what_the_engine_cannot_give_is_refused(self):
        self.stoker.code("on-disk", "true", engine="docker", scratch="disk", retries=0)
        self.refused("on-disk", "the engine docker gives jobs no scratch on a disk, and the code wants one")
        for item in ("seccomp=off", "writable=proc-sys", "capability=chown"):
            with self.subTest(item):
                code = item.replace("=", "-")
                self.stoker.code(code, "true", engine="docker", retries=0)
                done = self.stoker.admin("code", "relax", code, item, "--project", self.stoker.project)
                self.assertEqual(0, done.returncode, done.stderr)
                self.refused(code, "the engine docker relaxes nothing, and the code was relaxed")
        self.stoker.code("out", "true", engine="docker", retries=0)
        self.assertEqual(0, self.stoker.admin("cluster", "network", "default", "outbound").returncode)
        try:
            self.refused("out", "the engine docker gives jobs no network but loopback, and the cluster wants one")
        finally:
            self.assertEqual(0, self.stoker.admin("cluster", "network", "default", "none").returncode)
        self.assertEqual("complete", self.stoker.run_task("out")["state"])

    def test_both_streams_in_exact_order(self):
        command = "sh -c 'i=0; while [ $i -lt 200 ]; do echo o$i; echo e$i >&2; i=$((i+1)); done'"
        for engine in ("oci", "docker"):
            with self.subTest(engine):
                self.assertEqual("merged", self.stoker.code("order-" + engine, command, engine=engine, output="merged")["output"])
                task = self.stoker.run_task("order-" + engine)
                self.assertEqual("".join("o%d\ne%d\n" % (i, i) for i in range(200)), self.stoker.task_log(task["id"]).decode())
        reply = self.stoker.post("codes", {"name": "order-oci", "image": "busybox", "output": "both"})
        self.assertEqual((400, True), (reply.status, "field output" in reply.json["msg"]))

    def test_a_tag_of_the_daemons_is_looked_up_again(self):
        """The daemon's own images: what docker:// names is asked again for a code that follows its tag, else once a revision."""
        image = "docker://registry.example/retagged:1"
        self.stoker.code("first", "true", engine="docker")
        self.assertEqual("complete", self.stoker.run_task("first")["state"])  # the daemon has been given busybox
        self.retag({"Env": ["WHICH=first"]})
        self.stoker.code("follows", "sh -c 'echo $WHICH'", image=image, engine="docker", follow_tag=1)
        self.stoker.code("stays", "sh -c 'echo $WHICH'", image=image, engine="docker")
        says = lambda code: self.stoker.task_log(self.stoker.run_task(code)["id"])  # noqa: E731
        self.assertEqual([b"first\n"] * 2, [says("follows"), says("stays")])
        self.retag({"Env": ["WHICH=second"]})
        self.assertEqual(b"first\n", says("stays"))
        harness.wait_for(lambda: says("follows") == b"second\n", 60, "the daemon to be asked again")
        digests = self.stoker.sql("SELECT COUNT(DISTINCT a.digest) FROM attempt a JOIN task t ON t.id = a.task_id"
                                  " JOIN code c ON c.id = t.code_id WHERE c.name = 'follows'")
        self.assertEqual("2", digests[0][0])

    def retag(self, config):
        """Another image takes that name."""
        given = self.docker.ask("GET", "/images/json")[1]
        made = self.docker.ask("POST", "/containers/create", {"Image": given[-1]["Id"], "Cmd": ["sh"]})[1]["Id"]
        self.assertEqual(201, self.docker.ask("POST", "/commit?container=%s&repo=registry.example/retagged&tag=1" % made, config)[0])
        self.docker.ask("DELETE", "/containers/%s?v=true" % made)

    def test_an_engine_that_nobody_has(self):
        reply = self.stoker.post("codes", {"name": "x", "image": "busybox", "engine": "/bin/sh"})
        self.assertEqual(400, reply.status)
        self.assertIn("field engine", reply.json["msg"])

    def test_an_image_that_nobody_has(self):
        self.stoker.code("no-image", "true", image="nobody/has-it", engine="docker", retries=0)
        task = self.stoker.run_task("no-image")
        self.assertEqual(("error", "image"), (task["state"], task["cause"]))
        self.assertIn("neither the engine docker nor this node has an image", task["note"])

    def test_the_runner_is_killed(self):
        self.stoker.code("long", "sh -c 'echo begun; while ! [ -e /tmp/no ]; do sleep 0.2; done'", engine="docker")
        task = self.stoker.queue("long")
        self.stoker.wait_state(task, "running")
        was = self.stoker.kill("runner")
        self.stoker.wait_restarted("runner", was)
        self.assertEqual(200, self.stoker.post("tasks/%s/cancel" % task).status)
        self.assertEqual("cancelled", self.stoker.wait_state(task, *harness.SETTLED)["state"])
        self.assertEqual(1, len(self.attempts(task)))

    def test_the_daemon_restarts(self):
        self.stoker.code("again", "sh -c 'if [ $STOKER_ATTEMPT = 1 ]; then sleep 3600; fi; echo attempt $STOKER_ATTEMPT'", engine="docker",
                         retries=2)
        task = self.stoker.queue("again")
        self.stoker.wait_state(task, "running")
        self.docker.stop()
        try:
            harness.wait_for(lambda: self.attempts(task)[0][1], 30, "the first attempt to end")
            self.assertEqual("engine_restarted", self.attempts(task)[0][1])
            self.stoker.code("beside", "true")  # while there is no daemon
            self.assertEqual("complete", self.stoker.run_task("beside")["state"])
        finally:
            self.docker.start()
        done = self.stoker.wait_state(task, *harness.SETTLED, seconds=90)
        self.assertEqual("complete", done["state"], done)
        self.assertNotIn("retry_task_id", done)
        self.assertIn(b"attempt ", self.stoker.task_log(task))

    def test_the_daemon_hangs(self):
        self.stoker.code("hung", "echo done", engine="docker")
        self.stoker.code("free", "echo done")
        self.docker.process.send_signal(signal.SIGSTOP)
        try:
            waiting = [self.stoker.queue("hung") for _ in range(7)]  # more than twice its slots
            for _ in range(3):
                self.assertEqual("complete", self.stoker.run_task("free")["state"])
        finally:
            self.docker.process.send_signal(signal.SIGCONT)
        for task in waiting:
            self.assertEqual("complete", self.stoker.wait_state(task, *harness.SETTLED, seconds=120)["state"])


if __name__ == "__main__":
    unittest.main()
