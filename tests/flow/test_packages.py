#!/usr/bin/env python3
"""Zip packages on a node: unpacked once, an overlay of its own for each attempt, what a task sees of it
(IronWorker 9), and zips that came past the API refused all the same."""
import contextlib
import glob
import hashlib
import io
import json
import os
import stat
import subprocess
import zipfile

import harness

PIECE = 48 << 10  # what fits into an argument of mariadb; any will do
FILE, FOLDER, LINK, DEVICE = stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFCHR


def zipped(*entries, compress=zipfile.ZIP_DEFLATED):
    """Entries are (name, content, mode); a mode without a type is a file's, or a folder's for "name/"."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, content, mode in entries:
            info = zipfile.ZipInfo(name)
            info.create_system = 3
            info.compress_type = compress
            info.external_attr = (mode if stat.S_IFMT(mode) else mode | (FOLDER if name.endswith("/") else FILE)) << 16
            file.writestr(info, content)
    return out.getvalue()


def script(text, *more):
    return zipped(("hello.sh", text, 0o644), *more)


class PackageTest(harness.FlowTest):
    def store(self, data, digest=None):
        """A package as the API stores it, but without its checks. `digest`: another than its own."""
        digest = digest or hashlib.sha256(data).hexdigest()
        upload = os.urandom(12).hex()
        pieces = [data[at:at + PIECE] for at in range(0, len(data), PIECE)]
        for number, piece in enumerate(pieces):
            self.stoker.sql("INSERT INTO package_piece VALUES (X'%s', %d, X'%s')" % (upload, number, piece.hex()))
        self.stoker.sql("INSERT INTO package (digest, upload_id, bytes, pieces, md5) VALUES (X'%s', X'%s', %d, %d, X'%s')"
                        % (digest, upload, len(data), len(pieces), hashlib.md5(data).hexdigest()))
        return digest

    def around(self, name, data, digest=None):
        """Gives a code a package that no API has seen."""
        code = self.stoker.code(name, "true")
        digest = self.store(data, digest)
        self.stoker.sql("UPDATE revision SET package = X'%s', runtime = 'sh', file_name = 'hello.sh', image = '',"
                        " command = '' WHERE code_id = X'%s' AND number = %d" % (digest, code["id"], code["rev"]))
        return digest

    def output(self, task):
        return self.stoker.task_log(task["id"]).decode()

    def complete(self, code, payload="", **more):
        task = self.stoker.run_task(code, payload, **more)
        self.assertEqual(task["state"], "complete", task)
        return task

    def folder(self, digest):
        return os.path.join(self.stoker.node, "packages", "sha256-" + digest)

    def under_way(self):
        return glob.glob(os.path.join(self.stoker.node, "packages", "tmp-*"))

    def times_unpacked(self, digest):
        return self.stoker.log("runner").count("package_unpacked package=sha256-%s " % digest)

    @contextlib.contextmanager
    def held_up(self):
        """While it lasts no piece of a package can be read."""
        client = subprocess.Popen(["mariadb", "--no-defaults", "-u", "root", "-S", self.stoker.run + "/s/db.sock", "-N",
                                   "--unbuffered", "stoker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            client.stdin.write("LOCK TABLES package_piece WRITE; SELECT 'locked';\n")
            client.stdin.flush()
            self.assertEqual(client.stdout.readline().strip(), "locked")
            yield
        finally:
            client.kill()
            client.communicate()


class Unpacked(PackageTest):
    def test_each_attempt_has_it_as_it_was_packed(self):
        digest = self.around("pristine", script(
            "pwd; cat data; echo changed >data; rm tool; echo new >sub/new; ls sub; cat data\n",
            ("data", "packed\n", 0o600), ("tool", "#!/bin/sh\necho tool\n", 0o755), ("sub/", "", 0o755),
            ("sub/x", "", 0o644)))
        for _ in range(2):
            self.assertEqual(self.output(self.complete("pristine")), "/task\npacked\nnew\nx\nchanged\n")
        self.assertEqual(self.times_unpacked(digest), 1)

    def test_modes_links_and_owners_are_kept(self):
        self.around("modes", script(
            "./tool; ./link; stat -c '%a %u:%g %n' tool closed plain sub link; readlink link; cat closed; id -u\n",
            ("tool", "#!/bin/sh\necho tool\n", 0o755), ("closed", "closed\n", 0o400), ("plain", "", 0o640),
            ("sub/", "", 0o750), ("link", "tool", LINK | 0o777)))
        self.assertEqual(self.output(self.complete("modes")).splitlines(), [
            "tool", "tool", "755 0:0 tool", "400 0:0 closed", "640 0:0 plain", "750 0:0 sub", "777 0:0 link", "tool",
            "closed", "0"])

    def test_however_many_wait_it_is_unpacked_once(self):
        data = script("echo one of many\n", ("noise", os.urandom(100000), 0o644))
        digest = self.around("many", data)
        with self.held_up():
            tasks = [self.stoker.queue("many") for _ in range(6)]
            harness.wait_for(self.under_way, what="the fetch to begin")
            self.assertEqual({self.stoker.task(task)["status"] for task in tasks}, {"queued"})
        for task in tasks:
            self.assertEqual(self.stoker.wait_state(task, *harness.SETTLED)["state"], "complete")
        self.assertEqual(self.times_unpacked(digest), 1)
        self.assertEqual(self.under_way(), [])

    def test_a_task_that_waits_for_its_package_can_be_cancelled(self):
        self.around("unwanted", script("echo never\n", ("noise", os.urandom(1000), 0o644)))
        with self.held_up():
            task = self.stoker.queue("unwanted")
            harness.wait_for(self.under_way, what="the fetch to begin")
            self.assertEqual(self.stoker.post("tasks/%s/cancel" % task).status, 200)
            self.stoker.wait_state(task, "cancelled", seconds=8)

    def test_a_runner_killed_in_the_middle_leaves_nothing_believed_whole(self):
        digest = self.around("killed", script("echo survived\n", ("noise", os.urandom(100000), 0o644)))
        with self.held_up():
            task = self.stoker.queue("killed")
            harness.wait_for(self.under_way, what="the fetch to begin")
            before = self.under_way()
            self.stoker.wait_restarted("runner", self.stoker.kill("runner"))
            self.assertFalse(os.path.exists(self.folder(digest)))
        ended = self.stoker.wait_state(task, *harness.SETTLED, seconds=40)
        self.assertEqual((ended["state"], ended["attempt"]), ("complete", 1))
        self.assertEqual(self.output(ended), "survived\n")
        harness.wait_for(lambda: not set(before) & set(self.under_way()), what="the half package to be gone")

    def test_while_the_database_is_away_it_waits(self):
        self.around("patient", script("echo patient\n", ("noise", os.urandom(100000), 0o644)))
        with self.held_up():
            task = self.stoker.queue("patient")
            harness.wait_for(self.under_way, what="the fetch to begin")
            self.stoker.wait_restarted("mariadb", self.stoker.kill("mariadb"))
        harness.wait_for(lambda: self.stoker.get("/readyz", token=False).status == 200, what="the database")
        ended = self.stoker.wait_state(task, *harness.SETTLED, seconds=40)
        self.assertEqual((ended["state"], ended["attempt"]), ("complete", 1), ended)

    def test_a_package_that_is_gone_from_the_disk_is_fetched_again(self):
        digest = self.around("again", script("echo again\n"))
        self.complete("again")
        subprocess.run(["rm", "-rf", self.folder(digest)], check=True)
        self.complete("again")
        self.assertEqual(self.times_unpacked(digest), 2)

    def test_the_next_runner_knows_what_is_there(self):
        digest = self.around("known", script("echo known\n"))
        self.complete("known")
        self.stoker.wait_restarted("runner", self.stoker.kill("runner"))
        self.complete("known")
        self.assertEqual(self.times_unpacked(digest), 1)


class Uploaded(PackageTest):
    """The whole way: a client's upload, the database, the node, the job."""

    def upload(self, name, data, **fields):
        fields = json.dumps(dict({"name": name}, **fields)).encode()
        body = b"".join([b'--b\r\nContent-Disposition: form-data; name="data"\r\n\r\n', fields,
                         b'\r\n--b\r\nContent-Disposition: form-data; name="file"; filename="w.zip"\r\n\r\n', data,
                         b"\r\n--b--\r\n"])
        reply = self.stoker.request("POST", "codes", body, {"Content-Type": "multipart/form-data; boundary=b"})
        self.assertEqual(reply.status, 200, reply)
        return reply.json

    def test_a_zip_runs_by_its_runtime_and_each_revision_is_another(self):
        self.upload("whole", script("echo first $PWD; cat data\n", ("data", "packed\n", 0o644)), runtime="sh",
                    file_name="hello.sh")
        self.assertEqual(self.output(self.complete("whole")), "first /task\npacked\n")
        self.upload("whole", script("echo second\n"), runtime="sh", file_name="hello.sh")
        self.assertEqual(self.output(self.complete("whole")), "second\n")

    def test_a_zip_runs_in_an_image_of_its_own_by_a_command(self):
        data = zipped(("bin/tool", '#!/bin/sh\necho "$PWD $1 $2"\n', 0o755))
        self.upload("tool", data, image="busybox", command="bin/tool")
        self.assertEqual(self.output(self.complete("tool")), "/task -d /task/\n")
        self.upload("tool", data, image="busybox", command="cd bin && ./tool here $1")
        self.assertEqual(self.output(self.complete("tool")), "/task/bin here -d\n")

    def test_a_program_in_a_zip_runs_by_itself(self):
        with open("/bin/busybox", "rb") as program:
            data = zipped(("sh", program.read(), 0o755))
        self.upload("program", data, image="busybox", runtime="binary", file_name="sh")
        task = self.stoker.run_task("program")
        # busybox's sh takes -d for an option of its own and says so: it was run, with its arguments
        self.assertEqual((task["state"], task["cause"]), ("error", "exit"), task)
        self.assertIn("sh", self.output(task))


