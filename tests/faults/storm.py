#!/usr/bin/env python3
"""A storm: a whole instance under a mixed load, while everything in it is killed, stopped, restarted and cut off
from the database, at random from a printed seed, and ghosts speak (ghost.c). Then all heals, and four witnesses are heard:

  the clients    each knows the ids that it was answered; every one of them must have ended, once
  the receiver   of callbacks: it was told of each end that was to be told
  the jobs       each attempt appends its start, signs of life and its end to a file outside of the database
                 (evidence_runtime.c), in the order in which they happened
  the checker    `stoker admin verify`: tables and node

    tests/faults/storm.py [--jobs N] [--faults N] [--seed N] [--seconds N] [--seeds N] [--profile outage]

A storm of 10,000 jobs and 200 faults takes five minutes of load, and some more until all has run: eight to ten minutes on two
cores, twenty of them three hours. --profile outage: nothing but a database that is away for longer than a lease, over and
over, which must cost no job its node.

0 lost, 0 started twice, 0 attempts beyond the rule, 0 that stand still for 15 s after the last fault."""
import argparse
import collections
import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "flow"))
import harness  # noqa: E402
from receiver import Receiver  # noqa: E402

# Callbacks to a receiver on this machine, which is told again soon.
CALLING = {"STOKER_COURIER_ALLOW_PRIVATE": "yes", "STOKER_COURIER_RETRY_S": "1,1,2,2,3,5,5,5,5,5,5,5,5"}

# Each line is one append: whole, and in the order in which it happened; its time is the machine's uptime.
SAY = 'say() { read now idle </proc/uptime; echo "$1 $TASK_ID $STOKER_ATTEMPT $now" >>/evidence; }; say start; '
TICKS = "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.2; say alive; done; "

# code: command ("": registered elsewhere), its other fields, how many of a hundred, how it must end
KINDS = {
    "short": ("echo $TASK_ID; say end", {}, 40, {"complete"}),
    "long": (TICKS + "echo $TASK_ID; say end", {}, 10, {"complete"}),
    "failing": ("echo no; say end; exit 3", {"retries": 1, "retries_delay": 1}, 10, {"error"}),
    "flood": ("i=0; while [ $i -lt 400 ]; do echo $i $TASK_ID 0123456789012345678901234567890123456789; i=$((i+1)); done; say end", {}, 10,
              {"complete"}),
    "cancelled": (TICKS + "say end", {}, 8, {"cancelled", "complete"}),
    "delayed": ("say end", {}, 10, {"complete"}),
    "patient": (TICKS * 8 + "echo $TASK_ID; say end", {}, 0, {"complete"}),
    "zipped": ("say end", {}, 0, {"complete"}),
    **{far: ("", {}, 0, {"complete"}) for far in ("docker", "podman", "swarm", "disk", "pulled")},  # points.py
    "limited": ("sleep 0.1; say alive; say end", {"max_concurrency": 2}, 12, {"complete"}),
}


