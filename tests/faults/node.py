"""A second node of an instance: a runner of its own in the instance's mounts, with a network of its own, whose one
way to the database is a link that can be cut."""
import contextlib
import glob
import os
import shutil
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "flow"))
import harness  # noqa: E402


def run(*command):
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def pids_in(cgroup):
    """None of a group that has gone meanwhile, as a job's does when it ends."""
    try:
        with open(os.path.join(cgroup, "cgroup.procs")) as pids:
            return [int(pid) for pid in pids.read().split()]
    except OSError:
        return []


def uptime():
    """The clock that containers share with this machine, to the hundredth."""
    with open("/proc/uptime") as file:
        return float(file.read().split()[0])


class Node:
    """`number` 1 to 200 within the instance. It has the instance's images, and `slots` slots."""

    def __init__(self, stoker, number, slots=1):
        self.stoker, self.number, self.slots = stoker, number, slots
        self.name = "node%d" % number
        self.folder = harness.scratch("stoker-node-")
        self.link = "st%s%d" % (stoker.hash[:6], number)
        self.here = "10.%d.%d.%d" % (int(stoker.hash[:2], 16), int(stoker.hash[2:4], 16), number)
        self.cgroup = "stoker-%s/%s" % (stoker.hash, self.name)
        self.anchor = self.proxy = self.runner = None

    def open_network(self):
        """A link with the proxy's address on the host's end, nothing else."""
        self.anchor = subprocess.Popen(["unshare", "-n", "sleep", "1000"])
        harness.wait_for(lambda: os.readlink("/proc/%d/ns/net" % self.anchor.pid) != os.readlink("/proc/self/ns/net"), 5,
                         "a network namespace")
        run("ip", "link", "add", self.link, "type", "veth", "peer", "name", "up0", "netns", str(self.anchor.pid))
        run("ip", "addr", "add", self.here + "/32", "dev", self.link)
        run("ip", "link", "set", self.link, "up")
        inside = ("nsenter", "-t", str(self.anchor.pid), "-n", "ip")
        there = "169.254.1.%d" % self.number
        run(*inside, "addr", "add", there + "/32", "dev", "up0")
        run(*inside, "link", "set", "lo", "up")
        run(*inside, "link", "set", "up0", "up")
        run(*inside, "route", "add", self.here + "/32", "dev", "up0")
        run("ip", "route", "add", there + "/32", "dev", self.link)
        self.proxy = subprocess.Popen([sys.executable, "-B", HERE + "/proxy.py", self.here + ":3306",
                                       self.stoker.run + "/s/db.sock"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.proxy.stdout.readline()

    def start(self):
        os.mkdir(self.folder + "/node")
        shutil.copytree(self.stoker.node + "/images", self.folder + "/node/images", symlinks=True)
        self.open_network()
        self.log = open(self.folder + "/log", "w")
        self.start_runner()
        harness.wait_for(lambda: "session_began" in self.said(), 20, "the node %s to begin: %s" % (self.name, self.said()))
        return self

    def start_runner(self):
        """Again, when it was killed: it takes its node's session over."""
        env = dict(self.stoker.env, STOKER_NODE_NAME=self.name, STOKER_NODE_DIR=self.folder + "/node",
                   STOKER_NODE_CGROUP=self.cgroup, STOKER_NODE_SLOTS=str(self.slots),
                   STOKER_NODE_UID_BASE=str(1048576 + 65536 * 100 * self.number), **self.database())
        self.runner = subprocess.Popen(["nsenter", "-t", str(self.stoker.pid("keeper")), "-m", *self.inside(),
                                        self.stoker.run + "/var/app/bin/stoker-worker", "runner",
                                        "-c", self.stoker.run + "/var/conf/worker.conf"], env=env, stdin=subprocess.DEVNULL,
                                       stdout=self.log, stderr=self.log)

    def inside(self):
        return "nsenter", "-t", str(self.anchor.pid), "-n"

    def database(self):
        return {"STOKER_DATABASE_SOCKET": "", "STOKER_DATABASE_HOST": self.here, "STOKER_LOGS_SOCKET": "", "STOKER_LOGS_HOST": self.here}

    def said(self):
        with open(self.folder + "/log") as file:
            return file.read()

    def processes(self):
        """{pid: name}: runner, launcher and monitors, by the folder that they work in or stand in."""
        found = {}
        for path in glob.glob(self.folder + "/node/jobs/*/monitor.pid"):
            with contextlib.suppress(OSError, IndexError, ValueError), open(path) as file:
                pid, began = map(int, file.read().split())
                with open("/proc/%d/stat" % pid) as stat:
                    if int(stat.read().rpartition(")")[2].split()[19]) == began:
                        found[pid] = "stoker-monitor"
        for pid, name in self.stoker.processes().items():
            try:
                with open("/proc/%d/environ" % pid, "rb") as file:
                    named = ("STOKER_NODE_NAME=" + self.name).encode() in file.read().split(b"\0")
                at_home = os.readlink("/proc/%d/cwd" % pid).startswith(self.folder)
            except OSError:
                continue
            if named or at_home:
                found[pid] = name
        return found

    def pause(self):
        os.kill(self.runner.pid, signal.SIGSTOP)

    def resume(self):
        os.kill(self.runner.pid, signal.SIGCONT)

    def kill_runner(self):
        self.runner.kill()
        self.runner.wait()

    def cut(self):
        run("ip", "link", "set", self.link, "down")

    def die(self):
        """All of it at once, as when its power goes: nobody hears any more how another ends."""
        for sig in (signal.SIGSTOP, signal.SIGKILL):
            for pid in self.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, sig)
        for top in self.stoker.cgroups():
            for below, _, _ in os.walk(os.path.join(top, self.name)):
                for pid in pids_in(below):
                    self.stoker._kill(pid)

    def remove(self):
        if self.runner and self.runner.poll() is None:
            self.resume()
            self.runner.kill()
        self.die()
        if self.runner:
            self.runner.wait()
            self.log.close()
        if self.proxy:
            self.proxy.stdin.close()
            self.proxy.wait()
            self.proxy.stdout.close()
        if self.anchor:
            subprocess.run(["ip", "link", "del", self.link], stderr=subprocess.DEVNULL)
            self.anchor.kill()
            self.anchor.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class NearNode(Node):
    """One with the instance's own way to its database."""

    def open_network(self):
        pass

    def inside(self):
        return ()

    def database(self):
        return {}