class Contract(PackageTest):
    """IronWorker 9: what a task sees, of an image and of a package."""
    ENV = {"STOKER_NODE_SLOTS": "1"}

    def lines(self, task):
        return self.output(task).splitlines()

    def test_arguments_environment_and_files_of_a_package(self):
        self.around("told", script(
            'echo "$@"; pwd; env | grep -v -e SHLVL -e ^HOME -e ^PWD -e ^PATH | sort; cat "$PAYLOAD_FILE" /mnt/task/hello.sh | '
            'head -n 1; cat $CONFIG_FILE; readlink /mnt/task; touch here /task/there; cat\n'))
        task = self.complete("told", "the payload\n")
        expected = ["-d /task/ -payload /task/task_payload.json -id %s -e production" % task["id"], "/task",
                    "PAYLOAD_FILE=/task/task_payload.json", "STOKER_ATTEMPT=1", "TASK_DIR=/task/", "TASK_ID=" + task["id"],
                    "TASK_MAXRAM=512m", "TASK_TIMEOUT=3600", "the payload"]
        self.assertEqual(self.lines(task)[:len(expected)], expected)
        self.assertEqual(self.lines(task)[-1], "/task")
        self.stoker.code("told", "true", config="secret = 1", env_vars={"MODE": "fast", "TASK_DIR": "/no"})
        self.around("told", script('echo "$@"; cat $CONFIG_FILE; echo; echo $MODE $TASK_DIR $CONFIG_FILE\n'))
        task = self.complete("told")
        self.assertEqual(self.lines(task), [
            "-d /task/ -payload /task/task_payload.json -id %s -e production -config /task/task_config.json" % task["id"],
            "secret = 1", "fast /task/ /task/task_config.json"])

    def test_a_task_of_a_schedule_is_told_which(self):
        self.around("fired", script('echo "$@"\n'))
        reply = self.stoker.post("schedules", {"schedules": [{"code_name": "fired", "run_every": 3600, "run_times": 1}]})
        schedule = reply.json["schedules"][0]["id"]
        task = harness.wait_for(lambda: self.stoker.get("tasks?code_name=fired&complete=1").json["tasks"], 30,
                                "the schedule's task to end")[0]
        self.assertTrue(self.lines(task)[0].endswith(" -e production -schedule_id " + schedule), self.lines(task))

    def test_an_image_alone_gets_no_arguments_and_keeps_its_working_directory(self):
        self.stoker.code("alone", "sh -c 'echo $#; pwd; readlink /mnt/task; ls /task /mnt/task/; touch /task/mine; "
                                  "echo $TASK_DIR $PAYLOAD_FILE ${CONFIG_FILE-none}; wc -c <$PAYLOAD_FILE'")
        self.assertEqual(self.lines(self.complete("alone")), [
            "0", "/", "/task", "/mnt/task/:", "task_payload.json", "", "/task:", "task_payload.json",
            "/task/ /task/task_payload.json none", "0"])

    def test_a_task_runs_the_revision_that_was_current_when_it_was_queued(self):
        self.around("pinned", script("echo first\n"))
        code = next(code["id"] for code in self.stoker.get("codes").json["codes"] if code["name"] == "pinned")
        self.assertEqual(self.stoker.post("codes/%s/pause_task_queue" % code).status, 200)
        task = self.stoker.queue("pinned")
        self.around("pinned", script("echo second\n"))
        self.assertEqual(self.stoker.post("codes/%s/resume_task_queue" % code).status, 200)
        self.assertEqual(self.lines(self.stoker.wait_state(task, "complete")), ["first"])
        self.assertEqual(self.lines(self.complete("pinned")), ["second"])

    def test_a_slow_package_holds_no_slot(self):
        self.around("slow", script("echo slow\n", ("noise", os.urandom(1000), 0o644)))
        self.stoker.code("quick", "echo quick")
        with self.held_up():
            slow = self.stoker.queue("slow")
            harness.wait_for(self.under_way, what="the fetch to begin")
            self.complete("quick") # on the only slot
            self.assertEqual(self.stoker.task(slow)["status"], "queued")
        self.assertEqual(self.lines(self.stoker.wait_state(slow, "complete")), ["slow"])


