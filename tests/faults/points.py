#!/usr/bin/env python3
"""Kills each program at each of its fault points (lib/base/fault_point.h), before and after every commit and side
effect, while it works; then hears the same witnesses as the storm. Needs a test build: make FAULTS=1 O=build-faults

    tests/faults/points.py [--seed N]    prints how often each point was passed, and that it killed"""
import argparse
import glob
import http.server
import os
import random
import re
import signal
import sys
import threading
import time

import storm
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


class Receiver(threading.Thread):
    """Takes callbacks, and counts them by id."""

    def __init__(self):
        super().__init__(daemon=True)
        seen = self.seen = set()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                seen.add(self.headers.get("webhook-id"))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d/" % self.server.server_port

    def run(self):
        self.server.serve_forever()


class Points(storm.Storm):
    """With `most`: at most so many points of each program, and no lost node."""

    def __init__(self, seed, most=None):
        super().__init__(0, 0, seed, 400)
        self.most = most
        self.receiver = Receiver()
        self.receiver.start()
        self.number = 0
        self.stopped = threading.Event()

    def env(self, doors):
        self.points = self.folder + "/evidence/points"
        os.mkdir(self.points)
        os.chmod(self.points, 0o777)
        return dict(super().env(doors), STOKER_COURIER_ALLOW_PRIVATE="yes")

    def build(self):
        return harness.BUILD + "-faults"

    # --- load: everything that a task may meet, over and over --------------------------------------------

    def load(self):
        client = storm.Client(self, [])
        self.clients_of_load = [client]
        path = "/2/projects/%s/" % self.stoker.project
        kinds = ("short", "delayed", "failing", "cancelled", "long", "limited")
        while not self.stopped.is_set():
            self.number += 1
            client.orders = [(self.number, self.random.choice(kinds), 0)]
            storm.Client.run(client)
            # without a key: who gets no answer does not ask again
            client.ask("POST", path + "tasks", b'{"tasks": [{"code_name": "short", "callback": "%s"}]}' % self.receiver.url.encode())
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
        """The next pass of each kills."""
        table = "".join("%s@%d\n" % (point, self.passes(point) + 1) for point in points)
        with open(self.points + "/table.new", "w") as file:
            file.write(table)
        os.rename(self.points + "/table.new", self.points + "/table")
        return dict(line.split("@") for line in table.split())

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
                    if self.passes(point) >= int(armed[point]):
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

    def rage(self):
        known = points_in_source()
        queues = {who: [point for point in known if point.split(".")[0] in names and not point.startswith("take_back.")]
                  for who, names in WAY.items()}
        for queue in queues.values():
            self.random.shuffle(queue)
            del queue[self.most:]
        while any(queues.values()):
            self.kill_at([queue.pop() for queue in queues.values() if queue])
        if self.most is None:
            self.lose_the_node()
        # a monitor that dies is told as the cause of its job's end
        self.killed_monitors = sum(len([p for p in known if p.split(".")[0] == name]) for name in WAY["monitor"])
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


def play(seed, most=None):
    print("points: seed %d" % seed, flush=True)
    points = Points(seed, most)
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
    wrong = play(words.parse_args().seed)
    for sentence in wrong:
        print("WRONG " + sentence)
    sys.exit(1 if wrong else 0)
