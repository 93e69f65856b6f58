#!/usr/bin/env python3
"""What jobs reach: nothing by default; what their cluster allows, by veth and by slirp4netns; and never the node
itself, the database or a metadata service. Told by listeners, in a world of network namespaces (outside.py)."""
import os
import re
import subprocess
import sys
import unittest

import outside

if __name__ == "__main__":
    outside.enter()

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "flow")]

import harness  # noqa: E402 (it lies in the folder of the line above)
import test_escape  # noqa: E402

NEIGHBOURS = ("198.18.0.%d" % (2 * 16), "198.18.0.%d" % (2 * 16 + 1), "fd73:746f:6b65:10::1", "fd73:746f:6b65:10::2")
EVERY = outside.PUBLIC + outside.PRIVATE + outside.NEVER + outside.HOST + outside.GATE + NEIGHBOURS + ("127.0.0.1", "::1")
MAPPED = ("::ffff:169.254.169.254", "64:ff9b::a09:909")


def links():
    return set(re.findall(r"^\d+: (st[kp][^@:]*)", subprocess.run(["ip", "link"], stdout=subprocess.PIPE, text=True,
                                                                 check=True).stdout, re.M))


def tables():
    return set(re.findall(r"stoker_\w+", subprocess.run(["nft", "list", "tables"], stdout=subprocess.PIPE, text=True,
                                                        check=True).stdout))


def setUpModule():
    World.outside, World.inside = outside.Outside(), outside.Listeners()
    unittest.addModuleCleanup(World.outside.close)
    unittest.addModuleCleanup(World.inside.close)


class World(test_escape.Node):
    """A node in the middle: listeners on it, and everything else behind it."""

    def reach(self, name, addresses=EVERY):
        """{address: word} as the job says, and the sets of what the listeners outside and here say."""
        self.outside.seen()
        self.inside.take()
        task, log = self.run_hostile(name, "reach %d %s" % (outside.PORT, " ".join(addresses + MAPPED)))
        self.assertEqual(task["state"], "complete", (task, log))
        return dict(line.split(" ", 1) for line in log.splitlines()), self.outside.seen(), self.inside.take()

    def wait_lost(self, task):
        """Until its attempt, whose monitor was killed, is over; if it has a next one, that ends too."""
        harness.wait_for(lambda: self.stoker.task(task)["attempt"] > 1 or
                         self.stoker.task(task)["state"] in harness.SETTLED, what="its end")
        self.stoker.post("tasks/%s/cancel" % task)
        self.stoker.wait_state(task, *harness.SETTLED)

    def wait_again(self, task, attempt):
        """Until it runs in a later attempt: that it is running is also what the database says of one whose node died and
        has not come back to say so. What is claimed later would have the network that the next test allows."""
        found = harness.wait_for(lambda: self.stoker.task(task)["attempt"] > attempt and self.stoker.task(task), 60,
                                 "the next attempt of " + task)
        self.stoker.wait_state(task, "running", seconds=60)
        return found["attempt"]

    def allow(self, network):
        done = self.stoker.admin("cluster", "network", "default", network)
        self.assertEqual(done.returncode, 0, done.stderr)

    def expect(self, name, reached):
        said, beyond, here = self.reach(name)
        self.assertEqual({address for address, word in said.items() if word == "connected"}, set(reached))
        self.assertEqual(beyond, {"%s %s" % (address, how) for address in reached for how in ("tcp", "udp")})
        self.assertEqual(here, set())
        return said