class Hostile(PackageTest):
    """Zips that the API would refuse, stored around it: the node trusts no bytes."""

    def refused(self, name, data, digest=None):
        digest = self.around(name, data, digest)
        task = self.stoker.run_task(name)
        self.assertEqual((task["state"], task["cause"]), ("error", "package"), task)
        self.assertFalse(os.path.exists(self.folder(digest)))
        self.assertEqual(self.under_way(), [])
        return task["note"]

    def test_paths_and_links_that_lead_out(self):
        for number, entry in enumerate([("../out", "x", 0o644), ("/etc/out", "x", 0o644), ("a/../../out", "x", 0o644),
                                        ("link", "/etc", LINK), ("link", "../../etc", LINK)]):
            self.refused("out%d" % number, script("true\n", entry))
        self.assertEqual(glob.glob(self.stoker.node + "/**/out", recursive=True), [])

    def test_what_would_be_written_through_a_link(self):
        self.assertIn("link", self.refused("through", script("true\n", ("link", ".", LINK), ("link/x", "x", 0o644))))

    def test_devices_and_names_that_come_twice(self):
        self.refused("device", script("true\n", ("zero", "", DEVICE | 0o666)))
        self.refused("setuid", script("true\n", ("su", "x", 0o4755)))
        with self.assertWarns(UserWarning):
            twice = script("true\n", ("hello.sh", "false\n", 0o644))
        self.assertIn("twice", self.refused("twice", twice))

    def test_bombs(self):
        self.assertIn("100 times", self.refused("bomb", script("true\n", ("zeros", bytes(20 << 20), 0o644))))
        self.assertIn("20000", self.refused("entries", zipped(
            *[("f%d" % number, "", 0o644) for number in range(20001)], compress=zipfile.ZIP_STORED)))

    def test_bytes_that_are_not_those_of_its_digest(self):
        self.assertIn("SHA-256", self.refused("damaged", script("true\n"), os.urandom(32).hex()))
        self.refused("nozip", b"PK\3\4 and no more")

    def test_one_that_is_not_stored(self):
        digest = self.around("lost", script("true\n"))
        self.stoker.sql("DELETE FROM package WHERE digest = X'%s'" % digest)
        task = self.stoker.run_task("lost")
        self.assertEqual((task["state"], task["cause"]), ("error", "package"))


class Cache(PackageTest):
    ENV = {"STOKER_NODE_PACKAGES_MB": "1"}

    def test_the_least_recently_used_go_but_none_in_use(self):
        def noisy(text):
            return script(text, ("noise", os.urandom(500000), 0o644))

        used = self.around("used", noisy("cat /task/noise >/dev/null; echo up; sleep 30; cat noise | wc -c\n"))
        old = self.around("old", noisy("true\n"))
        new = self.around("new", noisy("true\n"))
        task = self.stoker.queue("used")
        self.stoker.wait_state(task, "running")
        self.complete("old")
        self.complete("new")
        harness.wait_for(lambda: not os.path.exists(self.folder(old)), what="the older package to be gone")
        self.assertTrue(os.path.exists(self.folder(used)))
        self.assertTrue(os.path.exists(self.folder(new)))
        self.complete("old")
        harness.wait_for(lambda: not self.under_way(), what="what was removed to be gone")
        self.stoker.post("tasks/%s/cancel" % task)
        self.stoker.wait_state(task, "cancelled")


if __name__ == "__main__":
    harness.main()
