"""A node's privileged half as it is: launcher, monitors and stoker-init, with neither runner nor database; and the
daemons that its engines may be, each private to the test: own data, own socket, no network of the host touched."""
import contextlib
import ctypes
import hashlib
import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("O", "build"), "bin")
TMP = os.environ.get("STOKER_TEST_TMP", "/tmp")
WAIT_S = 60
LEASE_S = int(os.environ.get("STOKER_TEST_SECONDS", "240")) + 60  # who kills this program leaves its jobs for no longer
SLOTS = 16
MB = 1 << 20
RUNNER = 1234  # uid and gid that the launcher takes for the runner's

REQUEST = struct.Struct("<IHH12sIII32sQQQQQIIIIIIIBBBBBBH12s32s")
REPLY = struct.Struct("<IHH12sIIi224s")
FRAME = struct.Struct("<IBxxxQ")
MAGIC, VERSION = 0x4B4C5453, 2
LAUNCH, REMOVE, SWEEP, UNPACK, IMAGE = 2, 3, 4, 5, 6
OK, REFUSED, NO_IMAGE, BUSY, FAILED, NODE = range(6)
ENGINES = {"oci": 0, "docker": 1, "podman": 2, "swarm": 3}
APPLETS = ("sh cat dd echo env false grep head hostname id ip kill ls mkdir mount nproc printf ps pwd readlink rm seq "
           "sleep stat tail touch true ulimit unshare wc yes nslookup ln chmod").split()


def boot_us():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


def wait_for(what, seconds=WAIT_S, of="a thing"):
    """Until what() is true: nothing here relies on a time, but a time bounds every wait."""
    end = time.monotonic() + seconds
    while True:
        got = what()
        if got:
            return got
        if time.monotonic() > end:
            raise AssertionError("waited %d s for %s" % (seconds, of))
        time.sleep(0.01)


def pidfd(pid):
    return os.pidfd_open(pid)


def memfd(data):
    fd = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, data)
    libc = ctypes.CDLL(None)
    libc.fcntl(fd, 1033, 15)  # F_ADD_SEALS: SEAL, SHRINK, GROW, WRITE
    return fd


class Job:
    """One attempt that was asked for."""

    def __init__(self, node, reply, task, attempt):
        self.node, self.task, self.attempt = node, task, attempt
        self.status, self.monitor, self.message = reply
        self.id = "%s-%d" % (task.hex(), attempt)
        self.dir = os.path.join(node.dir, "jobs", self.id)
        self.fd = -1
        with contextlib.suppress(ProcessLookupError):  # it may have ended already
            self.fd = pidfd(self.monitor) if self.status == OK else -1

    def file(self, name):
        with open(os.path.join(self.dir, name), "rb") as f:
            return f.read()

    def has(self, name):
        return os.path.exists(os.path.join(self.dir, name))

    def send(self, order):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        fd = os.open(self.dir, os.O_RDONLY | os.O_DIRECTORY)
        try:
            s.sendto(order, "/proc/self/fd/%d/ctl" % fd)
        finally:
            os.close(fd)
            s.close()

    def wait_exit(self):
        wait_for(lambda: self.has("exit"), of="the end of %s" % self.id)
        end = dict(line.split("=", 1) for line in self.file("exit").decode().splitlines())
        return {k: int(v) if v.lstrip("-").isdigit() else v for k, v in end.items()}

    def wait_gone(self):
        """Its monitor has cleaned up."""
        if self.fd >= 0:
            assert select.select([self.fd], [], [], WAIT_S)[0], "the monitor of %s does not end" % self.id
            os.close(self.fd)
            self.fd = -1

    def stream(self, which):
        out, at = b"", 0
        data = self.file("head") if self.has("head") else b""
        while at < len(data):
            n, stream, _ = FRAME.unpack_from(data, at)
            at += FRAME.size
            if stream == which:
                out += data[at:at + n]
            at += n
        return out

    def out(self):
        return self.stream(1).decode("latin1")

    def err(self):
        return self.stream(2).decode("latin1")

    def wait_output(self, text):
        wait_for(lambda: text in self.out(), of="the output %r" % text)

    def end(self):
        """Exit file and output of a job that ends by itself, its monitor gone."""
        end = self.wait_exit()
        self.wait_gone()
        return end