class Veth(World):
    ENV = dict(test_escape.LIMITS, STOKER_NODE_RESOLVERS=outside.RESOLVER, STOKER_DATABASE_HOST=",".join(outside.DATABASE))

    @classmethod
    def setUpClass(cls):
        outside.sysctl("ipv4/ip_forward", "1")
        outside.sysctl("ipv6/conf/all/forwarding", "1")
        super().setUpClass()

    def setUp(self):
        self.allow("none")
        harness.wait_for(lambda: not links() and not tables(), what="what earlier jobs had to go")

    def test_by_default_a_job_has_no_network(self):
        self.expect("nothing", ())
        self.assertEqual((links(), tables()), (set(), set()))  # nor is any left of the jobs before

    def test_outbound_reaches_public_addresses_alone(self):
        self.allow("outbound")
        said = self.expect("outbound", outside.PUBLIC + outside.GATE)
        self.assertEqual(said["10.9.9.9"], said["169.254.169.254"])  # refused at once, not lost
        self.assertNotEqual(said["10.9.9.9"], "Connection timed out")
        harness.wait_for(lambda: not links() and not tables(), what="all to go with its job")

    def test_private_reaches_private_ones_too_and_still_not_the_node_the_database_or_metadata(self):
        self.allow("private")
        self.expect("private", outside.PUBLIC + outside.GATE + outside.PRIVATE)

    def test_each_wall_holds_alone(self):
        """As if a job had taken down that in its own namespace, or somebody that of the host."""
        self.allow("outbound")
        reached = outside.PUBLIC + outside.GATE
        seen = self.reach_without(EVERY, "nsenter", "-t", "INIT", "-n", "nft", "flush", "ruleset")
        self.assertEqual(seen, {"%s %s" % (address, how) for address in reached for how in ("tcp", "udp")})
        # without the host's table nobody translates addresses: nothing comes back, datagrams go out
        less = tuple(address for address in EVERY if address not in reached[1:])
        seen = self.reach_without(less, "nft", "delete", "table", "inet", "stoker_10")
        self.assertEqual(seen, {reached[0] + " udp"})

    def reach_without(self, addresses, *command):
        """What is seen outside of a job during which the command took a wall down."""
        self.stoker.code("walled", "sh -c 'until test -e /tmp/go; do sleep 0.1; done; /hostile reach %d %s'" %
                         (outside.PORT, " ".join(addresses)), image="hostile")
        task = self.stoker.queue("walled")
        self.stoker.wait_state(task, "running")
        init = self.init_of(task)
        subprocess.run([init if word == "INIT" else word for word in command], check=True)
        self.outside.seen()
        self.inside.take()
        with open("/proc/%s/root/tmp/go" % init, "w"):
            pass
        self.assertEqual(self.stoker.wait_state(task, *harness.SETTLED, seconds=90)["state"], "complete")
        self.assertEqual(self.inside.take(), set())
        return self.outside.seen()

    def init_of(self, task):
        for folder in self.stoker.cgroups():
            procs = os.path.join(folder, task + "-1", "cgroup.procs")
            if os.path.exists(procs):
                with open(procs) as pids:
                    return pids.readline().strip()
        raise AssertionError("no cgroup of " + task)

    def test_a_job_asks_the_resolvers_that_the_operator_named_for_names(self):
        self.allow("outbound")
        self.stoker.code("names", "sh -c 'cat /etc/resolv.conf; nslookup example.com'", image="busybox")
        self.outside.seen()
        task = self.stoker.run_task("names")
        log = self.stoker.task_log(task["id"]).decode()
        self.assertIn("nameserver %s\n" % outside.RESOLVER, log)
        self.assertIn(outside.ANSWER, log)
        self.assertEqual(self.outside.seen(), {outside.RESOLVER + " dns"})

    def test_two_jobs_do_not_reach_each_other(self):
        self.allow("outbound")
        self.stoker.code("listens", "sh -c 'echo up; nc -l -p %d'" % outside.PORT, image="busybox")
        task = self.stoker.queue("listens")
        self.stoker.wait_state(task, "running")
        harness.wait_for(lambda: b"up" in self.stoker.task_log(task), what="the neighbour to listen")
        name, = links()
        number = int(name.split("-")[1], 16) + 16
        said, _, _ = self.reach("attacks", ("198.18.0.%d" % (2 * number + 1), "fd73:746f:6b65:%x::2" % number))
        self.assertNotIn("connected", said.values())
        self.assertEqual(self.stoker.task(task)["status"], "running")
        self.stoker.post("tasks/%s/cancel" % task)
        self.stoker.wait_state(task, "cancelled")

    def test_every_attack_is_contained_with_a_network_too(self):
        self.allow("outbound")
        table = self.attack()
        through = {name for name, (verdict, _, _) in table.items() if verdict != "held"}
        self.assertEqual(through, {"network cards"}, {name: table[name] for name in through})

    def test_members_cannot_give_a_cluster_a_network(self):
        made = self.stoker.post("/2/clusters", {"name": "mine", "network": "private"})
        self.assertEqual(made.status, 200, made)
        cluster = self.stoker.get("/2/clusters/mine").json["cluster"]
        self.assertEqual(cluster["network"], "none")
        self.stoker.request("PUT", "/2/clusters/mine", {"network": "outbound"})
        self.assertEqual(self.stoker.get("/2/clusters/mine").json["cluster"]["network"], "none")

    def test_kill_9_of_launcher_and_monitor_leaves_nothing_and_nobody_without_a_wall(self):
        self.allow("outbound")
        self.stoker.code("stays", "/hostile wait", image="hostile")
        task = self.stoker.queue("stays")
        self.stoker.wait_state(task, "running")
        runner = self.stoker.pid("runner")
        launcher, = (pid for pid, name in self.stoker.processes().items() if name == "stoker-launcher")
        os.kill(launcher, 9)
        self.stoker.wait_restarted("runner", runner)
        self.assertEqual(len(links()), 1)
        self.assertEqual(tables(), {"stoker_10"})  # of a job that is alive
        with open(os.path.join(self.stoker.node, "jobs", task + "-1", "monitor.pid")) as file:
            os.kill(int(file.read().split()[0]), 9)
        self.wait_lost(task)
        harness.wait_for(lambda: not links() and not tables(), what="all to go with the job")

    def test_stopped_or_killed_a_node_leaves_no_table(self):
        self.allow("outbound")
        self.stoker.code("stays", "/hostile wait", image="hostile")
        task = self.stoker.queue("stays")
        self.stoker.wait_state(task, "running")
        self.assertEqual(tables(), {"stoker_10"})
        self.allow("none")  # of the jobs' next attempts
        attempt = self.stoker.task(self.neighbour)["attempt"]
        self.stoker.kill_everything()
        self.assertEqual(tables(), {"stoker_10"})
        self.stoker.start()
        harness.wait_for(lambda: not tables(), what="the table to be swept")
        self.stoker.post("tasks/%s/cancel" % task)
        attempt = self.wait_again(self.neighbour, attempt)
        self.stoker.stop()
        self.assertEqual((links(), tables()), (set(), set()))
        self.stoker.start()
        self.wait_again(self.neighbour, attempt)


