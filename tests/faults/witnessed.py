"""Daemons of an instance of instance.sh whose containers give evidence as those of crun do (evidence_runtime.c)."""
import importlib.util
import os

from node import harness

spec = importlib.util.spec_from_file_location("engine_node", os.path.join(harness.TOP, "tests", "engine", "node.py"))
daemons = importlib.util.module_from_spec(spec)
spec.loader.exec_module(daemons)

RUNTIME = "/var/opt/witness/runc"  # instance.sh


class Witnessed:
    """A dockerd in the instance's private mounts, which are its `keeper`'s."""

    def command(self):
        return ["nsenter", "-t", self.keeper, "-m", *super().command(), "--add-runtime", "witness=" + RUNTIME,
                "--default-runtime", "witness"]


class Docker(Witnessed, daemons.Docker):
    pass


class Swarm(Witnessed, daemons.Swarm):
    """Its containers are no processes of the node: they outlive its death, and the next attempt has them ended first."""


class Podman(daemons.Podman):
    def command(self):
        words = super().command()
        words[words.index("runc")] = RUNTIME
        return ["nsenter", "-t", self.keeper, "-m", *words]


class Daemons:
    """One of each, for an instance: its settings first, the daemons once it is up."""

    def __init__(self):
        self.each = [Docker(), Podman(), Swarm()]
        self.names = ["oci"] + [one.name for one in self.each]
        self.env = {"STOKER_NODE_%s_SOCKET" % one.name.upper(): one.socket for one in self.each}
        self.env["STOKER_NODE_ENGINES"] = ",".join(self.names)

    def start(self, stoker):
        for one in self.each:
            one.keeper = str(stoker.pid("keeper"))
            one.start()

    def close(self):
        for one in self.each:
            if one.process:
                one.close()
