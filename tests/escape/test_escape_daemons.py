#!/usr/bin/env python3
"""The hostile jobs of test_escape.py on the engines that are daemons: there too each succeeds in a container that the daemon
has opened on purpose, and fails in those that Stoker has it make, but for what docs/engines.md says."""
import json
import os
import re
import sys

import test_escape
from test_escape import harness, opened, rows

sys.path.insert(0, os.path.join(test_escape.HERE, "..", "engine"))
from node import Docker, Podman  # noqa: E402

DOC = os.path.join(test_escape.HERE, "..", "..", "docs", "engines.md")


def not_held():
    """{attack: the engines that do not hold it} of the document, whose row says what stands behind."""
    with open(DOC) as file:
        rows_of = file.read().split("| attack | gets through on | and then |")[1].split("\n\n")[0]
    cells = [line.strip("| ").split(" | ") for line in rows_of.splitlines()[2:]]
    return {name: engines.split(", ") for name, engines, _ in cells}


class OnDaemon:
    """A node whose jobs a daemon runs, which sees the node's folder where the runner has it."""
    daemon_class = None

    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.make_daemon()
        cls.engine = cls.daemon.name
        cls.JOB = {"engine": cls.engine}
        cls.ENV = dict(test_escape.LIMITS, **{"STOKER_NODE_ENGINES": cls.engine + ", oci",
                                              "STOKER_NODE_%s_SOCKET" % cls.engine.upper(): cls.daemon.socket})
        super().setUpClass()

    @classmethod
    def make_daemon(cls):
        class Inside(cls.daemon_class):
            live_restore = False

            def command(self):
                return ["nsenter", "-t", str(cls.stoker.pid("keeper")), "-m"] + super().command()

        daemon = Inside()
        cls.addClassCleanup(daemon.close)
        return daemon

    @classmethod
    def before_jobs(cls):
        cls.daemon.start()
        cls.addClassCleanup(lambda: cls.daemon.process.poll() is None and cls.daemon.stop())

    def test_every_attack_succeeds_in_a_container_that_the_daemon_opened(self):
        self.run_hostile("look", "look")  # the daemon has the image by now
        image = next(i["Id"] for i in self.daemon.ask("GET", "/images/json")[1])
        out = os.path.join(self.stoker.node, "opened-by-a-daemon")
        os.mkdir(out, 0o777)
        env, binds = self.opened_world()
        self.expect_open(rows(opened.run_by(self.daemon, image, ["/hostile", "every"], env, binds, out)))

    def test_every_attack_is_contained(self):
        """But for those that docs/engines.md names for this engine, and no others."""
        table = self.attack()
        self.assertGreaterEqual(len(table), test_escape.ATTACKS_LEAST)
        self.maxDiff = None
        self.assertEqual(sorted(name for name, (verdict, _, _) in table.items() if verdict != "held"),
                         sorted(name for name, engines in not_held().items() if self.engine in engines), table)
        for behind in ("set-id file", "make a disk", "make kernel memory", "take memory"):  # the walls behind those
            self.assertEqual(table[behind][0], "held", behind)
        self.assertIsNone(self.host.victim.poll())
        self.assertEqual(self.stoker.task(self.neighbour)["status"], "running")

    def told_of(self, code, **fields):
        """What the daemon was asked for, of a running task of the code, with what differs from job to job replaced."""
        task = self.stoker.queue(code, **fields)
        self.stoker.wait_state(task, "running")
        if self.engine == "swarm":
            told = self.daemon.ask("GET", "/services/stoker-%s-1" % task)[1]["Spec"]
        else:
            told = self.daemon.ask("GET", "/containers/stoker-%s-1/json" % task)[1]
            told["Config"]["Env"].sort()  # as Podman does not
        self.stoker.post("tasks/%s/cancel" % task)
        self.stoker.wait_state(task, "cancelled")
        text = json.dumps({key: told[key] for key in told if self.engine == "swarm" or key in ("Config", "HostConfig", "Path", "Args")},
                          sort_keys=True, indent=1)
        return re.sub(r'("(?:Secret|Config)ID|Path|Image)": "[^"]*"', r'\1": ""', text.replace(task, "TASK").replace(told.get("Id", "-"), "ID"))

    def test_what_the_daemon_is_asked_for_knows_nothing_of_what_people_write(self):
        code, task, foreign = test_escape.hostile_fields(self.engine)
        numbers = {key: code[key] for key in ("grace", "memory_mb", "timeout", "output")}
        self.stoker.code("harmless", "/hostile wait", image="hostile", engine=self.engine, config="c", **numbers)
        self.stoker.code("evil", image="hostile", **dict(code, **foreign))
        harmless = self.told_of("harmless", payload="{}")
        self.maxDiff = None
        self.assertEqual(self.told_of("evil", **dict(task, **foreign)), harmless)
        self.assertNotIn("/hostile", harmless)

    def test_what_ends_a_job_ends_that_job_alone(self):
        task, _ = self.run_hostile("deadly", "memfd", env=self.host.variables(self.stoker))
        self.assertIn((task["state"], task["cause"]), (("killed", "out_of_memory"), ("complete", "exit")))
        task, _ = self.run_hostile("kill-all", "kill-all")
        self.assertEqual((task["state"], task["exit_code"]), ("error", 7))
        task, _ = self.run_hostile("daemon", "daemon")
        self.assertEqual(task["state"], "complete")
        self.assertEqual(self.stoker.task(self.neighbour)["status"], "running")


class OnDocker(OnDaemon, test_escape.Node):
    daemon_class = Docker


class OnPodman(OnDaemon, test_escape.Node):
    daemon_class = Podman


if __name__ == "__main__":
    harness.main()
