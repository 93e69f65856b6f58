#!/usr/bin/env python3
"""Kills each program at each of its fault points (lib/base/fault_point.h), before and after every commit and side
effect, while it works; then lets each system call of the worker's programs fail once, place by place (nth_call.c), and
hears the same witnesses as the storm. Jobs run on oci, and in the whole round on docker, podman and a swarm, too, with images
of a registry and with scratch on disk. Needs a test build: make FAULTS=1 O=build-faults

    tests/faults/points.py [--seed N] [--only points|calls]    prints how often each was passed, and that it killed or failed"""
import argparse
import glob
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
import zipfile

import storm
import oci_images
import witnessed
from receivers import Good
from storm import harness

# Who passes what on the way of a task. The transactions of registrations, schedules, clusters, tokens and packages have
# points as well, by the same place in txn.c.
WAY = {
    "runner": ["claim", "start", "settle", "node_row", "ship", "close_log", "ask_launcher"],
    "launcher": ["launch", "remove"],
    "monitor": ["container", "go", "exit_file"],
    "api": ["enqueue", "enqueue_page", "cancel"],
    "scheduler": ["promote", "take_back", "fire"],
    "courier": ["take_news", "take_lanes", "deliver", "told"],
}
ROUND_S = 30
# Of the whole round alone: {kind: its fields}.
FAR = {"docker": {"engine": "docker"}, "podman": {"engine": "podman"}, "swarm": {"engine": "swarm"}, "disk": {"scratch": "disk"}}
PULLED = storm.SAY.replace('"', '\\"') + "say end"
PAYLOAD_BYTES = 20000  # more than comes with a claim, less than what is queued in a transaction


def points_in_source():
    """Every point that the sources name: in macros, and by the names of transactions."""
    found = set()
    for path in glob.glob(harness.TOP + "/lib/**/*.[ch]", recursive=True) + glob.glob(harness.TOP + "/worker/**/*.c", recursive=True):
        with open(path) as file:
            text = file.read()
        found |= {"%s.%s" % pair for pair in re.findall(r'FAULT_POINT\("(\w+)", "(\w+)"\)', text) if "fault_point.h" not in path}
        for name in re.findall(r'struct txn \w+ = \{ "(\w+)"', text):
            found |= {name + ".before_commit", name + ".after_commit"}
    return sorted(found)


