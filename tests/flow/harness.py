"""Whole instances for flow tests: nginx, FastCGI, MariaDB, the worker's roles and containers.

    import harness

    class Jobs(harness.FlowTest):            # one instance per class, in cls.stoker
        def test_a_job_ends_with_its_exit_status(self):
            self.stoker.code("seven", "sh -c 'exit 7'")
            task = self.stoker.run_task("seven")
            self.assertEqual(task["state"], "error")

    if __name__ == "__main__":
        harness.main()

Python's standard library only. Nothing uses a fixed port, and nothing stays: an instance ends with
the test program, however that ends (conf/instance.sh, STOKER_THROWAWAY).
"""
import atexit
import collections
import hashlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(TOP, os.environ.get("O", "build"))
SCRIPT = os.path.join(TOP, "conf", "instance.sh")
SETTLED = ("complete", "error", "timeout", "cancelled", "killed", "expired")

_alive = []


class Reply:
    """Status, headers (lower-case names), body as bytes."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    def __repr__(self):
        return "<%d %s>" % (self.status, self.text[:200])


def scratch(prefix="stoker-test-"):
    """A fresh folder below the one that tests/run.sh looks into at its end."""
    folder = tempfile.mkdtemp(prefix=prefix, dir=os.environ.get("STOKER_TEST_TMP", "/tmp"))
    os.chmod(folder, 0o755)
    return folder


def link_of(path):
    """Where a link leads; '' if it has gone meanwhile, as descriptors in /proc do."""
    try:
        return os.readlink(path)
    except FileNotFoundError:
        return ""


def wait_for(check, seconds=20, what="a condition", every=0.05):
    """Returns the first true answer of check(); fails after so many seconds."""
    until = time.monotonic() + seconds
    while True:
        answer = check()
        if answer:
            return answer
        if time.monotonic() > until:
            raise AssertionError("waited %s s for %s" % (seconds, what))
        time.sleep(every)


def process_exists(pid):
    try:
        with open("/proc/%d/stat" % pid) as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def server_events(reply):
    """The fields of each event of a stream, as it comes; `data` read as JSON."""
    fields = {}
    for line in reply:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name:
            fields[name] = value
        elif "data" in fields:
            yield dict(fields, data=json.loads(fields["data"]))
            fields = {}


class Instance:
    """One private instance. `env` is added to the environment of its programs: any key of the
    configuration as STOKER_<SECTION>_<KEY>; `demo` as STOKER_DEMO ("image": busybox is imported)."""

    def __init__(self, env=None, var=None, port=0, demo="image", script=SCRIPT, build=BUILD):
        self.own_var = var is None
        self.var = os.path.realpath(var or scratch())
        self.hash = hashlib.sha256(os.fsencode(self.var)).hexdigest()[:8]
        self.run = "/run/stoker-" + self.hash
        self.script, self.build = script, build
        self.node = os.path.join(self.var, "node")
        self.env = dict(os.environ, VAR=self.var, PORT=str(port), O=build, STOKER_DEMO=demo,
                        STOKER_THROWAWAY=str(os.getpid()))
        self.env.update({"STOKER_NODE_GRACE_S": "2"})
        self.env.update(env or {})
        self.port = None
        results = os.environ.get("STOKER_TEST_RESULTS")
        if results:
            with open(os.path.join(results, "instances"), "a") as known:
                known.write(self.hash + "\n")

    # --- life -----------------------------------------------------------------------------------

    def script_command(self, command, **more):
        return subprocess.run([self.script, command], env=self.env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)

    def start(self):
        _alive.append(self)
        done = self.script_command("up")
        self.output = done.stdout
        if done.returncode != 0:
            raise AssertionError("the instance did not start:\n%s%s" % (done.stdout, self.logs()))
        self.read_env()
        return self

    def read_env(self):
        with open(os.path.join(self.run, "port")) as port:
            self.port = int(port.read())
        self.iron = {}
        with open(os.path.join(self.var, "stoker.env")) as lines:
            for line in lines:
                name, _, value = line.strip().partition("=")
                self.iron[name] = value
        self.token = self.iron["IRON_TOKEN"]
        self.project = self.iron["IRON_PROJECT_ID"]

    def stop(self):
        done = self.script_command("down")
        if self in _alive:
            _alive.remove(self)
        if done.returncode != 0:
            raise AssertionError("the instance did not stop:\n" + done.stdout)
        return done

    def sanitizer_reports(self):
        """What ASan, UBSan and LeakSanitizer said in the programs' logs (make check-asan, test_soak); a
        process that dies of it is started again, and nobody else would notice."""
        reports = []
        for role in ("api", "tail", "runner", "scheduler", "courier"):
            lines = self.log(role).splitlines()
            reports += ["%s: %s" % (role, "\n".join(lines[i:i + 40])) for i, line in enumerate(lines)
                        if "Sanitizer" in line and "ERROR" in line or ": runtime error: " in line]
        return reports

    def remove(self):
        """Stops it, whatever state it is in, and removes its folder."""
        try:
            self.stop()
            reports = self.sanitizer_reports()
            if reports:
                raise AssertionError("%d sanitizer reports, the first:\n%s" % (len(reports), reports[0]))
        finally:
            if self.own_var:
                shutil.rmtree(self.var, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.remove()

    # --- its processes -----------------------------------------------------------------------------

    def pid(self, role):
        """keeper, mariadb, api, tail, runner, scheduler, courier or nginx; None while it is down."""
        try:
            with open(os.path.join(self.run, "pid", role)) as file:
                pid = int(file.read().split()[0])
        except (OSError, IndexError, ValueError):
            return None
        return pid if process_exists(pid) else None

    def kill(self, role, sig=signal.SIGKILL):
        """Sends a signal to a role's (first) process and returns its pid; the keeper starts again
        what died."""
        pid = self.pid(role)
        os.kill(pid, sig)
        return pid

    def wait_restarted(self, role, old_pid, seconds=15):
        return wait_for(lambda: self.pid(role) not in (None, old_pid) and self.pid(role), seconds,
                        role + " to be started again")

    def another(self, role, under=lambda words: words):
        """One more process of a role that needs no root, where the instance's own one lives; `under` may put words in
        front of its command (clocks.py). The caller ends it."""
        pid = self.pid(role)
        uid = str(os.stat("/proc/%d" % pid).st_uid)
        with open("/proc/%d/cmdline" % pid, "rb") as words:
            words = words.read().decode().split("\0")[:-1]
        drop = ["setpriv", "--reuid", uid, "--regid", uid, "--clear-groups"]
        return subprocess.Popen(["nsenter", "-t", str(self.pid("keeper")), "-m", *drop, *under(words)], stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL, env=self.env)

    def processes(self):
        """{pid: name} of all that run in the instance's private mounts, monitors included."""
        found = {}
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                with open("/proc/%s/mountinfo" % entry) as mounts:
                    if " %s/var " % self.run not in mounts.read():
                        continue
                with open("/proc/%s/comm" % entry) as comm:
                    found[int(entry)] = comm.read().strip()
            except OSError:
                continue
        return found

    def cgroups(self):
        found = []
        for folder, names, _ in os.walk("/sys/fs/cgroup"):
            found += [os.path.join(folder, name) for name in names if name == "stoker-" + self.hash]
        return found

    def kill_everything(self):
        """kill -9 of all of it, the keeper first, monitors and containers too."""
        if self.pid("keeper"):
            self.kill("keeper")
        # who would still tell how another died goes before that one: runner, monitors, the rest
        order = {"stoker-worker": 0, "stoker-launcher": 0, "stoker-monitor": 1}
        for pid, _ in sorted(self.processes().items(), key=lambda found: order.get(found[1], 2)):
            self._kill(pid)
        self.kill_containers()
        for pid in self.processes():
            self._kill(pid)
        wait_for(lambda: not self.processes(), 10, "all processes to be gone")

    def kill_containers(self):
        for folder in self.cgroups():
            for below, _, _ in os.walk(folder):
                with open(os.path.join(below, "cgroup.procs")) as pids:
                    for pid in pids.read().split():
                        self._kill(int(pid))

    @staticmethod
    def _kill(pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def log(self, role):
        try:
            with open(os.path.join(self.var, "log", role + ".log"), errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    def logs(self, lines=12):
        out = ""
        for role in ("api", "tail", "runner", "scheduler", "courier", "nginx", "mariadb", "migrate", "demo"):
            last = self.log(role).splitlines()[-lines:]
            out += "--- %s\n%s\n" % (role, "\n".join(last))
        return out

    # --- its database ---------------------------------------------------------------------------------

    def sql(self, query, database="stoker"):
        """Rows as tuples of text (None for NULL), as MariaDB's root."""
        done = subprocess.run(["mariadb", "--no-defaults", "-u", "root", "-S", self.run + "/s/db.sock",
                               "-N", "-B", database, "-e", query], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, errors="replace")
        if done.returncode != 0:
            raise AssertionError("%s: %s" % (query, done.stderr.strip()))
        return [tuple(None if field == "NULL" else field for field in line.split("\t"))
                for line in done.stdout.splitlines()]

    # --- HTTP ------------------------------------------------------------------------------------------

    def request(self, method, path, body=None, headers=None, token=True, timeout=30):
        """`path` absolute, or relative to the demo project; a body that is no bytes goes as JSON."""
        if not path.startswith("/"):
            path = "/2/projects/%s/%s" % (self.project, path)
        headers = dict(headers or {})
        if token:
            headers.setdefault("Authorization", "OAuth " + (self.token if token is True else token))
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            return Reply(reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read())
        finally:
            connection.close()

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def post(self, path, body=None, **more):
        return self.request("POST", path, {} if body is None else body, **more)

    # --- jobs --------------------------------------------------------------------------------------------

    def code(self, name, command, image="busybox", **more):
        """Registers an image code; its fields as POST P/codes takes them."""
        reply = self.post("codes", dict({"name": name, "image": image, "command": command}, **more))
        if reply.status != 200:
            raise AssertionError("POST codes: %r" % reply)
        return reply.json

    def idle_cluster(self):
        """The name of a cluster without a node: what goes there is queued, and runs not."""
        reply = self.post("/2/clusters", {"name": "nobody"})
        if reply.status not in (200, 409):
            raise AssertionError("POST clusters: %r" % reply)
        return "nobody"

    def queue(self, code, payload="", **more):
        reply = self.post("tasks", {"tasks": [dict({"code_name": code, "payload": payload}, **more)]})
        if reply.status != 200:
            raise AssertionError("POST tasks: %r" % reply)
        return reply.json["tasks"][0]["id"]

    def task(self, task_id):
        reply = self.get("tasks/" + task_id)
        if reply.status != 200:
            raise AssertionError("GET tasks/%s: %r" % (task_id, reply))
        return reply.json

    def wait_state(self, task_id, *states, seconds=30):
        def look():
            task = self.task(task_id)
            if task.get("state", task["status"]) in states:
                return task
            last.append(task)
            return None

        last = collections.deque(maxlen=1)
        try:
            return wait_for(look, seconds, "task %s to be %s" % (task_id, " or ".join(states)))
        except AssertionError as late:
            raise AssertionError("%s; it is %s" % (late, last and last[0])) from None

    def run_task(self, code, payload="", seconds=30, **more):
        """Queues a task and waits for its end."""
        return self.wait_state(self.queue(code, payload, **more), *SETTLED, seconds=seconds)

    def task_log(self, task_id):
        reply = self.get("tasks/%s/log" % task_id)
        if reply.status != 200:
            raise AssertionError("GET log: %r" % reply)
        return reply.body

    # --- the command line ------------------------------------------------------------------------------------

    def cli(self, *arguments, **more):
        """`stoker ...` with the project's token in its environment."""
        more.setdefault("timeout", 60)
        more.setdefault("text", True)
        return subprocess.run([os.path.join(self.build, "bin", "stoker"), *arguments],
                              env=dict(self.env, **self.iron), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)

    def background(self, *arguments):
        """The same, left running."""
        return subprocess.Popen([os.path.join(self.build, "bin", "stoker"), *arguments],
                                env=dict(self.env, **self.iron), text=True, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def admin(self, *arguments):
        return self.cli("admin", "-c", os.path.join(self.var, "conf", "admin.conf"), *arguments)


class FlowTest(unittest.TestCase):
    """Tests that share an instance, started once a class; `ENV` goes to its programs."""

    ENV = {}
    DEMO = "image"

    @classmethod
    def setUpClass(cls):
        cls.stoker = Instance(env=cls.ENV, demo=cls.DEMO)
        try:
            cls.stoker.start()
        except BaseException:
            cls.stoker.remove()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.stoker.remove()


def _tidy():
    for instance in list(_alive):
        try:
            instance.remove()
        except AssertionError as error:
            print(error, file=sys.stderr)


def _leave(signum, _frame):
    sys.exit(128 + signum)


def main():
    atexit.register(_tidy)
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGHUP, _leave)
    unittest.main(verbosity=2)
