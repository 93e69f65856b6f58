#!/usr/bin/env python3
"""Hostile jobs: what they try succeeds in a container that was opened on purpose, and fails in every
one that Stoker makes. Each container tries everything, so that this is quick enough for each make check."""
import functools
import glob
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "flow")]

import harness  # noqa: E402 (it lies in the folder of the line above)
import opened  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
HOSTILE = os.path.join(harness.BUILD, "tests", "escape", "hostile")
MIB = 1 << 20
ATTACKS_LEAST = 105
PIDS, MEMORY_MB, SCRATCH_MB, DISK_MB = 48, 96, 24, 160
LIMITS = {"STOKER_NODE_PIDS": str(PIDS), "STOKER_NODE_MEMORY_MB": str(MEMORY_MB),
          "STOKER_NODE_SCRATCH_MB": str(SCRATCH_MB), "STOKER_NODE_DISK_MB": str(DISK_MB), "STOKER_NODE_GRACE_S": "1"}
MARK = "a-secret-of-the-neighbour-%d" % os.getpid()
VICTIM = "victim-%d" % os.getpid()  # this test's own: the opened container of another may run beside it
FOLDERS = ("proc", "sys", "dev", "tmp", "etc", "task")
# a kernel without the thing that is attacked says so with one of these
MISSING_IN_KERNEL = ("Function not implemented", "No such device", "Operation not supported",
                     "Address family not supported by protocol")


def rows(text):
    """{name: (verdict, needed capability, words)} of what hostile prints."""
    table = {}
    for line in text.splitlines():
        name, verdict, needs, words = line.split("\t")
        table[name] = (verdict, needs, words)
    return table


def write_tar(path, links=None):
    """hostile and the folders of a root; in place of these, links that lead astray."""
    with tarfile.open(path, "w") as tar:
        tar.add(HOSTILE, "hostile")
        tar.add("/bin/busybox", "bin/sh")
        applets = tarfile.TarInfo("bin/busybox")
        applets.type, applets.linkname = tarfile.SYMTYPE, "sh"
        tar.addfile(applets)
        for name in FOLDERS:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            if links and name in links:
                entry.type, entry.linkname = tarfile.SYMTYPE, links[name]
            tar.addfile(entry)


def hostile_fields(engine):
    """Every field of the API as a person would write it who wants out: of a code, of a task, and such as there are not."""
    evil = '"],"args":["/bin/sh"],"capabilities":["CAP_SYS_ADMIN"],"x":["'
    foreign = {"privileged": True, "capabilities": ["CAP_SYS_ADMIN"], "cap_add": ["ALL"], "network": "host",
               "network_mode": "host", "pid": "host", "ipc": "host", "userns": "host", "volumes": ["/:/host"],
               "mounts": [{"type": "bind", "source": "/", "destination": "/host"}], "devices": ["/dev/sda"],
               "security_opt": ["seccomp=unconfined"], "seccomp": "unconfined", "hostname": evil, "user": "0:0",
               "runtime": "/bin/sh", "annotations": {"run.oci.hooks": "x"}, "hooks": {"prestart": [{"path": "/x"}]},
               "cgroup_parent": "/", "sysctls": {"kernel.core_pattern": "|/x"}, "rootfs": "/", "relaxed": ["seccomp=off"],
               "uid": 0, "slot": -1, "isolation": "none", "readonly": False, "working_dir": "/proc/self/fd/7",
               "entrypoint": ["/bin/sh"], "log_driver": evil, "oom_score_adj": -1000, "cpuset": "0", "no_new_privs": 0}
    code = {"command": "/hostile wait '%s'" % evil, "config": evil, "runtime": evil, "stack": evil, "file_name": evil,
            "env_vars": {"LD_PRELOAD": evil, "PATH": "/proc/self/fd/7:/bin", "_OCI_STARTPIPE": "3",
                         "_LIBCRUN_INIT": "1", "RUNC": evil, "TASK_ID": "../../x"},
            "callback": "http://192.0.2.1/%22],%22args%22:[%22/bin/sh", "max_concurrency": 1000000, "retries": 10,
            "retries_delay": 31536000, "default_priority": 2, "timeout": 1 << 40, "grace": 3600, "memory_mb": MEMORY_MB,
            "on_node_loss": "fail", "output": "merged", "scratch": "memory", "engine": engine, "follow_tag": 0}
    task = {"payload": evil + "\u0000", "label": evil, "priority": 2, "timeout": 3600, "delay": 0, "expires_in": 1 << 30,
            "cluster": "default", "callback": "http://192.0.2.1/%22]", "callback_states": ["complete", "error"],
            "callback_ordered": True, "callback_payload": True}
    return code, task, foreign


