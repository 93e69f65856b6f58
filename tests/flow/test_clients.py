"""IronWorker's published clients, unmodified; they are only told where the server is (tests/clients)."""
import fcntl
import os
import shutil
import stat
import subprocess
import zipfile

import harness

CLIENTS = os.path.join(harness.TOP, "tests", "clients")


def install_packages():
    """What package-lock.json names, unless it is there already: the network is asked once."""
    done = os.path.join(CLIENTS, "node_modules", ".package-lock.json")
    wanted = os.path.join(CLIENTS, "package-lock.json")
    with open(wanted) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two programs want them at the same time
        if os.path.exists(done) and os.path.getmtime(done) >= os.path.getmtime(wanted):
            return
        install()


def install():
    subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"], cwd=CLIENTS, check=True)


def pack_as_the_client_does(path):
    """Its own runner, the worker's folder, and a stand-in for node, which busybox has not."""
    with open(os.path.join(CLIENTS, "node_modules", "iron_worker", "upload_files", "__runner__.sh")) as runner:
        text = runner.read() + "\nnode worker.js"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("__runner__.sh", text)
        package.writestr("worker.js", "console.log(1)")
        node = zipfile.ZipInfo("bin/node")
        node.create_system, node.external_attr = 3, (stat.S_IFREG | 0o755) << 16
        package.writestr(node, "#!/bin/sh\necho \"node runs $1 for $(cat $PAYLOAD_FILE)\"\n")


class Node(harness.FlowTest):
    def run_client(self, prefix):
        """Only variables of one prefix, no file to read a configuration from."""
        s, folder = self.stoker, harness.scratch()
        env = {"PATH": os.environ["PATH"], "HOME": folder, "NODE_NO_WARNINGS": "1"}
        for name, value in (("TOKEN", s.token), ("PROJECT_ID", s.project), ("HOST", "127.0.0.1"), ("PORT", str(s.port)),
                            ("SCHEME", "http"), ("PROTOCOL", "http")):
            env[prefix + name] = value
        pack_as_the_client_does(os.path.join(folder, "package.zip"))
        try:
            done = subprocess.run(["node", os.path.join(CLIENTS, "iron_worker.js"), prefix.lower().strip("_").replace("_", "-")],
                                  cwd=folder, env=env, text=True, timeout=100, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        self.assertEqual((done.returncode, done.stdout), (0, "ok\n"), done.stdout)

    def test_iron_worker_by_variables_of_iron(self):
        self.run_client("IRON_")

    def test_iron_worker_by_variables_of_iron_worker(self):
        self.run_client("IRON_WORKER_")


if __name__ == "__main__":
    install_packages()
    harness.main()