class Slirp(World):
    """The launcher may not change the host's network."""

    ENV = dict(Veth.ENV)

    @classmethod
    def setUpClass(cls):
        cls.launcher = os.path.join(harness.scratch(), "launcher")
        with open(cls.launcher, "w") as file:
            file.write('#!/bin/sh\nexec setpriv --bounding-set=-net_admin --inh-caps=-net_admin %s/bin/stoker-launcher "$@"\n' %
                       harness.BUILD)
        os.chmod(cls.launcher, 0o755)
        cls.addClassCleanup(test_escape.shutil.rmtree, os.path.dirname(cls.launcher))
        cls.ENV = dict(Slirp.ENV, STOKER_RUNNER_LAUNCHER=cls.launcher)
        super().setUpClass()

    def test_outbound_reaches_public_addresses_alone(self):
        self.allow("outbound")
        four = tuple(address for address in outside.PUBLIC + outside.GATE if ":" not in address)
        self.expect("outbound", four)
        self.assertEqual((links(), tables()), (set(), set()))
        harness.wait_for(lambda: "slirp4netns" not in self.stoker.processes().values(), what="slirp4netns to end")

    def test_a_killed_monitor_takes_slirp4netns_with_it(self):
        self.allow("outbound")
        self.stoker.code("stays", "/hostile wait", image="hostile")
        task = self.stoker.queue("stays")
        self.stoker.wait_state(task, "running")
        self.assertIn("slirp4netns", self.stoker.processes().values())
        with open(os.path.join(self.stoker.node, "jobs", task + "-1", "monitor.pid")) as file:
            os.kill(int(file.read().split()[0]), 9)
        self.wait_lost(task)
        harness.wait_for(lambda: "slirp4netns" not in self.stoker.processes().values(), what="slirp4netns to end")


if __name__ == "__main__":
    harness.main()