class Host:
    """What there is to be reached: listeners, shared memory, a process that may be killed."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.abstract = "stoker-escape-%d" % os.getpid()
        self.unix = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.unix.bind("\0" + self.abstract)
        self.unix.listen()
        made = subprocess.run(["ipcmk", "-M", "4096"], stdout=subprocess.PIPE, text=True, check=True)
        self.segment = made.stdout.split()[-1]
        with open("/proc/sysvipc/shm") as segments:
            self.key = next(int(line.split()[0]) for line in segments if line.split()[1] == self.segment)
        self.victim = self.start_victim()

    @staticmethod
    def start_victim():
        script = "import signal; open('/proc/self/comm', 'w').write('%s'); print(flush=True); signal.pause()" % VICTIM
        victim = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        victim.stdout.readline()
        return victim

    def close(self):
        self.listener.close()
        self.unix.close()
        self.end_victim()
        subprocess.run(["ipcrm", "-m", self.segment], check=True)

    def end_victim(self):
        self.victim.kill()
        self.victim.wait()
        self.victim.stdout.close()

    def variables(self, stoker):
        return {"ESCAPE_NODE": stoker.node, "ESCAPE_DB": stoker.run + "/s/db.sock", "ESCAPE_MARK": MARK,
                "ESCAPE_PORT": str(self.listener.getsockname()[1]), "ESCAPE_ABSTRACT": self.abstract,
                "ESCAPE_SHM": str(self.key), "ESCAPE_VICTIM": VICTIM, "ESCAPE_STARTER": "1", "ESCAPE_PIDS": str(PIDS),
                "ESCAPE_MEMORY": str(MEMORY_MB * MIB), "ESCAPE_SCRATCH": str(SCRATCH_MB * MIB)}


class Node(harness.FlowTest):
    """A node, an image of hostile jobs, and a neighbour whose payload is a secret."""

    ENV = LIMITS
    JOB = {}  # more fields of its jobs' codes

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.addClassCleanup(harness.FlowTest.tearDownClass.__func__, cls)
        cls.before_jobs()
        cls.folder = harness.scratch()
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.host = Host()
        cls.addClassCleanup(cls.host.close)
        write_tar(os.path.join(cls.folder, "hostile.tar"))
        cls.import_image("hostile", "hostile.tar")
        cls.stoker.code("neighbour", "/hostile wait", image="hostile", **cls.JOB)
        cls.neighbour = cls.stoker.queue("neighbour", payload=MARK)
        cls.stoker.wait_state(cls.neighbour, "running")

    @classmethod
    def tearDownClass(cls):
        pass  # the cleanups above also run if setUpClass fails half-way

    @classmethod
    def before_jobs(cls):
        pass

    @classmethod
    def import_image(cls, name, tar, config=None):
        arguments = ["image", "import", name, os.path.join(cls.folder, tar)]
        if config is not None:
            path = os.path.join(cls.folder, name + ".json")
            with open(path, "w") as file:
                json.dump(config, file)
            arguments += ["--image-config", path]
        done = cls.stoker.cli(*arguments, "-c", os.path.join(cls.stoker.var, "conf", "admin.conf"))
        if done.returncode != 0:
            raise AssertionError(done.stderr)

    def run_hostile(self, name, what, image="hostile", env=None):
        self.stoker.code(name, "/hostile " + what, image=image, **dict(self.JOB, **({"env_vars": env} if env else {})))
        task = self.stoker.run_task(name, payload="its own payload", seconds=60)
        return task, self.stoker.task_log(task["id"]).decode()

    def attack(self, **more):
        task, log = self.run_hostile("all", "all", env=dict(self.host.variables(self.stoker), **more))
        self.assertEqual(task["state"], "complete", (task, log[-500:]))
        return rows(log)

    def expect_contained(self, **more):
        table = self.attack(**more)
        self.assertGreaterEqual(len(table), ATTACKS_LEAST)
        through = ["%s: %s" % (name, words) for name, (verdict, _, words) in table.items() if verdict != "held"]
        self.assertEqual(through, [])
        self.assertIsNone(self.host.victim.poll())
        self.assertEqual(self.stoker.task(self.neighbour)["status"], "running")
        return table

    # --- what runs here must really be able to escape -------------------------------------------------------

    def opened_world(self):
        """Environment and folders of the host for an opened container."""
        env = dict(self.host.variables(self.stoker), STOKER_TEST_TMP="a variable of the node",
                   ESCAPE_STARTER=str(self.host.victim.pid))
        return env, [self.stoker.node, self.stoker.run + "/s", "/sys/fs/cgroup"]

    def attack_from_an_opened_container(self):
        rootfs = os.path.join(self.folder, "rootfs")
        with tarfile.open(os.path.join(self.folder, "hostile.tar")) as tar:
            tar.extractall(rootfs)
        with open(os.path.join(rootfs, "task", "task_payload.json"), "w") as payload:
            payload.write("its own payload")
        env, binds = self.opened_world()
        return rows(opened.run(self.folder, rootfs, ["/hostile", "every"], env, binds))

    def expect_open(self, table):
        """Every attack got through, or the host lacks what it takes."""
        self.assertGreaterEqual(len(table), ATTACKS_LEAST)
        held = {name: (why_not(needs, words), words) for name, (verdict, needs, words) in table.items()
                if verdict == "held"}
        for name, (why, _) in sorted(held.items()):
            print("not tried: %s: %s" % (name, why))
        self.maxDiff = None
        self.assertEqual({name: words for name, (why, words) in held.items() if not why}, {})
        self.host.end_victim()
        self.host.victim = self.host.start_victim()


@functools.lru_cache(maxsize=None)
def rights_of_host():
    return opened.host_capabilities()


def why_not(needs, words):
    """Why even an opened container holds an attack; None if there is no reason for it."""
    if needs != "-" and needs not in rights_of_host():
        return "this host lacks CAP_" + needs.upper()
    path = words.partition(":")[0]
    if path.startswith(("/proc/", "/sys/", "/dev/")) and not os.path.exists(path):
        return "this host has no " + path
    return next(("its kernel has none: " + words for missing in MISSING_IN_KERNEL if missing in words), None)


class Crun(Node):
    def test_every_attack_succeeds_in_an_opened_container(self):
        self.expect_open(self.attack_from_an_opened_container())

    def test_every_attack_is_contained(self):
        self.expect_contained()

    def test_every_attack_is_contained_on_a_disk_too(self):
        self.stoker.code("all", "/hostile all", image="hostile", scratch="disk")
        table = self.expect_contained(ESCAPE_SCRATCH=str(DISK_MB * MIB))
        self.assertIn("No space left", table["fill scratch"][2])
        self.assertIn("No space left", table["files in scratch"][2])
        self.stoker.code("all", "/hostile all", image="hostile", scratch="memory")

    def disks(self):
        """Loop devices whose file was this node's."""
        listed = subprocess.run(["losetup", "--noheadings", "--list", "--output", "BACK-FILE"], stdout=subprocess.PIPE,
                                text=True, check=True).stdout
        return [line for line in listed.splitlines() if "/node/jobs/" in line and (self.stoker.hash in line or self.stoker.var in line)]

    def test_a_disk_holds_more_than_memory_and_goes_with_its_job_also_after_kill_9(self):
        self.stoker.code("disk", "sh -c 'dd if=/dev/zero of=/tmp/big bs=1M count=%d && wc -c </tmp/big; sleep 300'" %
                         (MEMORY_MB + 40), image="busybox", scratch="disk")
        self.assertEqual(self.stoker.post("codes", {"name": "disk", "scratch": "/"}).status, 400)
        task = self.stoker.queue("disk")
        self.stoker.wait_state(task, "running")
        size = b"%d\n" % ((MEMORY_MB + 40) * MIB)
        harness.wait_for(lambda: size in self.stoker.get("tasks/%s/log" % task).body, 60, "the job to have written")
        self.assertEqual(len(self.disks()), 1)
        with open(os.path.join(self.stoker.node, "jobs", task + "-1", "monitor.pid")) as file:
            os.kill(int(file.read().split()[0]), 9)
        harness.wait_for(lambda: not self.disks(), what="the disk to go with its job")
        self.stoker.wait_state(task, *harness.SETTLED)

    def test_what_ends_a_job_ends_that_job_alone(self):
        task, _ = self.run_hostile("deadly", "memfd", env=self.host.variables(self.stoker))
        # whom of so few the kernel takes is its own affair: the attacker, or the job as a whole
        self.assertIn((task["state"], task["cause"]), (("killed", "out_of_memory"), ("complete", "exit")))
        (note,), = self.stoker.sql("SELECT note FROM attempt WHERE task_id = UNHEX('%s')" % task["id"])
        self.assertIn("limit of %d MiB" % MEMORY_MB, note)
        task, _ = self.run_hostile("kill-all", "kill-all")
        self.assertEqual((task["state"], task["exit_code"]), ("error", 7))
        self.assertEqual(self.stoker.task(self.neighbour)["status"], "running")

    def test_a_daemon_ends_with_its_job(self):
        task, _ = self.run_hostile("daemon", "daemon")
        self.assertEqual(task["state"], "complete")
        self.assertEqual(self.attempts_with_processes(), {self.neighbour + "-1"})

    def attempts_with_processes(self):
        found = set()
        for node in self.stoker.cgroups():
            for folder, _, _ in os.walk(node):
                with open(os.path.join(folder, "cgroup.procs")) as pids:
                    if pids.read():
                        found.add(os.path.relpath(folder, node).split("/")[0])
        return found

    def test_an_image_of_links_leads_nowhere(self):
        astray = {name: "/etc" for name in FOLDERS if name != "etc"}
        for number, target in enumerate(("/etc", "../../../../etc", "/proc/self/root/etc", "/hostile")):
            with self.subTest(target=target):
                image = "links-%d" % number
                write_tar(os.path.join(self.folder, image), {name: target for name in astray})
                self.import_image(image, image)
                task, log = self.run_hostile(image, "look", image=image)
                self.assertEqual(task["state"], "complete", task)
                kinds = dict(line.split(" ", 1) for line in log.splitlines())
                self.assertEqual((kinds["/proc"], kinds["/sys"], kinds["/dev"], kinds["/dev/shm"]),
                                 ("9fa0", "62656572", "1021994", "1021994"))
                self.assertEqual((kinds["/tmp"], kinds["/task"]), ("794c7630", "794c7630"))
                self.assertEqual(kinds["host"], "unseen")

    def test_a_working_folder_leads_nowhere(self):
        for number, folder in enumerate(("/proc/self/fd/7", "/proc/self/fd/8", "/proc/1/cwd", "/proc/1/root",
                                         "/../../..", "/proc/self/cwd/../..", "/dev/fd/3", "../..")):
            with self.subTest(folder=folder):
                image = "workdir-%d" % number
                self.import_image(image, "hostile.tar", {"WorkingDir": folder})
                task, log = self.run_hostile(image, "look", image=image)
                if task["state"] == "complete":
                    self.assertIn("host unseen", log)
                else:
                    self.assertEqual(task["cause"], "not_executable", task)
                    self.assertIn("enter the working directory", task["note"])

    def test_a_program_for_another_machine_says_so(self):
        path = os.path.join(self.folder, "foreign.tar")
        head = bytes.fromhex("7f454c4602010100") + bytes(8) + bytes.fromhex("0200b70001000000") + bytes(100)
        with tarfile.open(path, "w") as tar:
            entry = tarfile.TarInfo("program")
            entry.size, entry.mode = len(head), 0o755
            tar.addfile(entry, io.BytesIO(head))
        self.import_image("foreign", "foreign.tar")
        self.stoker.code("foreign", "/program", image="foreign")
        task = self.stoker.run_task("foreign")
        self.assertEqual((task["state"], task["cause"], task["exit_code"]), ("error", "wrong_platform", 126))
        self.assertIn("arm64", task["note"])

    # --- the whole container, as the runtime is told --------------------------------------------------------

    def spec_of(self, task):
        """config.json of a running task, with what differs from job to job replaced."""
        attempt = task + "-1"
        with open(os.path.join(self.stoker.node, "jobs", attempt, "monitor.pid")) as file:
            monitor = file.read().split()[0]
        found = glob.glob("/proc/%s/root/*/b/config.json" % monitor)
        with open(found[0]) as file:
            text = file.read()
        stage = "/" + found[0].split("/")[4]
        spec = json.loads(text.replace(attempt, "ATTEMPT").replace(task, "TASK").replace(stage + "/", "/STAGE/")
                          .replace("stoker-" + self.stoker.hash, "NODE"))
        for which in ("uidMappings", "gidMappings"):
            base = spec["linux"][which][0].pop("hostID")
            self.assertEqual((base - 1048576) % 65536, 0)
        if "seccomp" in spec["linux"]:
            self.assertGreater(len(spec["annotations"].pop("run.oci.seccomp_bpf_data")), 1000)
        spec.setdefault("annotations", {})
        spec["linux"]["resources"]["memory"].pop("swap", None)  # where the host can limit it
        self.assertIn(spec["linux"]["resources"].pop("devices"), ([{"access": "rwm", "allow": False}], []))
        for limit in spec["process"]["rlimits"]:
            if limit["type"] == "RLIMIT_NOFILE":
                self.assertLessEqual(limit.pop("hard"), 65536)
        return spec

    def spec_of_code(self, code, **task):
        ident = self.stoker.queue(code, **task)
        self.stoker.wait_state(ident, "running")
        try:
            return self.spec_of(ident)
        finally:
            self.stoker.post("tasks/%s/cancel" % ident)

    def expect_all_fields(self, source, covered):
        """Each that the API reads of a code or a task is among those that were hostile."""
        with open(os.path.join(HERE, "..", "..", "lib", "model", source)) as file:
            read = set(re.findall(r'\b(?:read|json_get|callback_states)_\w+\(cx, \w+, "(\w+)"', file.read()))
        self.assertGreater(len(read), 8)
        self.assertEqual(read - covered, set())

    def test_the_spec_knows_nothing_of_what_people_write(self):
        """Every field of the API is hostile; the spec is that of a harmless job, and the golden one."""
        self.stoker.code("harmless", "/hostile wait", image="hostile", config="c", env_vars={"A": "b"})
        harmless = self.spec_of_code("harmless", payload="{}")
        code, task, foreign = hostile_fields("oci")
        self.stoker.code("evil", image="hostile", **dict(code, **foreign))
        hostile = self.spec_of_code("evil", **dict(task, **foreign))
        self.expect_all_fields("code_json.c", set(code) | {"name", "image"})
        self.expect_all_fields("order_json.c", set(task) | {"code_name", "tasks"})
        for field in ("follow_tag", "output", "scratch", "on_node_loss", "engine", "grace", "memory_mb", "timeout"):
            reply = self.stoker.post("codes", {"name": "evil", "image": "hostile", field: code["config"]})
            self.assertEqual((reply.status, field in reply.json["msg"]), (400, True), (field, reply))
        self.assertEqual(hostile, harmless)
        with open(os.path.join(HERE, "spec.golden.json")) as file:
            self.assertEqual(json.dumps(hostile, indent=1, sort_keys=True) + "\n", file.read())

    def test_an_operator_relaxes_item_by_item_and_each_change_is_kept(self):
        self.stoker.code("relaxed", "/hostile wait", image="hostile")
        strict = self.spec_of_code("relaxed")

        def relax(verb, item):
            return self.stoker.admin("code", verb, "relaxed", item, "--project", self.stoker.project)

        self.assertEqual(relax("relax", "capability=sys_admin").returncode, 2)
        for item in ("seccomp=off", "capability=chown", "writable=proc-sys"):
            done = relax("relax", item)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.stoker.code("relaxed", "/hostile wait", image="hostile")  # a new revision changes nothing of it
        spec = self.spec_of_code("relaxed")
        self.assertEqual(spec["process"]["capabilities"], {name: ["CAP_CHOWN"] for name in strict["process"]["capabilities"]})
        self.assertNotIn("seccomp", spec["linux"])
        self.assertEqual(set(strict["linux"]["readonlyPaths"]) - set(spec["linux"]["readonlyPaths"]), {"/proc/sys"})
        for where, what in (("process", "capabilities"), ("linux", "seccomp"), ("linux", "readonlyPaths")):
            spec[where][what] = strict[where][what]
        self.assertEqual(spec, strict)
        for item in ("seccomp=off", "capability=chown", "writable=proc-sys"):
            self.assertEqual(relax("tighten", item).returncode, 0)
        self.assertEqual(self.spec_of_code("relaxed"), strict)
        changes = json.loads(self.stoker.admin("code", "relaxations", "--json").stdout)["changes"]
        self.assertEqual([c["change"] for c in changes if c["code"] == "relaxed"],
                         ["-writable=proc-sys", "-capability=chown", "-seccomp=off", "writable=proc-sys", "capability=chown",
                          "seccomp=off"])
        self.assertEqual({c["by"].split()[0] for c in changes}, {"root"})


    # --- what the host cannot give --------------------------------------------------------------------------

    def test_strict_isolation_runs_no_job_where_something_is_lacking(self):
        launcher = os.path.join(harness.BUILD, "bin", "stoker-launcher")
        for isolation in ("usual", "strict"):
            done = subprocess.run([launcher, "--probe", "--node", self.folder, "--cgroup", "stoker-" + self.stoker.hash +
                                   "/strict", "--isolation", isolation], stdout=subprocess.PIPE, text=True, timeout=60)
            lacking = [line for line in done.stdout.splitlines()
                       if line.startswith("no ") and not line.startswith(("no network", "no disk for"))]
            self.assertEqual(done.returncode, 1 if isolation == "strict" and lacking else 0, done.stdout)
        said = self.stoker.admin("doctor").stdout
        for line in lacking:
            self.assertIn(line.split(": ", 1)[1], said)
        self.assertIn("a hardened test container ran", said)


class Runc(Node):
    ENV = dict(LIMITS, STOKER_NODE_RUNTIME="runc")

    def test_every_attack_is_contained(self):
        self.expect_contained()



if __name__ == "__main__":
    harness.main()
