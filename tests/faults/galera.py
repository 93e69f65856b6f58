"""Three Galera nodes of a test's own: real mariadbd on loopback addresses, with the values of conf/mariadb/galera.cnf."""
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "flow"))
import harness  # noqa: E402

SHIPPED = os.path.join(harness.TOP, "conf", "mariadb", "galera.cnf")
UID = 63211  # rsync, which copies a node's data to another, does not work as root
START_S = 60


def free_ports(addresses, count):
    """The first of so many that nobody listens on, on any of the addresses; below what the kernel gives to clients."""
    while True:
        first = random.SystemRandom().randrange(10000, 32000)
        try:
            for address in addresses:
                for port in range(first, first + count):
                    socket.create_server((address, port)).close()
            return first
        except OSError:
            pass


def shipped_options():
    """The provider's options as they are shipped, less what a test has no room for."""
    with open(SHIPPED) as file:
        text = re.search(r'^wsrep_provider_options = "(.*)"$', file.read(), re.M).group(1)
    return ";".join(option for option in text.split(";") if not option.startswith("gcache.size"))


class Server:
    """One node."""

    def __init__(self, cluster, number):
        self.cluster, self.number = cluster, number
        self.name = "n%d" % number
        self.address = "%s.%d" % (cluster.net, number)
        self.folder = os.path.join(cluster.folder, self.name)
        self.socket = self.folder + "/s"
        self.process = None

    def settings(self):
        c = self.cluster
        group = c.port + 1
        options = "%s;gcache.size=32M;base_host=%s;base_port=%d;gmcast.listen_addr=tcp://%s:%d;ist.recv_addr=%s:%d" % (
            shipped_options(), self.address, group, self.address, group, self.address, c.port + 2)
        lines = ["!include " + SHIPPED, "[mariadbd]"] + ["%s = %s" % pair for pair in dict({
            "datadir": self.folder + "/data", "socket": self.socket, "pid_file": self.folder + "/pid", "tmpdir": self.folder + "/tmp",
            "port": c.port, "bind_address": self.address, "wsrep_cluster_name": os.path.basename(c.folder),
            "wsrep_cluster_address": "gcomm://" + ",".join("%s:%d" % (s.address, group) for s in c.servers),
            "wsrep_node_name": self.name, "wsrep_node_address": self.address, "wsrep_sst_donor": "",
            "wsrep_sst_receive_address": "%s:%d" % (self.address, c.port + 3), "wsrep_provider_options": '"%s"' % options,
            "wsrep_slave_threads": 2, "innodb_buffer_pool_size": "64M", "innodb_log_file_size": "32M", "max_connections": 200,
            "performance_schema": "OFF", "innodb_buffer_pool_dump_at_shutdown": "OFF", "innodb_buffer_pool_load_at_startup": "OFF",
            "aria_pagecache_buffer_size": "8M", "key_buffer_size": "1M"}, **c.more).items()]
        with open(self.folder + "/cnf", "w") as file:
            file.write("\n".join(lines) + "\n")

    def command(self, *more):
        return ["setpriv", "--reuid=%d" % UID, "--regid=%d" % UID, "--clear-groups", "--no-new-privs", "--pdeathsig", "KILL", "--",
                "mariadbd", "--defaults-file=" + self.folder + "/cnf", *more]

    def recovered_position(self):
        """What Debian's unit asks before each start: without it a crashed node begins at nothing, and may stay behind."""
        said = subprocess.run(self.command("--wsrep-recover", "--disable-log-error"), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", cwd="/").stdout
        return re.search(r"Recovered position: *(\S+)", said).group(1)

    def begin(self, *more):
        """The process; it is no part of the cluster yet."""
        with open(self.folder + "/log", "ab") as log:
            self.process = subprocess.Popen(self.command(*more), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
        os.chmod(self.folder + "/log", 0o644)

    def start_again(self, *more):
        self.begin("--wsrep-start-position=" + self.recovered_position(), *more)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        self.process.wait(60)

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def isolate(self, yes):
        """Cut off from the other nodes, not from clients."""
        self.sql("SET GLOBAL wsrep_provider_options = 'gmcast.isolate=%d'" % yes)

    def sql(self, query, database="stoker"):
        done = subprocess.run(["mariadb", "--no-defaults", "-u", "root", "-S", self.socket, "-N", "-B", "--connect-timeout=3", "-e", query]
                              + ([database] if database else []), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
                              timeout=60)
        if done.returncode != 0:
            raise AssertionError("%s: %s: %s" % (self.name, query, done.stderr.strip()))
        return [tuple(None if field == "NULL" else field for field in line.split("\t")) for line in done.stdout.splitlines()]

    def status(self, name):
        """'' while nobody answers."""
        try:
            return self.sql("SHOW STATUS LIKE 'wsrep_%s'" % name, None)[0][1]
        except (AssertionError, IndexError, subprocess.TimeoutExpired):
            return ""

    def said(self, lines=40):
        with open(self.folder + "/log", errors="replace") as file:
            return "".join(file.readlines()[-lines:])


class Cluster:
    """start(), then servers[0..2]; `more` are lines of their configuration."""

    def __init__(self, nodes=3, **more):
        self.folder = harness.scratch("stoker-galera-")
        self.more = more
        r = random.SystemRandom()
        self.net = "127.%d.%d" % (r.randrange(1, 255), r.randrange(1, 255))
        self.servers = [Server(self, n) for n in range(1, nodes + 1)]
        self.port = free_ports([s.address for s in self.servers], 4)

    def hosts(self):
        return ",".join(s.address for s in self.servers)

    def install(self):
        """All begin with the same files at the same place of the same history, so that none has to be copied."""
        first = self.servers[0]
        for s in self.servers:
            os.makedirs(s.folder + "/tmp")
            s.settings()
        subprocess.run(["mariadb-install-db", "--no-defaults", "--datadir=" + first.folder + "/data", "--tmpdir=" + first.folder + "/tmp",
                        "--auth-root-authentication-method=normal", "--skip-test-db", "--innodb-log-file-size=32M", "--user=root"],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.own()
        first.begin("--wsrep-new-cluster")
        self.wait_synced([first])
        first.stop()
        for s in self.servers[1:]:
            subprocess.run(["cp", "-a", "--sparse=always", first.folder + "/data", s.folder + "/data"], check=True)
        self.own()

    def own(self):
        for s in self.servers:
            subprocess.run(["chown", "-R", "%d:%d" % (UID, UID), s.folder], check=True)

    def start(self):
        try:
            self.install()
            self.servers[0].begin("--wsrep-new-cluster")
            self.wait_synced(self.servers[:1])
            for s in self.servers[1:]:
                s.begin()
            self.wait_synced()
            return self
        except BaseException:
            for s in self.servers:
                print("--- %s\n%s" % (s.name, s.said() if os.path.exists(s.folder + "/log") else ""), file=sys.stderr)
            self.remove()
            raise

    def wait_synced(self, servers=None, seconds=START_S):
        servers = servers or self.servers
        harness.wait_for(lambda: all(s.status("local_state_comment") == "Synced" and s.status("cluster_size") == str(len(servers))
                                     for s in servers), seconds, "%d synced nodes" % len(servers), every=0.1)

    def make_accounts(self, passwords):
        """Those of conf/mariadb/accounts.sql.in, from anywhere."""
        with open(os.path.join(harness.TOP, "conf", "mariadb", "accounts.sql.in")) as file:
            text = file.read().replace("@localhost", "@'%'")
        for account, password in passwords.items():
            text = text.replace("@%s_PASSWORD@" % account.upper(), password)
        self.servers[0].sql(text, None)

    def sums(self):
        """{table: [checksum on each node]}, both databases."""
        tables = self.servers[0].sql("SELECT CONCAT(table_schema, '.`', table_name, '`') FROM information_schema.tables WHERE table_type ="
                                     " 'BASE TABLE' AND table_schema IN ('stoker', 'stoker_logs')", None)
        query = "CHECKSUM TABLE " + ", ".join(name for name, in tables)
        found = {}
        for s in self.servers:
            for table, value in s.sql("SET SESSION wsrep_sync_wait = 15; " + query, None):
                found.setdefault(table, []).append(value)
        return found

    def unequal(self):
        return {table: values for table, values in self.sums().items() if len(set(values)) != 1}

    def remove(self):
        for s in self.servers:
            if s.process and s.process.poll() is None:
                s.process.kill()
                s.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Instance(harness.Instance):
    """An instance that works on a cluster; its own MariaDB idles. `spread`: connections to any node, not to the first."""

    def __init__(self, cluster, spread=False, env=None, **more):
        self.cluster = cluster
        on_cluster = {"DATABASE_SOCKET": "", "DATABASE_HOST": cluster.hosts(), "DATABASE_PORT": str(cluster.port),
                      "DATABASE_SPREAD": "yes" if spread else "no"}
        env = dict(env or {}, **{"STOKER_" + key: value for key, value in on_cluster.items()})
        super().__init__(env=dict(env, STOKER_LOGS_SOCKET=""), **more)

    def start(self):
        """The accounts first, with passwords that the instance finds."""
        passwords = {account: "%032x" % random.SystemRandom().randrange(1 << 128) for account in ("admin", "api", "worker")}
        os.makedirs(self.var + "/conf", exist_ok=True)
        for account, password in passwords.items():
            with open("%s/conf/%s.password" % (self.var, account), "x") as file:
                file.write(password + "\n")
        self.cluster.make_accounts(passwords)
        return super().start()

    def sql(self, query, database="stoker"):
        """On a node that is there."""
        for server in self.cluster.servers:
            if server.status("local_state_comment") == "Synced":
                return server.sql("SET SESSION wsrep_sync_wait = 15; " + query, database)
        raise AssertionError("no node is synced")


if __name__ == "__main__":
    began = time.monotonic()
    cluster = Cluster().start()
    print("up after %.1f s: %s, port %d" % (time.monotonic() - began, cluster.hosts(), cluster.port))
    try:
        input()
    finally:
        cluster.remove()