class Node:
    """A node's folder, its launcher, and an image `contract` of busybox in its store."""
    count = 0

    def __init__(self, engines=None, isolation="usual"):
        self.isolation = isolation
        Node.count += 1
        self.name = "stoker-test-%d-e%d" % (os.getpid(), Node.count)
        self.dir = tempfile.mkdtemp(prefix="engine-", dir=TMP)
        os.chmod(self.dir, 0o755)
        self.engines = engines or {}
        self.jobs = []
        self.ids = {}
        self.make_image()
        self.set_lease(LEASE_S)
        self.events = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.events.bind(os.path.join(self.dir, "runner.sock"))
        self.start()

    def set_lease(self, seconds):
        with open(os.path.join(self.dir, "lease"), "wb") as f:
            f.write(struct.pack("<Q", boot_us() + int(seconds * 1e6)))

    def make_image(self):
        self.digest = hashlib.sha256(self.name.encode()).digest()
        images = os.path.join(self.dir, "images")
        self.rootfs = os.path.join(images, "sha256-" + self.digest.hex(), "rootfs")
        for folder in ("bin", "etc", "tmp", "proc", "sys", "dev"):
            os.makedirs(os.path.join(self.rootfs, folder), 0o755)
        os.chmod(os.path.join(self.rootfs, "tmp"), 0o1777)
        shutil.copy("/bin/busybox", os.path.join(self.rootfs, "bin/busybox"))
        for a in APPLETS:
            os.symlink("busybox", os.path.join(self.rootfs, "bin", a))
        with open(os.path.join(self.rootfs, "etc/data"), "w") as f:
            f.write("of the image\n")
        with open(os.path.join(self.rootfs, "bin/foreign"), "wb") as f:  # a program for s390x
            f.write(b"\x7fELF\x02\x02\x01" + bytes(9) + b"\x00\x02\x00\x16" + bytes(44))
        os.chmod(os.path.join(self.rootfs, "bin/foreign"), 0o755)
        with open(os.path.join(images, "sha256-" + self.digest.hex(), "config.json"), "w") as f:
            json.dump({"Cmd": ["/bin/sh"]}, f)
        os.makedirs(os.path.join(images, "names"))
        with open(os.path.join(images, "names", "contract"), "w") as f:
            f.write("sha256:%s\n" % self.digest.hex())

    def start(self):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        argv = [os.path.join(BUILD, "stoker-launcher"), "--node", self.dir, "--uid", str(RUNNER), "--gid", str(RUNNER),
                "--uid-base", str(100000000 + os.getpid() % 20000 * 65536 % 1000000000), "--slots", str(SLOTS),
                "--cgroup", self.name, "--runtime", "auto", "--isolation", self.isolation]
        for name, path in self.engines.items():
            argv += ["--" + name, path]
        self.launcher = subprocess.Popen(argv, preexec_fn=lambda: os.dup2(theirs.fileno(), 3), close_fds=False)
        theirs.close()
        self.sock = ours

    def stop(self):
        """As the end of the runner: the launcher goes, jobs stay."""
        self.sock.close()
        self.launcher.wait(WAIT_S)

    def ask(self, op, task=bytes(12), attempt=0, fds=(), **with_):
        rq = dict(slot=0, flags=0, digest=bytes(32), memory=64 * MB, scratch=16 * MB, timeout=3600000, head=5 * MB,
                  tail=5 * MB, grace=10000, pids=32, cpu=0, uid=0, gid=0, argc=0, envc=0, payload=0, config=0,
                  has_package=0, network=0, engine=0, disk=0, relaxed=0, package=bytes(32))
        rq.update(with_)
        packet = REQUEST.pack(MAGIC, VERSION, op, task, attempt, rq["slot"], rq["flags"], rq["digest"], rq["memory"],
                              rq["scratch"], rq["timeout"], rq["head"], rq["tail"], rq["grace"], rq["pids"], rq["cpu"],
                              rq["uid"], rq["gid"], rq["argc"], rq["envc"], rq["payload"], rq["config"],
                              rq["has_package"], rq["network"], rq["engine"], rq["disk"], rq["relaxed"], bytes(12),
                              rq["package"])
        socket.send_fds(self.sock, [packet], list(fds))
        for fd in fds:
            os.close(fd)
        assert select.select([self.sock], [], [], WAIT_S)[0], "the launcher does not answer"
        magic, _, got, _, _, status, number, text = REPLY.unpack_from(self.sock.recv(8192))
        assert magic == MAGIC and got == op
        return status, number, text.split(b"\0")[0].decode()

    def image(self, engine, name="contract"):
        """What a name is to an engine: its id; asserts that there is one."""
        status, _, why = self.ask_image(engine, name)
        assert status == OK, why
        key = hashlib.sha256(name.encode()).hexdigest()
        with open(os.path.join(self.dir, "images", "%s-%s" % (engine, key))) as f:
            return bytes.fromhex(json.load(f)["Id"].split(":")[1])

    def ask_image(self, engine, name):
        digest = hashlib.sha256(name.encode()).digest()
        return self.ask(IMAGE, digest[:12], fds=[memfd(name.encode())], engine=ENGINES[engine], digest=digest)

    def launch(self, engine, argv, env=(), workdir="", payload=None, config=None, task=None, attempt=1, digest=None, **with_):
        if isinstance(argv, str):
            argv = ["sh", "-c", argv]
        if digest is None and engine not in self.ids:
            self.ids[engine] = self.digest if engine == "oci" else self.image(engine)
        spec = b"".join(w.encode() + b"\0" for w in list(argv) + list(env) + [workdir])
        files = [f for f in (payload, config) if f is not None]
        task = task or os.urandom(12)
        with_.setdefault("slot", self.free_slot())
        reply = self.ask(LAUNCH, task, attempt, [memfd(spec)] + [memfd(f) for f in files], engine=ENGINES[engine],
                         digest=digest or self.ids[engine], argc=len(argv), envc=len(env), payload=int(payload is not None),
                         config=int(config is not None), **with_)
        job = Job(self, reply, task, attempt)
        job.slot = with_["slot"]
        self.jobs.append(job)
        return job

    def free_slot(self):
        taken = {j.slot for j in self.jobs if j.fd >= 0}
        return next(i for i in range(SLOTS) if i not in taken)

    def remove(self, job):
        return self.ask(REMOVE, job.task, job.attempt)

    def end_all(self):
        for job in self.jobs:
            if job.fd >= 0:
                try:
                    job.send(b"K")
                except OSError:
                    pass
                job.wait_gone()

    def close(self):
        self.end_all()
        for job in self.jobs:
            if self.launcher.poll() is None:
                wait_for(lambda: self.remove(job)[0] != BUSY, of="the removal of " + job.id)
        self.stop()
        self.events.close()
        shutil.rmtree(self.dir)


