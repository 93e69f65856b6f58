"""A world for jobs that may leave: this program goes on in a network namespace of its own, which stands for the
node's host, and a second one behind it stands for everything else. Nothing of either is seen on the real host.

Run as a program it is that second one: it listens on a port at all its addresses and on 53 at one, and writes a
line "LOCAL-ADDRESS tcp|udp|dns" for all that arrives."""
import os
import selectors
import socket
import struct
import subprocess
import sys

PORT = 7007
HOST = ("93.184.0.2", "2a01:4f8::2", "10.5.5.5", "fd05:5::5")  # the node's own
GATE = ("93.184.0.1", "2a01:4f8::1")
PUBLIC = ("1.2.3.4", "2a00:1450::1")
PRIVATE = ("10.9.9.9", "172.16.9.9", "192.168.9.9", "100.64.9.9", "fd12:9::9")
NEVER = ("169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254",
         "9.9.9.9", "2620:fe::9")  # the last two: the database's
DATABASE = NEVER[-2:]
RESOLVER = "10.9.9.53"
ANSWER = "1.2.3.4"


def enter():
    """Starts the program anew in a namespace of its own, once."""
    if os.environ.get("STOKER_TEST_OUTSIDE") != "entered":
        os.environ["STOKER_TEST_OUTSIDE"] = "entered"
        os.execvp("unshare", ["unshare", "--net", sys.executable, "-B"] + sys.argv)


def run(*words):
    subprocess.run(words, check=True)


def sysctl(name, value):
    with open("/proc/sys/net/" + name, "w") as file:
        file.write(value)


def address(where, text):
    run("ip", "address", "add", text + ("/128" if ":" in text else "/32"), "dev", where, *(["nodad"] if ":" in text else []))


class Outside:
    """The namespace behind this one, and what arrived there."""

    def __init__(self):
        run("ip", "link", "set", "lo", "up")
        self.process = subprocess.Popen(["unshare", "--net", sys.executable, "-B", os.path.abspath(__file__)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()  # it is in its namespace
        run("ip", "link", "add", "uplink", "type", "veth", "peer", "name", "wan", "netns", str(self.process.pid))
        for own, prefix in ((HOST[0], "/24"), (HOST[1], "/64")):
            run("ip", "address", "add", own + prefix, "dev", "uplink", *(["nodad"] if ":" in own else []))
        run("ip", "link", "set", "uplink", "up")
        for own in HOST[2:]:
            address("lo", own)
        print("go", file=self.process.stdin, flush=True)
        self.process.stdout.readline()  # it listens
        run("ip", "route", "add", "default", "via", GATE[0])
        run("ip", "-6", "route", "add", "default", "via", GATE[1])

    def seen(self):
        """What has arrived since the last look, as a set of lines."""
        print("tell", file=self.process.stdin, flush=True)
        return set(iter(lambda: self.process.stdout.readline().strip(), "."))

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()



class Listeners:
    """On all addresses of a namespace."""

    def __init__(self, resolver=None):
        self.selector = selectors.DefaultSelector()
        self.seen = set()
        for kind, name in ((socket.SOCK_STREAM, "tcp"), (socket.SOCK_DGRAM, "udp")):
            self.add(socket.AF_INET6, kind, name, ("::", PORT))
        if resolver:
            self.add(socket.AF_INET, socket.SOCK_DGRAM, "dns", (resolver, 53))

    def add(self, family, kind, name, where):
        sock = socket.socket(family, kind)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        sock.bind(where)
        if kind == socket.SOCK_STREAM:
            sock.listen(64)
        sock.setblocking(False)
        self.selector.register(sock, selectors.EVENT_READ, name)

    def poll(self, timeout=0):
        for key, _ in self.selector.select(timeout):
            local = getattr(self, key.data)(key.fileobj)
            self.seen.add("%s %s" % (local.replace("::ffff:", ""), key.data))

    @staticmethod
    def tcp(sock):
        accepted, _ = sock.accept()
        with accepted:
            return accepted.getsockname()[0]

    @staticmethod
    def udp(sock):
        _, control, _, _ = sock.recvmsg(2048, 1024)
        for _, kind, data in control:
            if kind == socket.IPV6_PKTINFO:
                return socket.inet_ntop(socket.AF_INET6, data[:16])
        return "?"

    @staticmethod
    def dns(sock):
        query, peer = sock.recvfrom(2048)
        answer = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton(ANSWER)
        is_a = query[-4:] == b"\0\1\0\1"
        sock.sendto(query[:2] + b"\x81\x80" + struct.pack(">HHHH", 1, is_a, 0, 0) + query[12:] + (answer if is_a else b""), peer)
        return RESOLVER

    def close(self):
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()

    def take(self):
        while self.selector.select(0):
            self.poll()
        seen, self.seen = self.seen, set()
        return seen


def be_outside():
    print("here", flush=True)
    sys.stdin.readline()
    run("ip", "link", "set", "lo", "up")
    for own, prefix in zip(GATE, ("/24", "/64")):
        run("ip", "address", "add", own + prefix, "dev", "wan", *(["nodad"] if ":" in own else []))
    run("ip", "link", "set", "wan", "up")
    for text in PUBLIC + PRIVATE + NEVER + (RESOLVER,):
        address("lo", text)
    listeners = Listeners(RESOLVER)
    listeners.selector.register(sys.stdin, selectors.EVENT_READ, "order")
    print("listens", flush=True)
    while True:
        for key, _ in listeners.selector.select():
            if key.data != "order":
                listeners.poll()
            elif not sys.stdin.readline():
                return
            else:
                listeners.selector.unregister(sys.stdin)
                for line in listeners.take():
                    print(line)
                print(".", flush=True)
                listeners.selector.register(sys.stdin, selectors.EVENT_READ, "order")


if __name__ == "__main__":
    be_outside()
