#!/usr/bin/env python3
"""A storm over three Galera nodes: a mixed load while nodes are killed, stopped and cut off, one at a time, and then all
of them at once, whom conf/mariadb/galera-recover.sh brings back. Heard afterwards are clients, jobs and checker, as in
storm.py, and the nodes themselves, which must be equal.

    tests/faults/galera_storm.py [--jobs N] [--rounds N] [--seed N] [--seeds N] [--spread]

A failover takes nothing back: no attempt may end by the loss of its node, but those of a node that does die with a server:
they have their next attempts within 30 s."""
import argparse
import json
import os
import random
import subprocess
import sys
import time

import galera
import node
import storm
from storm import harness

RECOVER = os.path.join(harness.TOP, "conf", "mariadb", "galera-recover.sh")
SYNCED_S = 60
DEATH_S = 30  # from a node's death to the next attempt, when the database fails over meanwhile


def text_of(path):
    """'' while it is not there."""
    try:
        with open(path) as file:
            return file.read()
    except FileNotFoundError:
        return ""


class GaleraStorm(storm.Storm):
    STILL_S = 30  # a failover, then a lease of grace

    def __init__(self, jobs, faults, seed, spread):
        super().__init__(jobs, len(faults), seed, 12 * len(faults))
        self.faults, self.spread = faults, spread
        self.patience += 120

    def start(self):
        self.cluster = galera.Cluster().start()
        folder = self.folder + "/evidence"
        os.mkdir(folder)
        self.evidence = folder + "/attempts"
        env = {"STOKER_EVIDENCE": folder, "STOKER_NODE_SLOTS": "12", "STOKER_NODE_GRACE_S": "1", "STOKER_NODE_RUNTIME": "crun",
               **storm.CALLING}
        self.stoker = galera.Instance(self.cluster, self.spread, env=env, script=storm.HERE + "/instance.sh", build=self.build())
        self.stoker.start()
        for kind, (command, fields, _, _) in storm.KINDS.items():
            self.stoker.code(kind, storm.SAY + command, **fields)
        self.second = node.NearNode(self.stoker, 1, slots=4).start()
        self.deaths = []  # (when, [(task, attempt)])

    # --- faults: which server, then how long it lasts ------------------------------------------------------

    def server(self, which):
        return self.cluster.servers[0] if which == "first" else self.random.choice(self.cluster.servers[1:])

    def fault_kill(self, which):
        server = self.server(which)
        server.kill()
        time.sleep(5)
        server.start_again()

    def fault_death(self, which):
        """A node of jobs dies together with a server, for longer than a lease."""
        for _ in range(16):  # more than the instance's own node has slots for
            self.stoker.queue("patient")
        harness.wait_for(self.on_second, 60, "jobs on the second node")
        attempts, server = self.on_second(), self.server(which)
        self.deaths.append((node.uptime(), attempts))
        server.process.kill()
        self.second.die()
        server.process.wait()
        self.second.runner.wait()
        time.sleep(5)
        server.start_again()
        harness.wait_for(lambda: not self.on_second(), DEATH_S + 30, "what the dead node had to be taken back")
        self.second.start_runner()

    def on_second(self):
        return [(task, int(attempt)) for task, attempt in self.stoker.sql(
            "SELECT LOWER(HEX(t.id)), t.attempt FROM task t JOIN node n ON n.id = t.node_id WHERE t.state = 'running' AND n.name = '%s'" % self.second.name)]

    def fault_pause(self, which):
        server = self.server(which)
        server.pause()
        time.sleep(self.random.choice((2, 8)))
        server.resume()

    def fault_cut(self, which):
        server = self.server(which)
        server.isolate(True)
        time.sleep(6)
        server.isolate(False)

    def fault_stop(self, which):
        server = self.server(which)
        server.stop()
        time.sleep(3)
        server.begin()

    def fault_all(self, _which):
        """Within a second, as when the power goes; the script that is shipped brings them back."""
        for server in self.random.sample(self.cluster.servers, len(self.cluster.servers)):
            server.process.kill()
            time.sleep(self.random.choice((0, 0.3)))
        for server in self.cluster.servers:
            server.process.wait()
        status, said = self.recover()
        if status != 0:
            self.wrong.append("the recovery script failed: " + said)

    def recover(self):
        """Its two commands that start a node ask us: whoever starts one ends it, too."""
        on, asked = self.cluster.folder + "/on", self.cluster.folder + "/asked"
        with open(on, "w") as file:
            file.write('#!/bin/sh\nexport GALERA_CNF="%s/$1/cnf" NODE="$1"\nshift\nexec "$@"\n' % self.cluster.folder)
        with open(self.cluster.folder + "/begin", "w") as file:
            file.write('#!/bin/sh\necho "$NODE" "$@" >>%s\n' % asked)
        for script in (on, self.cluster.folder + "/begin"):
            os.chmod(script, 0o755)
        begin = self.cluster.folder + "/begin"
        env = dict(os.environ, REMOTE=on, START_FIRST=begin + " --wsrep-new-cluster", START=begin, PATIENCE="60")
        said = self.cluster.folder + "/recovered"
        with open(said, "w") as out:
            script = subprocess.Popen([RECOVER, "cluster"] + [s.name for s in self.cluster.servers], env=env,
                                      stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        begun = 0
        while script.poll() is None:
            lines = text_of(asked).splitlines()
            for line in lines[begun:]:
                name, *more = line.split()
                next(s for s in self.cluster.servers if s.name == name).start_again(*more)
            begun = len(lines)
            time.sleep(0.05)
        if begun:
            os.unlink(asked)
        return script.returncode, text_of(said)

    def rage(self):
        for what, which in self.faults:
            self.told["%s %s" % (what, which)] += 1
            time.sleep(2)
            getattr(self, "fault_" + what)(which)
            try:
                self.cluster.wait_synced(seconds=SYNCED_S)
            except AssertionError as late:
                self.wrong.append("after %s %s: %s: %s" % (what, which, late, [
                    (s.name, s.status("local_state_comment"), s.status("cluster_size")) for s in self.cluster.servers]))
                return

    def heal(self):
        """Whoever was hurt is synced again already."""

    # --- afterwards ---------------------------------------------------------------------------------------------

    def hear_nodes(self):
        """Equal, once nobody writes: the checksums are taken while the scheduler beats, so only what differs thrice does."""
        unequal = {}
        for _ in range(3):
            unequal = {table: sums for table, sums in self.cluster.unequal().items()
                       if table.split(".")[1] not in ("beat", "node", "turn")}
            if not unequal:
                return
        self.wrong.append("the nodes differ: %s" % unequal)

    def hear_log(self):
        retries = sum(self.stoker.log(role).count("txn.retry") for role in ("api", "runner", "scheduler", "courier"))
        lost = self.stoker.sql("SELECT COUNT(*) FROM attempt a JOIN node n ON n.id = a.node_id WHERE a.cause = 'node_lost'"
                               " AND n.name <> '%s'" % self.second.name)[0][0]
        if lost != "0":
            self.wrong.append("%s attempts were taken back, though no runner died" % lost)
        print("%d transactions again" % retries, flush=True)

    def hear_deaths(self):
        """By what the jobs wrote themselves."""
        signs = self.first_and_last()
        lost = {(task, int(attempt)) for task, attempt in self.stoker.sql(
            "SELECT LOWER(HEX(task_id)), number FROM attempt WHERE cause = 'node_lost'")}
        for died, attempts in self.deaths:
            for task, attempt in lost & set(attempts):  # others had just ended by themselves
                # no sign: it died before it spoke
                last = signs.get((task, attempt), [died, died])[1]
                first = signs.get((task, attempt + 1), [float("inf")])[0]
                print("its node died with a server: last sign of attempt %d after %.2f s, first of the next after %.2f s" % (
                    attempt, last - died, first - died), flush=True)
                if not last < first < died + DEATH_S:
                    self.wrong.append("task %s, whose node died, began anew %.2f s after, its last sign was after %.2f s" % (
                        task, first - died, last - died))

    def run(self):
        wrong = super().run()
        self.hear_deaths()
        self.hear_nodes()
        self.hear_log()
        self.hear_doctor()
        return wrong

    def ills(self):
        """What the doctor finds wrong with the cluster, by server."""
        checks = json.loads(self.stoker.admin("doctor", "--json").stdout)["checks"]
        return "; ".join(check["sentence"] for check in checks if check["name"] == "galera" and check["verdict"] == "fail")

    def hear_doctor(self):
        """Last, since it hurts: he finds the cluster well, then a server that may lose commits, then one that lacks a row, as
        one does that was started without its position."""
        last = self.cluster.servers[-1]
        found = [self.ills()]
        last.sql("SET GLOBAL innodb_flush_log_at_trx_commit = 2")
        found.append(self.ills())
        last.sql("SET GLOBAL innodb_flush_log_at_trx_commit = 1; SET SESSION wsrep_on = OFF; DELETE FROM task ORDER BY id LIMIT 1")
        found.append(self.ills())
        if found[0] or last.address + ": innodb_flush" not in found[1] or last.address + " have different tasks" not in found[2]:
            self.wrong.append("the doctor says first %r, then %r, then %r" % tuple(found))

    def remove(self, keep=False):
        try:
            if keep:
                print("logs:\n" + self.stoker.logs(40), flush=True)
                for server in self.cluster.servers:
                    print("--- %s\n%s" % (server.name, server.said()), flush=True)
            if hasattr(self, "second"):
                self.second.remove()
            if hasattr(self, "stoker"):
                self.stoker.remove()
        finally:
            if hasattr(self, "cluster"):
                self.cluster.remove()
            storm.shutil.rmtree(self.folder, ignore_errors=True)


# One round: each kind of fault, the preferred writer and another one.
ROUND = [(what, which) for which in ("first", "other") for what in ("kill", "pause", "cut", "stop", "death")] + [("all", "")]


def play(jobs, faults, seed, spread):
    print("galera storm: seed %d, %d jobs, %d faults, %s" % (
        seed, jobs, len(faults), "clients spread over the nodes" if spread else "one preferred writer"), flush=True)
    return storm.play_out(GaleraStorm(jobs, faults, seed, spread))


def main():
    words = argparse.ArgumentParser(description="A storm of faults over three Galera nodes.")
    words.add_argument("--jobs", type=int, default=1000, help="a round")
    words.add_argument("--rounds", type=int, default=2, help="each has all faults, in an order of its own")
    words.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    words.add_argument("--seeds", type=int, default=1, help="so many storms, from seeds that follow each other")
    words.add_argument("--spread", action="store_true", help="clients on all nodes, not on a preferred one")
    words = words.parse_args()

    def play_one(seed):
        order = random.Random(seed)
        faults = [fault for _ in range(words.rounds) for fault in order.sample(ROUND, len(ROUND))]
        return play(words.jobs * words.rounds, faults, seed, words.spread)

    return storm.play_seeds(words.seed, words.seeds, play_one)


if __name__ == "__main__":
    sys.exit(main())