class Points(storm.Storm):
    """With `most`: at most so many points of each program, no lost node, and no daemons."""

    kinds = ["short", "delayed", "failing", "cancelled", "long", "limited", "zipped"]
    daemons = registry = None

    def __init__(self, seed, most=None, only=None):
        super().__init__(0, 0, seed, 400)
        self.most, self.only = most, only
        self.number = 0
        self.stopped = threading.Event()

    def env(self, doors):
        self.points = self.folder + "/evidence/points"
        os.mkdir(self.points)
        os.chmod(self.points, 0o777)
        env = super().env(doors)
        if self.most is None:
            self.daemons = witnessed.Daemons()
            self.registry = oci_images.Registry(self.folder + "/registry")
            self.layout = oci_images.Layout(self.folder + "/layout")
            env.update(self.daemons.env, STOKER_IMAGES_PLAIN_HTTP=self.registry.host)
        return env

    def build(self):
        return harness.BUILD + "-faults"

    def start(self):
        super().start()
        self.logs = Good()
        for address in (self.logs.url(), "tcp://127.0.0.1:%d" % self.logs.port):  # the second takes nothing
            self.stoker.post("log_destinations", {"address": address})
        self.pack()
        if self.daemons:
            self.start_far()

    def start_far(self):
        self.daemons.start(self.stoker)
        self.kinds = self.kinds + list(FAR)
        for kind, fields in FAR.items():
            self.stoker.code(kind, storm.SAY + "sleep 0.3; say alive; say end", **fields)
        self.pull()

    def pull(self):
        """A new image in the registry, and a revision that names it."""
        tag = "n%d" % self.number
        self.layout.add(tag, [oci_images.layer(dict(oci_images.busybox("sh", "sleep"), number=b"%d" % self.number))])
        image = "%s/pulled:%s" % (self.registry.host, tag)
        oci_images.skopeo("copy", "-q", "--dest-tls-verify=false", "oci:%s:%s" % (self.layout.folder, tag), "docker://" + image)
        body = b'{"name": "pulled", "image": "docker://%s", "command": "%s"}' % (image.encode(), PULLED.encode())
        storm.Client(self, []).until_answered("POST", "/2/projects/%s/codes" % self.stoker.project, body)

    def remove(self, keep=False):
        try:
            if self.daemons:
                self.daemons.close()
        finally:
            if self.registry:
                self.registry.close()
            super().remove(keep)

    # --- load: everything that a task may meet, over and over --------------------------------------------

    def pack(self):
        """A new revision of the code that is a zip, for the node to fetch; an API that is dying may refuse it."""
        path = self.folder + "/package.zip"
        with zipfile.ZipFile(path, "w") as packed:
            packed.writestr("run.sh", storm.SAY + "cat number; say end")
            packed.writestr("number", str(self.number))
        self.stoker.cli("code", "register", "zipped", "--zip", path, "--runtime", "sh", "--file", "run.sh")

    def load(self):
        client = storm.Client(self, [])
        self.clients_of_load = [client]
        path = "/2/projects/%s/" % self.stoker.project
        while not self.stopped.is_set():
            self.number += 1
            if self.number % 25 == 0:
                self.pack()
                self.kill("stoker-monitor")
            if self.registry and self.number % 40 == 0:
                self.pull()
            client.orders = [(self.number, self.random.choice(self.kinds), 0)]
            storm.Client.run(client)
            # without a key: who gets no answer does not ask again
            client.ask("POST", path + "tasks", b'{"tasks": [{"code_name": "short", "callback": "%s", "payload": "%s"}]}' % (
                self.receiver.url.encode(), b"x" * PAYLOAD_BYTES))
            time.sleep(0.05)

    def schedule(self):
        self.stoker.post("schedules", {"schedules": [{"code_name": "short", "run_every": 60, "run_times": 1, "start_at":
                         time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1))}]})

    # --- kills ----------------------------------------------------------------------------------------------

    def passes(self, point):
        try:
            return os.path.getsize(self.points + "/" + point)
        except OSError:
            return 0

    def arm(self, points):
        """The next pass of each kills, or fails if it is a call."""
        table = "".join("%s=%s@%d\n" % (point, "fail" if point.startswith("call.") else "kill", self.passes(point) + 1)
                        for point in points)
        with open(self.points + "/table.new", "w") as file:
            file.write(table)
        os.rename(self.points + "/table.new", self.points + "/table")
        return {point: int(at) for point, _, at in re.findall(r"(\S+)=(\w+)@(\d+)", table)}

    def kill_at(self, points):
        """All of these at once: they are points of different programs."""
        left = set(points)
        until = time.monotonic() + ROUND_S
        while left and time.monotonic() < until:
            armed = self.arm(left)
            if any(point.startswith("fire.") for point in left):
                try:
                    self.schedule()
                except OSError:
                    pass
            end = time.monotonic() + 6
            while left and time.monotonic() < end:
                for point in list(left):
                    if self.passes(point) >= armed[point]:
                        left.discard(point)
                time.sleep(0.02)
        os.unlink(self.points + "/table")
        self.wrong += ["the point %s was not passed within %d s" % (point, ROUND_S) for point in left]

    def lose_the_node(self):
        """A stopped runner whose jobs are taken back: the scheduler dies twice on it."""
        harness.wait_for(lambda: self.victims("runner") and self.stoker.sql("SELECT 1 FROM running LIMIT 1"), 20, "a job that runs")
        pid = self.victims("runner")[0]
        os.kill(pid, signal.SIGSTOP)
        self.kill_at(["take_back.before_commit"])
        self.kill_at(["take_back.after_commit"])
        os.kill(pid, signal.SIGCONT)

    # --- calls that fail --------------------------------------------------------------------------------------

    def places(self):
        """{program: places} of what was called so far; a place is its file's name."""
        found = {}
        for name in os.listdir(self.points):
            if name.startswith("call."):
                found.setdefault(name.split(".")[1], set()).add(name)
        return found

    def tell_place(self, place):
        """call.stoker-worker.openat.1a2b and where it is called."""
        _, program, call, address = place.split(".")
        line = subprocess.run(["addr2line", "-f", "-e", "%s/bin/%s" % (self.build(), program), "0x%x" % (int(address, 16) - 1 + (
            0x400000 if program == "stoker-monitor" else 0))], stdout=subprocess.PIPE, text=True).stdout.split()
        return "%s of %s in %s" % (call, program, " ".join(line).replace(harness.TOP + "/", ""))

    def fail_once(self, places, seconds):
        """One place of each program; gives those that came by."""
        armed, until = self.arm(places), time.monotonic() + seconds
        passed = set()
        while passed != set(places) and time.monotonic() < until:
            passed |= {place for place in places if self.passes(place) >= armed[place]}
            time.sleep(0.02)
        os.unlink(self.points + "/table")
        return passed

    def fail_calls(self):
        """What is passed all the time first; then what only a program's start passes, which is restarted for it."""
        done, late, monitors = set(), [], 0
        while True:
            left = {program: sorted(places - done) for program, places in self.places().items() if places - done}
            if not left or (self.most and len(done) >= 5 * self.most):
                break
            places = [self.random.choice(names) for names in left.values()]
            passed = self.fail_once(places, 1.5)
            done |= set(places)
            late += [place for place in places if place not in passed]
            monitors += any(place.split(".")[1] == "stoker-monitor" for place in passed)
        for place in late if self.most is None else []:
            for name in ("runner", "stoker-launcher", "scheduler", "courier"):
                self.signal_one((name,), signal.SIGKILL)
            self.kill("stoker-monitor")  # the next sweep has something to tell
            passed = self.fail_once([place], 5)
            done -= {place} - passed
        print("%d places of system calls failed once; not passed again: %s" % (
            len(done), ", ".join(self.tell_place(place) for place in late if place not in done) or "none"), flush=True)
        if self.most is None:
            never = self.all_places() - set().union(*self.places().values())
            print("%d places were never passed:\n%s" % (len(never), "\n".join(sorted(map(self.tell_place, never)))), flush=True)
        self.killed_monitors += monitors  # it tells what it cannot do any more by its end

    def all_places(self):
        """Of the programs as they are built; a call that ends its function returns elsewhere, and has no place of its own."""
        found = set()
        for program in ("stoker-worker", "stoker-launcher", "stoker-monitor"):
            code = subprocess.run(["objdump", "-d", "--no-show-raw-insn", "%s/bin/%s" % (self.build(), program)],
                                  stdout=subprocess.PIPE, text=True).stdout
            for call, behind in re.findall(r"\scall\s+[0-9a-f]+ <__wrap_(\w+)>\n(?:\n[^\n]*:\n)?\s*([0-9a-f]+):", code):
                base = 0x400000 if program == "stoker-monitor" else 0
                found.add("call.%s.%s.%x" % (program, call, int(behind, 16) - base))
        return found

    def rage(self):
        if self.only != "calls":
            self.kill_points()
        if self.only != "points":
            self.fail_calls()

    def kill_points(self):
        known = points_in_source()
        queues = {who: [point for point in known if point.split(".")[0] in names and not point.startswith("take_back.")]
                  for who, names in WAY.items()}
        for queue in queues.values():
            self.random.shuffle(queue)
            del queue[len(queue) if self.most is None else self.most:]
        while any(queues.values()):
            self.kill_at([queue.pop() for queue in queues.values() if queue])
        if self.most is None:
            self.lose_the_node()
        # a monitor that dies is told as the cause of its job's end
        self.killed_monitors += sum(len([p for p in known if p.split(".")[0] == name]) for name in WAY["monitor"])
        self.tell_passes([point for point in known if point.split(".")[0] in sum(WAY.values(), [])])

    def tell_passes(self, way):
        """Each is passed in the end, with nobody killed any more."""
        if self.most is not None:
            way = [point for point in way if not point.startswith("take_back.")]
        try:
            harness.wait_for(lambda: all(self.passes(point) for point in way), ROUND_S, "every point to be passed")
        except AssertionError:
            self.wrong += ["the point %s was never passed" % point for point in way if not self.passes(point)]
        for point in way:
            print("%6d %s" % (self.passes(point), point))

    def run(self):
        self.start()
        self.began = time.monotonic()
        load = threading.Thread(target=self.load, daemon=True)
        load.start()
        self.rage()
        self.stopped.set()
        load.join()
        self.settle_down()
        stored = self.hear_clients(self.clients_of_load)
        self.hear_jobs(stored)
        self.clean_up_of_node()
        self.hear_checker()
        harness.wait_for(lambda: self.stoker.sql("SELECT COUNT(*) FROM outbox WHERE state = 'waiting'") == [("0",)], 60,
                         "all callbacks to be told")
        print("%d tasks, %d callbacks received, %.0f s" % (len(stored), len(self.receiver.seen), self.clock()))
        return self.wrong


def play(seed, most=None, only=None):
    print("points: seed %d" % seed, flush=True)
    points = Points(seed, most, only)
    try:
        wrong = points.run()
    except BaseException:
        points.remove(keep=True)
        raise
    points.remove(keep=bool(wrong))
    return wrong


if __name__ == "__main__":
    words = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    words.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    words.add_argument("--only", choices=("points", "calls"))
    words = words.parse_args()
    wrong = play(words.seed, only=words.only)
    for sentence in wrong:
        print("WRONG " + sentence)
    sys.exit(1 if wrong else 0)