class Proxy:
    """The cutting proxy, a process of its own."""

    def __init__(self, listen, target):
        self.process = subprocess.Popen([sys.executable, "-B", HERE + "/proxy.py", listen, target],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()

    def say(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        self.process.stdout.readline()

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


class Client(threading.Thread):
    """Queues its share, each order under a key of its own, until it is answered."""

    def __init__(self, storm, orders):
        super().__init__(daemon=True)
        self.storm, self.orders = storm, orders
        self.answered = []  # (number, kind, id)
        self.strange = []

    def order(self, number, kind):
        body = {"code_name": kind, "label": "order %d" % number}
        if kind == "delayed":
            body["delay"] = number % 4 + 1
        if kind in ("short", "failing"):
            body["callback"] = self.storm.receiver.url
        return json.dumps({"tasks": [body]}).encode()

    def ask(self, method, path, body, key=None):
        headers = {"Authorization": "OAuth " + self.storm.stoker.token, "Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        connection = http.client.HTTPConnection("127.0.0.1", self.storm.stoker.port, timeout=20)
        try:
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            return harness.Reply(reply.status, dict(reply.getheaders()), reply.read())
        except (OSError, http.client.HTTPException):
            return None  # nginx is down, or the process that had the request died
        finally:
            connection.close()

    def until_answered(self, method, path, body, key=None):
        until = time.monotonic() + self.storm.patience
        while time.monotonic() < until:
            reply = self.ask(method, path, body, key)
            if reply is not None and reply.status not in (502, 503, 504):
                return reply
            if reply is not None and reply.status == 504:
                self.strange.append("504 for %s" % path)
            time.sleep(0.1 + 0.2 * random.random())
        return None

    def run(self):
        path = "/2/projects/%s/tasks" % self.storm.stoker.project
        for number, kind, at in self.orders:
            time.sleep(max(0, at - self.storm.clock()))
            reply = self.until_answered("POST", path, self.order(number, kind), "storm-%d" % number)
            if reply is None or reply.status != 200:
                self.strange.append("order %d (%s) was answered %r" % (number, kind, reply))
                continue
            task = reply.json["tasks"][0]["id"]
            self.answered.append((number, kind, task))
            if kind == "cancelled":
                self.until_answered("POST", path + "/" + task + "/cancel", b"")


class Storm:
    """`jobs` orders and `faults` faults from `seed`; run() gives what is wrong, as sentences."""

    STILL_S = 15  # nothing may stand still for longer, once all is well

    def __init__(self, jobs, faults, seed, seconds, profile=None):
        self.random = random.Random(seed)
        self.profile = profile
        self.receiver = Receiver()
        self.receiver.start()
        self.jobs, self.count, self.seconds = jobs, faults, seconds
        self.patience = seconds + 60
        self.folder = harness.scratch("stoker-storm-")
        self.told = collections.Counter()
        self.wrong = []
        self.killed_monitors = 0
        self.began = 0.0

    def clock(self):
        return time.monotonic() - self.began

    # --- set-up ------------------------------------------------------------------------------------

    def env(self, doors):
        return {"STOKER_EVIDENCE": self.folder + "/evidence", "STOKER_DATABASE_SOCKET": doors + "/db",
                "STOKER_LOGS_SOCKET": doors + "/db", "STOKER_NODE_SLOTS": "12", "STOKER_NODE_GRACE_S": "1",
                "STOKER_NODE_RUNTIME": "crun",  # runc would run without the evidence, if crun died in its probe
                **CALLING}

    def build(self):
        return harness.BUILD

    def start(self):
        evidence, doors = self.folder + "/evidence", self.folder + "/doors"
        for folder in (evidence, doors):
            os.mkdir(folder)
        self.evidence = evidence + "/attempts"
        self.stoker = harness.Instance(script=HERE + "/instance.sh", env=self.env(doors), build=self.build())
        self.proxy = Proxy(doors + "/db", self.stoker.run + "/s/db.sock")
        self.stoker.start()
        for kind, (command, fields, _, _) in KINDS.items():
            if command:
                self.stoker.code(kind, SAY + command, **fields)
        for _ in range(3 if self.jobs else 0):
            self.stoker.post("schedules", {"schedules": [{"code_name": "short", "run_every": 2, "run_times": self.seconds // 2,
                                                          "misfire": "all"}]})

    def clients(self, count=8):
        kinds = [kind for kind, row in KINDS.items() for _ in range(row[2])]
        if self.profile == "outage":
            kinds = ["patient", "short"]
        orders = [(n, self.random.choice(kinds), self.seconds * n / self.jobs) for n in range(self.jobs)]
        return [Client(self, orders[i::count]) for i in range(count)]

    # --- faults --------------------------------------------------------------------------------------

    def victims(self, *names):
        roles = {"scheduler", "courier", "runner"} & set(names)
        found = []
        for pid, name in self.stoker.processes().items():
            if name == "stoker-worker" and roles:
                try:
                    with open("/proc/%d/cmdline" % pid, "rb") as file:
                        words = file.read().split(b"\0")
                except OSError:
                    continue
                if len(words) > 1 and words[1].decode() in roles:
                    found.append(pid)
            elif name in names:
                found.append(pid)
        return sorted(found)

    def signal_one(self, names, sig):
        pids = self.victims(*names)
        if not pids:
            return None
        pid = self.random.choice(pids)
        try:
            os.kill(pid, sig)
        except ProcessLookupError:
            return None
        return pid

    def kill(self, *names):
        if self.signal_one(names, signal.SIGKILL) and names == ("stoker-monitor",):
            self.killed_monitors += 1

    def restart(self, *names):
        self.signal_one(names, signal.SIGTERM)

    def pause(self, seconds, *names):
        pid = self.signal_one(names, signal.SIGSTOP)
        if pid:
            time.sleep(seconds)
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass

    def cut(self, word, seconds):
        self.proxy.say(word)
        time.sleep(seconds)
        self.proxy.say("cut" if word in ("swallow", "hang") else "pass")
        self.proxy.say("pass")

    def power_cut(self):
        """All of the node at once: runner, launcher, monitors, containers. In this order, as a monitor that outlives its
        container tells that it was killed; and nobody starts anything meanwhile."""
        self.power_cuts += 1
        keeper = self.stoker.pid("keeper")
        os.kill(keeper, signal.SIGSTOP)
        try:
            for names in (("runner", "stoker-launcher"), ("stoker-monitor",)):
                for pid in self.victims(*names):
                    self.stoker._kill(pid)
                harness.wait_for(lambda: not [pid for pid in self.victims(*names) if harness.process_exists(pid)], 10, "the dead")
            self.stoker.kill_containers()
        finally:
            os.kill(keeper, signal.SIGCONT)

    power_cuts = 0

    def haunt(self):
        env = dict(os.environ, STOKER_DATABASE_SOCKET=self.stoker.run + "/s/db.sock", STOKER_DATABASE_USER="root",
                   STOKER_DATABASE_PASSWORD_FILE="")
        done = subprocess.run([self.build() + "/tests/faults/ghost"], env=env, stdout=subprocess.PIPE, text=True)
        self.wrong += done.stdout.splitlines()

    def outage(self, go, come):
        """The database is away for longer than a lease; a runner that is slow to notice that it is back must not lose for it."""
        go()
        time.sleep(14)
        runner = self.signal_one(("runner",), signal.SIGSTOP)
        come()
        time.sleep(4)
        if runner:
            os.kill(runner, signal.SIGCONT)
        time.sleep(3)

    def outages(self):
        pid = self.stoker.pid("mariadb")
        return [("refused", lambda: self.outage(lambda: self.proxy.say("refuse"), lambda: self.proxy.say("pass"))),
                ("hung", lambda: self.outage(lambda: os.kill(pid, signal.SIGSTOP), lambda: os.kill(pid, signal.SIGCONT)))]

    def plan(self):
        r = self.random
        if self.profile == "outage":
            return (self.outages() * self.count)[:self.count]
        kinds = [
            (8, "kill api", lambda: self.kill("stoker-api")),
            (8, "kill runner", lambda: self.kill("runner")),
            (3, "kill launcher", lambda: self.kill("stoker-launcher")),
            (5, "kill monitor", lambda: self.kill("stoker-monitor")),
            (4, "kill scheduler", lambda: self.kill("scheduler")),
            (3, "kill courier", lambda: self.kill("courier")),
            (3, "kill nginx", lambda: self.kill("nginx")),
            (3, "kill mariadb", lambda: self.kill("mariadbd")),
            (2, "power cut", self.power_cut),
            (4, "restart runner", lambda: self.restart("runner")),
            (2, "restart api", lambda: self.restart("stoker-api")),
            (2, "restart scheduler", lambda: self.restart("scheduler")),
            (1, "restart mariadb", lambda: self.restart("mariadbd")),
            (4, "pause runner", lambda: self.pause(r.choice((1, 3, 10)), "runner")),
            (2, "pause scheduler", lambda: self.pause(r.choice((1, 5)), "scheduler")),
            (2, "pause courier", lambda: self.pause(2, "courier")),
            (3, "pause api", lambda: self.pause(1, "stoker-api")),
            (3, "pause monitor", lambda: self.pause(1, "stoker-monitor")),
            (2, "pause launcher", lambda: self.pause(1, "stoker-launcher")),
            (2, "pause nginx", lambda: self.pause(0.5, "nginx")),
            (4, "pause mariadb", lambda: self.pause(r.choice((0.5, 2, 4)), "mariadbd")),
            (8, "cut", lambda: self.cut("cut", 0.1)),
            (6, "swallow", lambda: self.cut("swallow", 0.2)),
            (4, "refuse", lambda: self.cut("refuse", r.choice((0.5, 2, 4)))),
            (3, "hang", lambda: self.cut("hang", r.choice((1, 3)))),
        ]
        return r.choices([(name, do) for _, name, do in kinds], [weight for weight, _, _ in kinds], k=self.count)

    def rage(self):
        for n, (name, do) in enumerate(self.plan()):
            time.sleep(max(0, self.seconds * n / self.count - self.clock()))
            self.told[name] += 1
            do()
            if n % 4 == 0 and self.profile is None:
                self.haunt()

    def heal(self):
        self.proxy.say("pass")

    # --- afterwards --------------------------------------------------------------------------------------

    def left(self):
        return int(self.stoker.sql("SELECT COUNT(*) FROM task WHERE ended_at IS NULL")[0][0])

    def settle_down(self):
        """Waits while there is progress; what stands still is told."""
        last, since = None, time.monotonic()
        still = self.STILL_S + (30 if self.profile else 0)  # its jobs take so long
        while True:
            now = self.left()
            if now == 0:
                return
            if last is None or now < last:
                last, since = now, time.monotonic()
            if time.monotonic() - since > still:
                self.wrong.append("%d tasks stand still for %d s: %s" % (now, still, self.stoker.sql(
                    "SELECT LOWER(HEX(t.id)), c.name, t.state, t.attempt FROM task t JOIN code c ON c.id = t.code_id"
                    " WHERE t.ended_at IS NULL LIMIT 10")))
                return
            time.sleep(0.2)

    def hear_clients(self, clients):
        rows = self.stoker.sql("SELECT LOWER(HEX(t.id)), t.label, c.name, t.state, IFNULL(t.cause, ''), t.retry, t.attempt"
                               " FROM task t JOIN code c ON c.id = t.code_id")
        stored = {row[0]: row for row in rows}
        first = collections.Counter(row[1] for row in rows if row[5] == "0" and row[1])
        self.wrong += ["%s was queued %d times" % pair for pair in first.items() if pair[1] > 1]
        for client in clients:
            self.wrong += client.strange
            for number, kind, task in client.answered:
                row = stored.get(task)
                if row is None:
                    self.wrong.append("order %d was answered with task %s, which is lost" % (number, task))
                elif row[3] not in KINDS[kind][3] and (row[3], row[4]) != ("killed", "monitor_lost") and not self.is_poisoned(row):
                    self.wrong.append("task %s (%s) ended as %s by %s" % (task, kind, row[3], row[4]))
        lost_monitors = sum(row[4] == "monitor_lost" for row in rows)
        if lost_monitors > self.killed_monitors:
            self.wrong.append("%d tasks lost their monitor, %d monitors were killed" % (lost_monitors, self.killed_monitors))
        return stored

    def is_poisoned(self, row):
        """Whoever loses three nodes is not tried again (lib/model/cause.h); rare, as who is hit is drawn."""
        if (row[3], row[4]) != ("killed", "poison"):
            return False
        lost = self.stoker.sql("SELECT number, note FROM attempt WHERE task_id = UNHEX('%s') AND suspect = 1" % row[0])
        print("task %s lost its node in %s" % (row[0], lost), flush=True)
        return len(lost) >= 3

    def signs(self):
        """(what, task, attempt, uptime), in the order in which they were written."""
        with open(self.evidence) as lines:
            for line in lines:
                what, task, attempt, at = line.split()
                yield what, task, int(attempt), float(at)

    def first_and_last(self):
        """{(task, attempt): [first sign, last sign]}"""
        found = {}
        for _, task, attempt, at in self.signs():
            found.setdefault((task, attempt), [at, at])[1] = at
        return found

    def hear_gaps(self):
        """How long after the last sign of an attempt that was lost with its node the next one gave its first."""
        signs = self.first_and_last()
        gaps = sorted(signs[task, attempt + 1][0] - last for (task, attempt), (_, last) in signs.items() if (task, attempt + 1) in signs)
        if gaps:
            print("%d attempts began after one that had been lost: %.1f s after its last sign, half of them; at most %.1f s" % (
                len(gaps), gaps[len(gaps) // 2], gaps[-1]), flush=True)

    def hear_jobs(self, stored):
        newest, said = {}, collections.Counter()
        for what, task, attempt, _ in self.signs():
            said[what, task, attempt] += 1
            if attempt < newest.get(task, 0):
                self.wrong.append("attempt %d of task %s says %s after attempt %d began" % (attempt, task, what, newest[task]))
            newest[task] = max(newest.get(task, 0), attempt)
        for (what, task, attempt), times in said.items():
            if what in ("start", "end") and times > 1:
                self.wrong.append("attempt %d of task %s has %d %ss" % (attempt, task, times, what))
            if task not in stored:
                self.wrong.append("task %s ran and is not stored" % task)
        for task, row in stored.items():
            if row[3] in ("complete", "error") and not said["end", task, int(row[6])]:
                self.wrong.append("task %s is %s, but its attempt %s never came to its end; %s" % (
                    task, row[3], row[6], self.known_of(task, said)))
        for task, attempt, before, cause in self.stoker.sql(
                "SELECT LOWER(HEX(b.task_id)), b.number, a.number, a.cause FROM attempt a JOIN attempt b ON b.task_id = a.task_id"
                " AND b.number = a.number + 1 WHERE NOT a.cause <=> 'node_lost' AND NOT a.cause <=> 'node_stopped'"):
            self.wrong.append("task %s has attempt %s, though attempt %s ended by %s" % (task, attempt, before, cause))
        return len(newest)

    def hear_losses(self):
        """In outages alone nobody's node is lost."""
        lost = self.stoker.sql("SELECT LOWER(HEX(task_id)), number, note FROM attempt WHERE cause = 'node_lost'")
        if self.profile == "outage":
            self.wrong += ["attempt %s of task %s was taken from a node that lived: %s" % (number, task, note) for task, number, note in lost]

    def hear_receiver(self):
        """Each end that was to be told was told."""
        def left():
            return self.stoker.sql("SELECT COUNT(*) FROM outbox WHERE state = 'waiting'") == [("0",)]
        try:
            harness.wait_for(left, 90, "all callbacks to be told")
        except AssertionError as error:
            self.wrong.append(str(error))
        ended = {row[0] for row in self.stoker.sql("SELECT LOWER(HEX(id)) FROM task WHERE callback = '%s'" % self.receiver.url)}
        untold = ended - self.receiver.tasks
        self.wrong += ["the end of task %s was told to nobody" % task for task in sorted(untold)[:10]]
        fired = self.stoker.sql("SELECT LOWER(HEX(schedule_id)), nominal, COUNT(*) FROM fire GROUP BY 1, 2 HAVING COUNT(*) > 1")
        self.wrong += ["time %s of schedule %s stands %s times in the ledger" % (nominal, schedule, n) for schedule, nominal, n in fired]
        return len(ended)

    def known_of(self, task, said):
        """What a person would ask next."""
        attempts = self.stoker.sql("SELECT a.number, n.name, a.claimed_at, a.started_at, a.ended_at, a.cause, a.exit_code, a.note FROM attempt a"
                                   " JOIN node n ON n.id = a.node_id WHERE a.task_id = UNHEX('%s')" % task)
        return "its jobs said %s, its attempts are %s, its log is %r" % (
            sorted(key[0::2] for key in said if key[1] == task), attempts, self.stoker.get("tasks/%s/log" % task).text[:300])

    def hear_logs(self, clients):
        """What was kept of a sample, byte by byte."""
        sample = [(kind, task) for client in clients for _, kind, task in client.answered if kind in ("long", "flood")]
        for kind, task in self.random.sample(sample, min(40, len(sample))):
            if self.stoker.task(task)["state"] != "complete":
                continue
            log = self.stoker.task_log(task).decode()
            if kind == "long" and not log.endswith(task + "\n"):
                self.wrong.append("the log of task %s ends with %r" % (task, log[-80:]))
            lines = log.splitlines()[-400:]
            if kind == "flood" and lines != ["%d %s 0123456789012345678901234567890123456789" % (i, task) for i in range(400)]:
                self.wrong.append("the log of task %s has %d lines, the last is %r" % (task, len(lines), lines[-1:]))

    def hear_checker(self):
        done = self.stoker.admin("verify", "--json")
        try:
            findings = json.loads(done.stdout)["findings"]
        except ValueError:
            self.wrong.append("verify failed: " + done.stderr.strip())
            return
        self.wrong += ["%(law)s broken (%(what)s): %(rows)s" % finding for finding in findings[:20]]

    def clean_up_of_node(self):
        """Nothing of a job stays on the node."""
        def is_clean():
            return not [n for n in os.listdir(self.stoker.node + "/jobs") if len(n) > 24]
        try:
            harness.wait_for(is_clean, self.STILL_S, "an empty jobs folder")
        except AssertionError:
            self.wrong.append("left on the node: %s" % os.listdir(self.stoker.node + "/jobs")[:5])

    # --- all of it ------------------------------------------------------------------------------------------

    def run(self):
        self.start()
        clients = self.clients()
        self.began = time.monotonic()
        for client in clients:
            client.start()
        self.rage()
        self.heal()
        for client in clients:
            client.join()
        loaded = self.clock()
        self.settle_down()
        ended = self.clock()
        stored = self.hear_clients(clients)
        ran = self.hear_jobs(stored)
        self.hear_gaps()
        self.clean_up_of_node()
        told = self.hear_receiver()
        self.hear_losses()
        self.hear_checker()
        self.hear_logs(clients)
        attempts = self.stoker.sql("SELECT IFNULL(cause, 'none'), COUNT(*) FROM attempt GROUP BY 1")
        print("%d orders, %d tasks, %d ran; load for %.1f s, all ended after %.1f s; attempts by cause: %s; power cuts: %d; told: %d" % (
            self.jobs, len(stored), ran, loaded, ended, dict(attempts), self.power_cuts, told), flush=True)
        print("faults: " + ", ".join("%s %d" % pair for pair in sorted(self.told.items())), flush=True)
        return self.wrong

    def remove(self, keep=False):
        if keep:
            print("logs:\n" + self.stoker.logs(40), flush=True)
        try:
            self.stoker.remove()
        finally:
            self.proxy.close()
            self.receiver.server.shutdown()
            shutil.rmtree(self.folder, ignore_errors=True)


def play_out(storm):
    """What is wrong after it. Its instance is gone then, and if something is, its logs are told."""
    try:
        wrong = storm.run()
    except BaseException:
        storm.remove(keep=True)
        raise
    storm.remove(keep=bool(wrong))
    return wrong


def play(jobs, faults, seed, seconds, profile=None):
    print("storm: seed %d, %d jobs, %d faults" % (seed, jobs, faults), flush=True)
    return play_out(Storm(jobs, faults, seed, seconds, profile))


def play_seeds(first, count, play_one):
    """So many storms, from seeds that follow each other; the exit status."""
    bad = 0
    for seed in range(first, first + count):
        wrong = play_one(seed)
        for sentence in wrong:
            print("WRONG " + sentence)
        bad += bool(wrong)
    print("%d of %d storms went well" % (count - bad, count))
    return 1 if bad else 0


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--jobs", type=int, default=1000)
    words.add_argument("--faults", type=int, default=40)
    words.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    words.add_argument("--seeds", type=int, default=1, help="so many storms, from seeds that follow each other")
    words.add_argument("--seconds", type=int, help="of load and faults; 1.5 a fault unless given")
    words.add_argument("--profile", choices=("outage",), help="one kind of fault alone")
    words = words.parse_args()
    return play_seeds(words.seed, words.seeds, lambda seed: play(
        words.jobs, words.faults, seed, words.seconds or words.faults * 3 // 2, words.profile))


if __name__ == "__main__":
    sys.exit(main())