def mounts_below(folder):
    """In the order in which they were made."""
    with open("/proc/self/mountinfo") as f:
        return [line.split()[4] for line in f if line.split()[4].startswith(folder + "/")]


class Daemon:
    """What Docker and Podman have in common: an API at a socket."""
    name = None

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix=self.name + "-", dir=TMP)
        self.socket = os.path.join(self.dir, "sock")
        self.log = open(os.path.join(self.dir, "log"), "ab")
        self.process = None

    def ask(self, method, target, body=None):
        """Status and answer; a body of bytes is a tar."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        answer = b""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(WAIT_S)
            s.connect(self.socket)
            s.sendall(("%s %s HTTP/1.0\r\nHost: d\r\nContent-Type: application/%s\r\nContent-Length: %d\r\n\r\n" %
                       (method, target, "x-tar" if isinstance(body, bytes) else "json", len(data))).encode() + data)
            while True:
                more = s.recv(65536)
                if not more:
                    break
                answer += more
        head, _, text = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(text) if text.strip().startswith((b"{", b"[")) else text

    def answers(self):
        try:
            return self.ask("GET", "/_ping")[0] == 200
        except OSError:
            return False

    def start(self):
        self.process = subprocess.Popen(self.command(), stdout=self.log, stderr=self.log, env=self.environment(), cwd=self.dir,
                                        start_new_session=True)
        wait_for(self.answers, of="the daemon " + self.name)

    def environment(self):
        return dict(os.environ)

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(WAIT_S)

    def containers(self):
        return self.ask("GET", "/containers/json?all=true")[1]

    def has(self, job):
        return self.ask("GET", "/containers/stoker-%s/json" % job.id)[0] == 200

    def container_of(self, job):
        return "stoker-" + job.id

    def keeps(self, job):
        """Has it something of a job that has ended, and been cleaned up behind?"""
        return self.has(job)

    def take_name(self, name, image):
        """Something of others with that name; what it is asked for by."""
        return "/containers/%s/json" % self.ask("POST", "/containers/create?name=" + name, {"Image": image, "Cmd": ["sh"]})[1]["Id"]

    def close(self):
        if self.process.poll() is None:
            for c in self.containers():
                self.ask("DELETE", "/containers/%s?force=true&v=true" % c["Id"])
            self.stop()
        self.clean()
        while mounts_below(self.dir):
            subprocess.run(["umount", "-l", mounts_below(self.dir)[-1]], check=True)  # one may hide another: the last first
        self.log.close()
        shutil.rmtree(self.dir)


class Docker(Daemon):
    name = "docker"
    live_restore = True

    def command(self):
        # one containerd of its own, which outlives a dockerd that is killed
        d = self.dir
        return ["dockerd", "--data-root", d + "/data", "--exec-root", d + "/exec", "--pidfile", d + "/pid", "-H", "unix://" + self.socket,
                "--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-masq=false", "--config-file", d + "/none.json",
                "--cgroup-parent", "/stoker-test-%d-dockerd" % os.getpid()] + (["--live-restore"] if self.live_restore else [])

    def start(self):
        with open(self.dir + "/none.json", "w") as f:
            f.write("{}")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.dir + "/pid")  # of one that was killed; its number may be another's by now
        super().start()

    def stop(self, how=signal.SIGTERM):
        super().stop(how)
        # its containerd, below our own exec root, dies with it; a dockerd that still sees it waits for it in vain
        wait_for(lambda: not processes_of(self.dir + "/exec/containerd/containerd.toml"), of="the end of containerd")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.dir + "/exec/containerd/containerd.pid")  # where nobody buries it, it seems to live

    def clean(self):
        for pid, _ in processes_of("-address " + self.dir + "/exec"):
            os.kill(pid, signal.SIGKILL)  # shims of containers that outlived their daemon
        drop_cgroups("stoker-test-%d-dockerd" % os.getpid())


class Swarm(Docker):
    """A manager that is its swarm's only node, in a network of its own: the port of its gossip, its VXLAN and docker_gwbridge
    have fixed numbers and names, and of two managers in one network the second never gets its tasks' ends told."""
    name = "swarm"
    live_restore = False  # the two exclude each other

    def __init__(self):
        super().__init__()
        state = self.dir + "/data/swarm"  # of which every change is synced to the disk several times
        os.makedirs(state)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256m", "stoker-test", state], check=True)

    def command(self):
        return ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"] + super().command()

    def start(self):
        super().start()
        if not os.path.exists(self.dir + "/made"):
            self.make("127.0.0.1:0")
        wait_for(self.manages, of="the swarm")

    def make(self, address):
        status, said = self.ask("POST", "/swarm/init", {"ListenAddr": address, "AdvertiseAddr": address.split(":")[0],
                                                        "Spec": {"Dispatcher": {"HeartbeatPeriod": 10 ** 9}}})
        assert status == 200, said
        open(self.dir + "/made", "w").close()

    def manages(self):
        return self.ask("GET", "/services")[0] == 200

    def services(self):
        return self.ask("GET", "/services")[1]

    def container_of(self, job):
        return next(c["Id"] for c in self.containers() if c["Labels"]["com.docker.swarm.service.name"] == "stoker-" + job.id)

    def keeps(self, job):
        wait_for(lambda: not self.has(job), of="the removal of the container, which is its node's matter")
        return any(job.id in s["Spec"]["Name"] for s in self.ask("GET", "/secrets")[1])

    def take_name(self, name, image):
        spec = {"Name": name, "TaskTemplate": {"ContainerSpec": {"Image": image}}, "Mode": {"Replicated": {"Replicas": 0}}}
        return "/services/" + self.ask("POST", "/services/create", spec)[1]["ID"]

    def has(self, job):
        return self.ask("GET", "/services/stoker-" + job.id)[0] == 200 or \
            any(c["Labels"].get("com.docker.swarm.service.name") == "stoker-" + job.id for c in self.containers())

    def close(self):
        if self.process.poll() is None and self.manages():
            for s in self.services():
                self.ask("DELETE", "/services/" + s["ID"])
            wait_for(lambda: not self.living(), of="the end of the services")
        super().close()

    def living(self):
        """A swarm leaves it at one try to remove a container: what is busy then stays dead, until somebody has it removed."""
        return [c for c in self.containers() if c["State"] != "dead"]


