"""The contract of engines: what a job sees, how it ends, who survives whom. test_oci.py, test_docker.py and test_podman.py
run it, each its own engine's column of the table in docs/engines.md: every case is a row, what an engine cannot do is a row,
too, and tested for being so. `tests/engine/test_docker.py --table` writes its column."""
import contextlib
import os
import re
import select
import signal
import socket
import sys
import threading
import time
import unittest

from node import BUSY, ENGINES, FAILED, MB, NO_IMAGE, OK, REFUSED, ROOT, RUNNER, SWEEP, WAIT_S, Node, processes_of, wait_for

RELAXATIONS = 9  # of worker/launcher/launch_request.h
ROWS = {}  # what it is: what the engine does


class Contract:
    """Run by each engine's class below."""
    engine = None
    daemon_class = None
    daemon = None

    @classmethod
    def setUpClass(cls):
        if cls.daemon_class:
            cls.daemon = cls.daemon_class()
            cls.daemon.start()
        cls.node = cls.new_node()

    @classmethod
    def new_node(cls):
        return Node({cls.engine: cls.daemon.socket} if cls.daemon else {})

    @classmethod
    def tearDownClass(cls):
        cls.node.close()
        if cls.daemon:
            cls.daemon.close()

    def setUp(self):
        self.row = (self._testMethodDoc or "").split("\n")[0]
        self.text = "yes"

    def tearDown(self):
        self.node.end_all()
        outcome = self._outcome.result
        bad = any(test is self for test, _ in outcome.failures + outcome.errors)
        skipped = any(test is self for test, _ in outcome.skipped)
        if not bad and not skipped:
            ROWS[self.row] = self.text

    def says(self, text):
        """What the table tells of this engine."""
        self.text = text

    def launch(self, what, **with_):
        job = self.node.launch(self.engine, what, **with_)
        self.assertEqual(OK, job.status, job.message)
        return job

    def run_job(self, what, **with_):
        job = self.launch(what, **with_)
        return job.end(), job

    def check(self, what, code, **with_):
        end, job = self.run_job(what, **with_)
        self.assertEqual(("exited", code), (end["verdict"], end["code"]), (end, job.out(), job.err()))
        return job

    # --- how it ends ---------------------------------------------------------------------------------------

    def test_exit(self):
        """exit status of the main process"""
        self.check("exit 0", 0)
        self.check("exit 7", 7)

    def test_signal(self):
        """signal that ended it"""
        end, _ = self.run_job("kill -SEGV $$")
        self.assertEqual(("signaled", 11), (end["verdict"], end["signal"]))

    def test_not_found(self):
        """a command that is not there: 127, with the reason"""
        end, _ = self.run_job(["/bin/nothing"])
        self.assertEqual(("exited", 127, "run /bin/nothing: No such file or directory"), (end["verdict"], end["code"], end["message"]))

    def test_not_executable(self):
        """a file that is no program: 126; one for another machine says so"""
        end, _ = self.run_job(["/etc/data"])
        self.assertEqual(("exited", 126), (end["verdict"], end["code"]))
        end, _ = self.run_job(["/bin/foreign"])
        self.assertEqual((126, 1), (end["code"], end["wrong_platform"]), end)

    def test_cancel(self):
        """cancel: TERM to every process, the job may end itself"""
        job = self.launch("trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 100 & wait; done")
        job.wait_output("up")
        job.send(b"C")
        end = job.end()
        self.assertEqual(("cancelled", 5), (end["verdict"], end["code"]))
        self.assertIn("bye", job.out())

    def test_grace(self):
        """who ignores TERM is killed after its grace"""
        job = self.launch("trap '' TERM; echo up; while :; do sleep 0.1; done", grace=300)
        job.wait_output("up")
        job.send(b"C")
        end = job.end()
        self.assertEqual(("cancelled", 9), (end["verdict"], end["signal"]))

    def test_kill(self):
        """kill: at once, whatever it ignores"""
        job = self.launch("trap '' TERM; echo up; while :; do sleep 0.1; done", grace=3600000)
        job.wait_output("up")
        job.send(b"K")
        self.assertEqual("cancelled", job.end()["verdict"])
        if self.engine == "swarm":
            self.says("on the manager's own node; elsewhere it has its grace")

    def test_timeout(self):
        """timeout"""
        end, _ = self.run_job("sleep 3600", timeout=300, grace=0)
        self.assertEqual("timeout", end["verdict"])

    def test_node_stops(self):
        """the node stops: grace, and no verdict of the job's"""
        job = self.launch("echo up; sleep 3600")
        job.wait_output("up")
        job.send(b"D")
        self.assertEqual("stopped", job.end()["verdict"])

    def test_children_go(self):
        """children in the background end with the main process"""
        tag = "7%09d" % (os.getpid() * 13 % 999999937)
        job = self.check("sleep %s & sleep %s & exit 4" % (tag, tag), 4)
        job.wait_gone()
        wait_for(lambda: not processes_of("sleep " + tag), of="the end of the children")

    def test_waits_for_go(self):
        """created first, begun when told"""
        while select.select([self.node.events], [], [], 0)[0]:  # a full queue takes no more, and this is told once
            self.node.events.recv(256)
        job = self.launch("echo begun", flags=1)
        said = b""
        while not said:  # of another job's events there may be some
            event = self.node.events.recv(256)
            said = job.task in event and event[4:5]
        self.assertEqual(b"R", said)
        self.assertFalse(job.has("started"))
        job.send(b"G")
        self.assertEqual("exited", job.end()["verdict"])
        self.assertEqual("begun\n", job.out())

    # --- limits ---------------------------------------------------------------------------------------------

    def test_out_of_memory(self):
        """out of memory is told, with swap out of reach"""
        end, _ = self.run_job(["dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"])
        self.assertEqual(("signaled", 9), (end["verdict"], end["signal"]), end)
        self.assertGreater(end["oom_kills"], 0)
        if self.engine == "swarm":
            self.says("told; of swap, where its node has some, it may use as much again")

    def test_child_out_of_memory(self):
        """out of memory of a child only: told beside the exit status"""
        end, _ = self.run_job("dd if=/dev/zero of=/dev/null bs=200M count=1; echo $?; exit 0")
        self.assertEqual(("exited", 0), (end["verdict"], end["code"]))
        self.assertGreater(end["oom_kills"], 0)

    def test_job_goes_first(self):
        """when memory runs out the job goes, not who tells of it"""
        job = self.check("cat /proc/self/oom_score_adj /proc/1/oom_score_adj", 0)
        ours, init = (int(line) for line in job.out().split())
        self.assertGreater(ours, init)

    def test_scratch_is_memory(self):
        """files in scratch count as memory"""
        end, _ = self.run_job("dd if=/dev/zero of=/tmp/x bs=1M count=40 || exit 9", memory=16 * MB, scratch=64 * MB)
        self.assertGreater(end["oom_kills"], 0)

    def test_scratch(self):
        """scratch is limited: ENOSPC"""
        job = self.check("dd if=/dev/zero of=/tmp/x bs=1M count=32 2>&1; cat /tmp/x | wc -c", 0)
        self.assertIn("No space left", job.out())
        self.assertLessEqual(int(job.out().split()[-1]), 17 * MB)

    def test_files(self):
        """a number of files is limited: ENOSPC"""
        job = self.check("i=0; while [ $i -lt 3000 ] && touch /tmp/$i; do i=$((i+1)); done; echo $i", 0, scratch=MB * 4)
        made = int(job.out().split()[-1])
        if self.engine == "podman":
            self.says("no: only their memory is")
            self.assertEqual(3000, made)
        else:
            self.assertLess(made, 1100)

    def test_pids(self):
        """processes are limited: EAGAIN, counted"""
        end, job = self.run_job("for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 5 & done; exit 0", pids=5)
        self.assertGreater(end["pids_hits"], 0, (end, job.err()))

    def test_cpu(self):
        """CPU: seconds told, quota held"""
        end, _ = self.run_job("i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done", cpu=200)
        self.assertEqual("exited", end["verdict"])
        self.assertGreater(end["cpu_us"], 50000)
        self.assertGreater(end["ended_us"] - end["started_us"], 2 * end["cpu_us"])

    def test_memory_peak(self):
        """peak of memory told"""
        end, _ = self.run_job(["dd", "if=/dev/zero", "of=/dev/null", "bs=30M", "count=1"])
        self.assertGreater(end["max_rss"], 30 * MB)
        self.assertLess(end["max_rss"], 64 * MB)

    def test_rlimits(self):
        """open files, size of a file, no core files"""
        job = self.check("ulimit -n; ulimit -f; ulimit -c", 0)
        files, size, core = job.out().split()
        self.assertLessEqual(int(files), 1024)
        self.assertLessEqual(int(size) * 512, 17 * MB)
        self.assertEqual("0", core)

    # --- output -----------------------------------------------------------------------------------------------

    def test_streams(self):
        """stdout and stderr told apart, to the byte"""
        job = self.check("printf 'a\\0b\\n'; printf 'c\\377d' >&2; printf e", 0)
        self.assertEqual((b"a\0b\ne", b"c\xffd"), (job.stream(1), job.stream(2)))

    def test_merged(self):
        """both streams through one pipe, in exact order, if its code asks for it"""
        job = self.check("i=0; while [ $i -lt 500 ]; do echo o$i; echo e$i >&2; i=$((i+1)); done; echo last > /dev/stderr", 0,
                         flags=2)
        self.assertEqual("".join("o%d\ne%d\n" % (i, i) for i in range(500)) + "last\n", job.out())
        self.assertEqual("", job.err())

    def test_flood(self):
        """a flood: head to the byte, the rest counted, nothing through a daemon"""
        end, job = self.run_job("yes 0123456789abcde | head -c 80000000", head=MB, tail=MB)
        self.assertEqual(80000000, end["bytes"])
        self.assertEqual(80000000 // 16, end["lines"])
        self.assertEqual(MB, len(job.stream(1)))
        self.assertEqual(80000000 - 2 * MB, end["missing"])

    def test_bytes(self):
        """writes of a byte: exact, and frames take a quarter more room at most"""
        most, count = 128 * 1024, 400000
        end, job = self.run_job(["dd", "if=/bin/busybox", "bs=1", "count=%d" % count], head=most, tail=most)
        with open("/bin/busybox", "rb") as f:
            written = f.read(count)
        self.assertEqual("exited", end["verdict"])
        self.assertGreaterEqual(end["bytes"], count)  # dd says on stderr what it did
        self.assertEqual(written[:most], job.stream(1))
        room = sum(os.path.getsize(os.path.join(job.dir, name)) for name in ("head", "tail.0", "tail.1") if job.has(name))
        self.assertLessEqual(room, 3 * most * 5 // 4 + 65536 + 64 * ((end["ended_us"] - end["started_us"]) // 1000000 + 1))

    def test_last_words(self):
        """what is written right before the end is there"""
        job = self.check("i=0; while [ $i -lt 2000 ]; do echo $i; i=$((i+1)); done", 0)
        self.assertEqual("".join("%d\n" % i for i in range(2000)), job.out())

    # --- what it sees --------------------------------------------------------------------------------------------

    def test_environment(self):
        """its environment is what it was given, and PATH"""
        job = self.check(["env"], 0, env=["A=1", "B=x y"])
        self.assertEqual({"A=1", "B=x y", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
                         set(job.out().splitlines()))

    def test_workdir(self):
        """its working directory, made if it is not there below /tmp"""
        job = self.check(["pwd"], 0, workdir="/tmp/a/b")
        self.assertEqual("/tmp/a/b\n", job.out())

    def test_payload(self):
        """payload and config: its user's alone, never on the node's disk"""
        secret = os.urandom(16).hex()
        job = self.launch("cat /task/task_payload.json /task/task_config.json; stat -c '%a %u' /task/task_payload.json; "
                          "cat /mnt/task/task_payload.json; sleep 3600", payload=secret.encode(), config=b"CONF")
        wait_for(lambda: job.out().count(secret) == 2, of="the payload")
        self.assertIn("CONF400 0\n", job.out())
        for name in os.listdir(job.dir):
            if name not in ("head", "ctl"):
                self.assertNotIn(secret.encode(), job.file(name))
        if self.daemon:
            self.assertNotIn(secret, str(self.daemon.ask("GET", "/containers/%s/json" % self.daemon.container_of(job))))
        if self.engine == "swarm":
            self.assertNotIn(secret, str(self.daemon.services()))
            self.says("its user's alone; managers keep it on disk, encrypted, as secrets of a swarm are")
        job.send(b"K")
        job.end()

    def test_package(self):
        """a package at /task, which it may change"""
        digest = os.urandom(32)
        files = os.path.join(self.node.dir, "packages", "sha256-" + digest.hex(), "files")
        os.makedirs(os.path.join(files, "lib"))
        with open(os.path.join(files, "lib/run.sh"), "w") as f:
            f.write("echo from the package: $(cat /task/lib/data)\n")
        with open(os.path.join(files, "lib/data"), "w") as f:
            f.write("data")
        os.symlink("lib/run.sh", os.path.join(files, "link"))
        os.chmod(os.path.join(files, "lib/run.sh"), 0o700)
        os.chmod(os.path.join(files, "lib/data"), 0o600)
        for at, folders, names in os.walk(os.path.dirname(files)):
            for name in ["."] + folders + names:
                os.chown(os.path.join(at, name), RUNNER, RUNNER, follow_symlinks=False)
        if self.engine == "swarm":
            self.says("no: refused")
            job = self.node.launch(self.engine, "true", has_package=1, package=digest)
            self.assertEqual((REFUSED, True), (job.status, "brings no package to its nodes" in job.message))
            return
        job = self.check("sh link && rm lib/data && echo new > lib/data && cat lib/data && cat task_payload.json", 0,
                         workdir="/task", has_package=1, package=digest, payload=b"{}")
        self.assertEqual("from the package: data\nnew\n{}", job.out())
        with open(os.path.join(files, "lib/data")) as f:
            self.assertEqual("data", f.read())
        if self.daemon:
            self.says("yes, a copy: it counts as the job's memory")

    def test_writable(self):
        """writable paths"""
        job = self.check("for d in /tmp /task /bin /etc /; do touch $d/x 2>/dev/null && echo $d; done; exit 0", 0)
        self.says("`" + "`, `".join(job.out().split()) + "` of those tried")
        self.assertEqual("/tmp /task /bin /etc /".split() if self.engine == "oci" else ["/tmp", "/task"], job.out().split())

    def test_host_name(self):
        """its host name is the task's id"""
        job = self.check(["hostname"], 0)
        self.assertEqual(job.task.hex() + "\n", job.out())

    def test_user(self):
        """it runs as the image's user"""
        job = self.check("id -u; id -g; cat /task/task_payload.json; echo > /task/new", 0, uid=1000, gid=1001, payload=b"mine")
        self.assertEqual("1000\n1001\nmine", job.out())

    # --- isolation -------------------------------------------------------------------------------------------------

    def test_rights(self):
        """no capability, no new privileges, a seccomp list"""
        job = self.check("cat /proc/self/status", 0)
        status = dict(re.findall(r"^(\w+):\s*(.*)$", job.out(), re.M))
        for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            self.assertEqual(0, int(status[key], 16), key)
        self.assertEqual(("1", "2"), (status["NoNewPrivs"], status["Seccomp"]))

    def test_system_calls(self):
        """our own list of system calls: no mount, no namespaces"""
        job = self.check("mount -t tmpfs x /tmp 2>&1; unshare -U true 2>&1; unshare -n true 2>&1; exit 0", 0)
        self.assertEqual(3, job.out().count("Operation not permitted") + job.out().count("ermission denied"), job.out())

    def test_users(self):
        """ids of its own: root inside is nobody outside"""
        job = self.check("cat /proc/self/uid_map", 0)
        inside, outside, count = map(int, job.out().split())
        if self.engine == "oci":
            self.says("yes, 65536 a slot")
            self.assertEqual((0, 65536), (inside, count))
            self.assertGreater(outside, 65535)
        else:
            self.says("no: the daemon's own, root inside is root without rights")
            self.assertEqual((0, 0), (inside, outside))

    def test_network(self):
        """network of its own, with loopback only"""
        links = re.findall(r"^\s*(\w+):", self.check("cat /proc/net/dev", 0).out(), re.M)
        self.assertEqual(["lo"], links)

    def test_network_of_cluster(self):
        """the network that its cluster gives"""
        job = self.node.launch(self.engine, "cat /proc/net/dev", network=1)
        if self.engine == "oci":
            self.assertEqual(OK, job.status, job.message)
            self.assertEqual("exited", job.end()["verdict"])
            self.assertEqual(2, len(re.findall(r"^\s*(\w+):", job.out(), re.M)), job.out())
        else:
            self.says("no: refused")
            self.assertEqual(REFUSED, job.status)
            self.assertIn("gives jobs no network but loopback", job.message)

    def test_disk(self):
        """scratch on a disk of its own, past its memory"""
        job = self.node.launch(self.engine, "dd if=/dev/zero of=/tmp/x bs=1048576 count=90 2>/dev/null", disk=1, scratch=128 * MB)
        if self.engine == "oci":
            self.assertEqual(OK, job.status, job.message)
            self.assertEqual(("exited", 0), (job.end()["verdict"], job.end()["code"]))
        else:
            self.says("no: refused")
            self.assertEqual(REFUSED, job.status)
            self.assertIn("gives jobs no scratch on a disk", job.message)

    def test_relaxed(self):
        """single items relaxed by an operator: a capability, seccomp"""
        job = self.node.launch(self.engine, "chown 5 /tmp && unshare -U true && echo done", relaxed=1 | 4)
        if self.engine == "oci":
            self.assertEqual(OK, job.status, job.message)
            self.assertEqual("exited", job.end()["verdict"])
            self.assertEqual("done\n", job.out(), job.err())
        else:
            self.says("no: refused")
            for each in [1 | 4] + [1 << bit for bit in range(RELAXATIONS)]:
                job = self.node.launch(self.engine, "true", relaxed=each)
                self.assertEqual(REFUSED, job.status, each)
                self.assertIn("relaxes nothing", job.message)

    def test_scratch_on_disk(self):
        """scratch on a disk, beside its memory"""
        job = self.node.launch(self.engine, "dd if=/dev/zero of=/tmp/x bs=64k count=1600 2>&1", disk=1, scratch=128 * MB)
        if self.engine == "oci":
            self.assertEqual(OK, job.status, job.message)
            end = job.end()
            self.assertEqual(("exited", 0, 0), (end["verdict"], end["code"], end["oom_kills"]), job.out())
        else:
            self.says("no: refused")
            self.assertEqual(REFUSED, job.status)
            self.assertIn("gives jobs no scratch on a disk", job.message)

    def test_devices(self):
        """the usual devices and no other; none can be made"""
        job = self.check("cd /dev; for f in *; do [ -b $f ] && echo $f; done; ls /dev/mem /dev/kmsg /dev/fuse 2>/dev/null; exit 0", 0)
        self.assertEqual("", job.out())

    def test_kernel_files(self):
        """kernel files masked and frozen"""
        job = self.check("echo 1 > /proc/sys/kernel/hostname; echo b > /proc/sysrq-trigger; cat /proc/kcore | head -c 1; "
                         "cat /proc/keys; cat /proc/timer_list; exit 0", 0)
        self.assertEqual("", job.out())

    def test_init(self):
        """stoker-init cannot be looked into, nor its link used again"""
        job = self.check("cat /proc/1/environ /proc/1/maps /proc/1/fd/3 2>&1; echo > /dev/.stoker-init; exit 0", 0)
        self.assertEqual(3, job.out().count("ermission denied"), job.out())
        self.assertEqual(1, job.err().count("Read-only file system"), job.err())

    # --- who survives whom --------------------------------------------------------------------------------------------

    def test_fence(self):
        """a lease that has passed ends it"""
        node = self.new_node()
        try:
            job = node.launch(self.engine, "echo up; sleep 3600")
            job.wait_output("up")
            node.set_lease(-1)
            self.assertEqual("fenced", job.end()["verdict"])
            late = node.launch(self.engine, "echo never")
            self.assertEqual("fenced", late.end()["verdict"])
            self.assertEqual("", late.out())
        finally:
            node.close()

    def test_launcher_dies(self):
        """it goes on without runner and launcher, and is taken up by the next"""
        node = self.new_node()
        try:
            job = node.launch(self.engine, "echo up; while ! [ -e /tmp/x ]; do sleep 0.1; done", grace=100)
            job.wait_output("up")
            node.launcher.kill()
            node.stop()
            node.start()
            twice = node.launch(self.engine, "echo twice", task=job.task)
            self.assertEqual(BUSY, twice.status)
            node.jobs.remove(twice)
            self.assertEqual(BUSY, node.remove(job)[0])
            job.send(b"C")
            end = job.end()
            self.assertEqual("cancelled", end["verdict"])
            self.assertEqual(OK, node.remove(job)[0])
            self.assertFalse(os.path.exists(job.dir))
        finally:
            node.close()

    def test_monitor_dies(self):
        """its monitor is killed: it ends, a sweep says so"""
        tag = "8%09d" % (os.getpid() * 17 % 999999937)
        job = self.launch("echo up; sleep " + tag)
        job.wait_output("up")
        os.kill(job.monitor, signal.SIGKILL)
        job.wait_gone()
        if self.engine == "swarm":
            self.says("a sweep ends it, and says so")
        else:
            wait_for(lambda: not processes_of("sleep " + tag), of="the end of the job")
        self.assertEqual((OK, 1), self.node.ask(SWEEP)[:2])
        wait_for(lambda: not processes_of("sleep " + tag), of="the end of the job")
        self.assertEqual("lost", job.wait_exit()["verdict"])
        if self.daemon:
            wait_for(lambda: not self.daemon.has(job), of="the removal of the container")

    def test_removed(self):
        """nothing of it is left when it has ended"""
        job = self.check("exit 0", 0)
        if self.daemon:
            self.assertFalse(self.daemon.keeps(job))
        else:
            self.assertFalse(os.path.exists("/sys/fs/cgroup/pids/%s/%s" % (self.node.name, job.id)))
        self.assertEqual(OK, self.node.remove(job)[0])
        self.assertFalse(os.path.exists(job.dir))
        self.assertEqual(OK, self.node.remove(job)[0])

    def test_cancel_of_the_unborn(self):
        """cancel while it is being made"""
        job = self.launch("echo begun; sleep 3600", flags=1)
        job.send(b"C")
        end = job.end()
        self.assertEqual(("cancelled", 0), (end["verdict"], end["started_us"]))
        self.assertEqual("", job.out())

    def test_no_image(self):
        """an image that is not there is told as such"""
        job = self.node.launch(self.engine, "true", digest=bytes(31) + b"\1")
        if self.engine == "oci":
            self.assertEqual(NO_IMAGE, job.status)
        else:
            end = job.end()
            self.assertEqual(("launch_failed", 0), (end["verdict"], end["node_fault"]), end)
            self.assertRegex(end["message"].lower(), "no such image")

    def test_engine_is_not_there(self):
        """a node without the engine refuses the job"""
        node = Node()
        try:
            if self.engine == "oci":
                self.says("every node has it")
                self.assertEqual(OK, node.launch("oci", "true").status)
            else:
                job = node.launch(self.engine, "true", digest=bytes(32))
                self.assertEqual((REFUSED, "launch request: this node has no engine " + self.engine), (job.status, job.message))
        finally:
            node.close()


class DaemonContract(Contract):
    """What only daemons can do wrong."""
    lossy = ("/containers/create?", "/start")  # what is asked once for each job

    def test_strays(self):
        """what a dead node left is found by label at start; nothing of others is touched"""
        node = self.new_node()
        image = "sha256:" + node.image(self.engine).hex()
        lost = node.launch(self.engine, "sleep 3600")
        wait_for(lambda: self.daemon.has(lost), of="the container")
        node.stop()
        os.kill(lost.monitor, signal.SIGKILL)
        lost.wait_gone()
        other = self.daemon.ask("POST", "/containers/create?name=other-%d" % os.getpid(),
                                {"Image": image, "Cmd": ["sh"], "Labels": {"stoker.node": "/another", "stoker.attempt": lost.id}})[1]["Id"]
        plain = self.daemon.ask("POST", "/containers/create", {"Image": image, "Cmd": ["sh"]})[1]["Id"]
        kept = self.launch("sleep 3600")
        kept_is_there = wait_for(lambda: self.daemon.has(kept), of="another node's job")
        node.start()
        wait_for(lambda: not self.daemon.has(lost), of="the removal of the stray")
        there = {c["Id"] for c in self.daemon.containers()}
        self.assertTrue({other, plain} <= there and kept_is_there and self.daemon.has(kept))
        kept.send(b"K")
        kept.end()
        for one in (other, plain):
            self.daemon.ask("DELETE", "/containers/" + one)
        node.ask(SWEEP)
        node.close()

    def test_answer_lost(self):
        """an answer that was lost: found by its name, made and started once"""
        with Proxy(self.daemon.socket, *self.lossy) as proxy:
            node = Node({self.engine: proxy.path})
            try:
                job = node.launch(self.engine, "echo once")
                end = job.end()
                self.assertEqual(("exited", 0), (end["verdict"], end["code"]), end)
                self.assertEqual("once\n", job.out())
                self.assertEqual(len(self.lossy), proxy.lost)
            finally:
                node.close()

    def test_strict(self):
        """a node whose isolation is strict"""
        node = Node({self.engine: self.daemon.socket}, isolation="strict")
        try:
            job = node.launch(self.engine, "true", digest=bytes(32))
            self.assertEqual(REFUSED, job.status)
            self.assertIn("isolation is strict, and the engine %s gives jobs no user ids of their own" % self.engine, job.message)
            self.says("refuses the engine")
        finally:
            node.close()

    def test_name_is_taken(self):
        """a container of the same name that is not ours is left alone"""
        task = os.urandom(12)
        image = "sha256:" + self.node.image(self.engine).hex()
        name = "stoker-%s-1" % task.hex()
        other = self.daemon.take_name(name, image)
        job = self.launch("echo never", task=task)
        end = job.wait_exit()
        self.assertEqual("launch_failed", end["verdict"])
        job.wait_gone()
        self.assertEqual(200, self.daemon.ask("GET", other)[0])
        self.daemon.ask("DELETE", other.removesuffix("/json"))

    def test_volumes(self):
        """an image that declares volumes is refused"""
        image = "sha256:" + self.node.image(self.engine).hex()
        made = self.daemon.ask("POST", "/containers/create", {"Image": image, "Cmd": ["sh"], "Volumes": {"/data": {}}})[1]["Id"]
        self.daemon.ask("POST", "/commit?container=%s&repo=with-volumes&tag=1" % made, {"Volumes": {"/data": {}}})
        status, _, why = self.node.ask_image(self.engine, "with-volumes:1")
        self.assertEqual(FAILED, status)
        self.assertIn("declares volumes", why)
        self.daemon.ask("DELETE", "/containers/%s?v=true" % made)

    def test_unknown_name(self):
        """an image that neither the daemon nor the node has is told so"""
        status, _, why = self.node.ask_image(self.engine, "nobody/has:this")
        self.assertEqual(FAILED, status, why)
        self.assertIn("neither the engine %s nor this node has" % self.engine, why)
        for name in ("UPPER/case:1", "two words", "a//b", "../containers/json", "a:b:c", "x@sha256:12", 260 * "x"):
            self.assertEqual(FAILED, self.node.ask_image(self.engine, name)[0], name)  # not asked again for ever

    def test_given_once(self):
        """an image that only the node has is given to the daemon, once"""
        name = "stoker-import:" + self.node.digest.hex()
        first = self.node.image(self.engine)
        self.assertEqual(first, self.node.image(self.engine))
        told = self.daemon.ask("GET", "/images/%s/json" % name)[1]["Id"]
        self.assertEqual(first.hex(), told.removeprefix("sha256:"))

    def test_daemon_hangs(self):
        """a daemon that hangs: its jobs end, are cancelled and fenced all the same; the engine oci launches"""
        self.ends_before_its_start_is_told()
        node = self.new_node()
        try:
            ends = node.launch(self.engine, "echo up; sleep 0.5; echo late; exit 6")
            cancelled = node.launch(self.engine, "echo up; sleep 3600", grace=100)
            fenced = node.launch(self.engine, "echo up; sleep 3600")
            for job in (ends, cancelled, fenced):
                job.wait_output("up")
            self.daemon.process.send_signal(signal.SIGSTOP)
            try:
                cancelled.send(b"C")
                self.assertEqual("cancelled", cancelled.wait_exit()["verdict"])
                self.assertEqual(("exited", 6), tuple(ends.wait_exit()[k] for k in ("verdict", "code")))
                self.assertEqual("up\nlate\n", ends.out())
                waits = node.launch(self.engine, "echo never")
                other = node.launch("oci", "echo beside")
                self.assertEqual(OK, other.status, other.message)
                self.assertEqual("exited", other.end()["verdict"])
                waits.send(b"C")
                self.assertEqual("cancelled", waits.wait_exit()["verdict"])
                node.set_lease(-1)
                self.assertEqual("fenced", fenced.wait_exit()["verdict"])
            finally:
                self.daemon.process.send_signal(signal.SIGCONT)
            for job in (ends, cancelled, fenced, waits):
                job.wait_gone()
            wait_for(lambda: node.ask(SWEEP) and not any(self.daemon.has(j) for j in (ends, cancelled, fenced, waits)),
                     of="the removal of the containers")
        finally:
            node.close()

    def ends_before_its_start_is_told(self):
        with SlowStart(self.daemon.socket) as daemon:
            node = Node({self.engine: daemon.path})
            try:
                job = node.launch(self.engine, "echo up; exit 6")
                end = job.wait_exit()
                self.assertEqual(("exited", 6, "up\n"), (end["verdict"], end["code"], job.out()))
                self.assertFalse(daemon.gate.is_set())
            finally:
                daemon.gate.set()
                node.close()

    def test_daemon_is_away(self):
        """no daemon: the node's fault, the job is given back"""
        node = Node({self.engine: os.path.join(self.daemon.dir, "nowhere")})
        try:
            job = node.launch(self.engine, "true", digest=bytes(32))
            end = job.end()
            self.assertEqual(("launch_failed", 1), (end["verdict"], end["node_fault"]))
        finally:
            node.close()

    def running(self):
        job = self.launch("i=0; while ! [ -e /tmp/x ]; do echo $i; i=$((i+1)); sleep 0.01; done")
        job.wait_output("5\n")
        return job

    def goes_on_without_daemon(self):
        """A job that runs while its daemon ends, or is killed, and comes back: not a byte is lost."""
        for how in (signal.SIGTERM, signal.SIGKILL):
            job = self.running()
            self.daemon.stop(how)
            seen = len(job.out())
            wait_for(lambda: len(job.out()) > seen + 100, of="output while there is no daemon")
            self.daemon.start()
            seen = len(job.out())
            wait_for(lambda: len(job.out()) > seen + 100, of="output after the restart")
            job.send(b"K")
            self.assertEqual(("cancelled", 0), tuple(job.end()[k] for k in ("verdict", "engine_restarted")))
            lines = job.out().splitlines()
            self.assertEqual([str(i) for i in range(len(lines))], lines)
            wait_for(lambda: not self.daemon.has(job), of="the removal of the container")

    def test_zy_killed_by_others(self):
        """somebody kills its container: `killed`, the daemon being there"""
        job = self.running()
        self.assertEqual(204, self.daemon.ask("POST", "/containers/%s/kill" % self.daemon.container_of(job))[0])
        end = job.end()
        self.assertEqual(("signaled", 9, 0), (end["verdict"], end["signal"], end["engine_restarted"]))

class Proxy:
    """Between node and daemon: the first answer to each of some questions is lost on its way."""

    def __init__(self, daemon, *targets):
        self.daemon, self.targets, self.lost = daemon, list(targets), 0
        self.path = daemon + "-lossy"

    def __enter__(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(self.path)
        self.socket.listen(64)
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        os.unlink(self.path)

    def serve(self):
        while True:
            try:
                one, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.pass_on, args=(one,), daemon=True).start()

    def changed(self, _target, answer):
        return answer

    def pass_on(self, one):
        two = socket.socket(socket.AF_UNIX)
        two.connect(self.daemon)
        question = b""
        while b"\r\n\r\n" not in question:
            question += one.recv(65536)
        head, _, body = question.partition(b"\r\n\r\n")
        length = int(re.search(rb"Content-Length: (\d+)", head)[1])
        while len(body) < length:
            more = one.recv(65536)
            question += more
            body += more
        two.sendall(question)
        target = head.split()[1].decode()
        loses = next((t for t in self.targets if t in target), None)
        if loses:
            self.targets.remove(loses)
            self.lost += 1
        with contextlib.suppress(OSError):
            while True:
                answer = two.recv(65536)
                if not answer:
                    break
                if not loses:
                    one.sendall(self.changed(target, answer))
        one.close()
        two.close()

class SlowStart(Proxy):
    """A daemon that starts a container, and hangs before it says so."""

    def __init__(self, daemon):
        super().__init__(daemon)
        self.gate = threading.Event()

    def changed(self, target, answer):
        if target.endswith("/start"):
            self.gate.wait(WAIT_S)
        return answer

# --- the table -------------------------------------------------------------------------------------------------

DOC = os.path.join(ROOT, "docs/engines.md")
BEGIN, END = "<!-- what tests/engine found; --table writes it -->\n", "<!-- end of the table -->\n"
NONE = "—"  # the row makes no sense there

def read_table():
    """{ what: [a cell for each engine] } of the document, and the text before and behind it."""
    with open(DOC) as f:
        text = f.read()
    before, rest = text.split(BEGIN)
    lines, behind = rest.split(END)
    rows = [line.strip("|").split(" | ") for line in lines.splitlines()[2:]]
    cells = {r[0].strip(): [c.strip() for c in r[1:]] for r in rows}
    return {what: c + [NONE] * (len(ENGINES) - len(c)) for what, c in cells.items()}, before, behind

def format_table(rows):
    names = list(ENGINES)
    lines = ["| what | " + " | ".join(names) + " |", "| --- |" + " --- |" * len(names)]
    return "".join(line + "\n" for line in lines + ["| " + " | ".join([what] + rows[what]) + " |" for what in sorted(rows)])

def main(case):
    """Runs the engine's class; then the document must say of it what was found. --table writes that instead."""
    writes = "--table" in sys.argv

    class TableTest(unittest.TestCase):  # its name is the last
        def test_table(self):
            """docs/engines.md says what the tests have found"""
            rows, before, behind = read_table()
            column = list(ENGINES).index(case.engine)
            for what in set(rows) | set(ROWS):
                rows.setdefault(what, [NONE] * len(ENGINES))[column] = ROWS.get(what, NONE)
            found = format_table({what: cells for what, cells in rows.items() if set(cells) != {NONE}})
            print(found)
            if writes:
                with open(DOC, "w") as f:
                    f.write(before + BEGIN + found + END + behind)
            elif len(ROWS) == len(unittest.defaultTestLoader.getTestCaseNames(case)):
                self.assertEqual(format_table(read_table()[0]), found)

    loader = unittest.defaultTestLoader
    chosen = [a for a in sys.argv[1:] if a != "--table"]
    cases = [case(name) for name in chosen] or [loader.loadTestsFromTestCase(case)]
    suite = unittest.TestSuite(cases + [loader.loadTestsFromTestCase(TableTest)])
    sys.exit(not unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful())