class SwarmNode(Swarm):
    """One of several nodes, in a network namespace of its own that only the others reach."""

    def __init__(self, number):
        super().__init__()
        self.address = "198.19.0.%d" % number
        self.holder = subprocess.Popen(["unshare", "-n", "sh", "-c", "ip link set lo up; echo; exec sleep 86400"], stdout=subprocess.PIPE)
        self.holder.stdout.readline()

    def inside(self, *argv):
        return ["nsenter", "-t", str(self.holder.pid), "-n"] + list(argv)

    def link(self, other):
        subprocess.run(self.inside("ip", "link", "add", "e0", "type", "veth", "peer", "name", "e0", "netns", str(other.holder.pid)), check=True)
        for one in (self, other):
            subprocess.run(one.inside("ip", "addr", "add", one.address + "/24", "dev", "e0"), check=True)
            subprocess.run(one.inside("ip", "link", "set", "e0", "up"), check=True)
            subprocess.run(one.inside("ip", "route", "add", "default", "dev", "e0"), check=True)

    def command(self):
        return self.inside(*[a.replace("-dockerd", "-dockerd-" + self.address) for a in Docker.command(self)])

    def start(self):
        Docker.start(self)

    def lead(self):
        self.make(self.address + ":2377")
        wait_for(self.manages, of="the swarm")

    def join(self, leader):
        token = leader.ask("GET", "/swarm")[1]["JoinTokens"]["Worker"]
        status, said = self.ask("POST", "/swarm/join", {"ListenAddr": self.address + ":2377", "AdvertiseAddr": self.address,
                                                        "RemoteAddrs": [leader.address + ":2377"], "JoinToken": token})
        assert status == 200, said

    def id(self):
        return self.ask("GET", "/info")[1]["Swarm"]["NodeID"]

    def bring_image(self, name, other):
        """Names the newest image, and lets the other node have it."""
        newest = max(self.ask("GET", "/images/json")[1], key=lambda i: i["Created"])["Id"]
        assert self.ask("POST", "/images/%s/tag?repo=%s" % (newest, name))[0] == 201
        assert other.ask("POST", "/images/load", self.ask("GET", "/images/%s/get" % newest)[1])[0] == 200

    def availability(self, node, what):
        """As a manager: active, or drain."""
        def changed():
            _, n = self.ask("GET", "/nodes/" + node)
            return self.ask("POST", "/nodes/%s/update?version=%d" % (node, n["Version"]["Index"]), dict(n["Spec"], Availability=what))[0] == 200
        wait_for(changed, of="the node to be " + what)

    def state(self, node):
        return self.ask("GET", "/nodes/" + node)[1]["Status"]["State"]

    def cut(self, is_cut):
        subprocess.run(self.inside("ip", "link", "set", "e0", "down" if is_cut else "up"), check=True)
        if not is_cut:
            subprocess.run(self.inside("ip", "route", "add", "default", "dev", "e0"), check=True)

    def die(self):
        """As a host does: the daemon, what it had started, all at once."""
        inits = [c["State"]["Pid"] for c in (self.ask("GET", "/containers/%s/json" % c["Id"])[1] for c in self.containers())]
        self.process.kill()
        for pid, _ in processes_of(self.dir + "/exec"):
            os.kill(pid, signal.SIGKILL)
        for pid in inits:
            if pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.process.wait(WAIT_S)

    def clean(self):
        super().clean()
        drop_cgroups("stoker-test-%d-dockerd-%s" % (os.getpid(), self.address))
        self.holder.kill()
        self.holder.wait()


class Podman(Daemon):
    name = "podman"

    def command(self):
        d = self.dir
        return ["podman", "--root", d + "/root", "--runroot", d + "/run", "--tmpdir", d + "/libpod", "--runtime", "runc",
                "--cgroup-manager=cgroupfs", "--events-backend=file", "--network-config-dir", d + "/net", "system", "service",
                "-t", "0", "unix://" + self.socket]

    def environment(self):
        with open(self.dir + "/containers.conf", "w") as f:
            f.write("[containers]\ndefault_ulimits = []\n")
        return dict(os.environ, CONTAINERS_CONF=self.dir + "/containers.conf", TMPDIR=self.dir, HOME=self.dir)

    def clean(self):
        drop_cgroups("libpod_parent")


def drop_cgroups(name):
    """Empty ones only: whoever else uses a cgroup of that name keeps it."""
    for top in os.listdir("/sys/fs/cgroup"):
        for at, _, _ in os.walk(os.path.join("/sys/fs/cgroup", top, name), topdown=False):
            try:
                os.rmdir(at)
            except OSError:
                pass


def processes_of(text):
    """Command lines of living processes that hold a text."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % pid) as f:
                line = f.read().replace("\0", " ")
        except OSError:
            continue
        if text in line:
            found.append((int(pid), line))
    return found
