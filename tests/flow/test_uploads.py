"""Zip packages over the wire: forms that real clients send, limits, what is refused, what memory it takes,
what a kill and a full disk leave behind."""
import glob
import hashlib
import http.client
import io
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import threading
import zipfile

import harness
from test_rules import Connection, chunked

LIMIT = 256 << 20  # as it is without a word of configuration
RESIDENT_KB = 32 << 10


def zip_of(entries, compression=zipfile.ZIP_DEFLATED):
    """A zip of {name: bytes}, or of {name: (bytes, mode)} with a Unix mode."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as package:
        for name, content in entries.items():
            content, mode = content if isinstance(content, tuple) else (content, stat.S_IFREG | 0o644)
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr, info.compress_type = 3, mode << 16, compression
            package.writestr(info, content)
    return out.getvalue()


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


def zip_of_size(size):
    """A zip of exactly so many bytes that cannot be packed any further."""
    around = len(zip_of({"noise": b""}, zipfile.ZIP_STORED))
    return zip_of({"noise": noise(size - around)}, zipfile.ZIP_STORED)


def large_zip(path, size):
    """The same as a file, of any size."""
    around = len(zip_of({"noise": b""}, zipfile.ZIP_STORED))
    left, piece = size - around, noise(1 << 20)
    info = zipfile.ZipInfo("noise")
    with zipfile.ZipFile(path, "w") as package, package.open(info, "w") as file:
        while left:
            left -= file.write(piece[:left])
    assert os.path.getsize(path) == size


def form(data, package, end=b"\r\n", name=b"file", boundary=b"77120", last=b"\r\n", headers=(), first="data"):
    """A multipart body as clients write them."""
    data_head = [b'Content-Disposition: form-data; name="data"'] if name else [b"Content-Type: application/json"]
    file_head = [b'Content-Disposition: form-data; name="' + name + b'"; filename="package.zip"'] if name else \
        [b"Content-Type: application/zip"]
    parts = [(data_head, json.dumps(data).encode()), (file_head + list(headers), package)]
    if first != "data":
        parts.reverse()
    return b"".join(b"--" + boundary + end + end.join(head) + end + end + body + end for head, body in parts) + \
        b"--" + boundary + b"--" + last


GOOD = zip_of({"run.sh": b"echo hi\n", "lib/data": b"\r\n--77120x\r\n" * 50 + b"\r\n"}, zipfile.ZIP_STORED)


class Packages(harness.FlowTest):
    ENV = {"STOKER_RUNTIMES_IMAGES": "sh=busybox, ruby-2.1=ruby:2.1, php=php:8"}

    def send(self, body, *headers, path="codes", token=True, how=None):
        """As bytes on a connection of its own."""
        head = ["POST /2/projects/%s/%s HTTP/1.1" % (self.stoker.project, path), "Host: x", *headers]
        if token:
            head.append("Authorization: OAuth " + self.stoker.token)
        if how is None:
            head.append("Content-Length: %d" % len(body))
        connection = Connection(self.stoker.port)
        try:
            connection.sock.settimeout(90)
            connection.send("\r\n".join(head + ["", ""]).encode() + (how(body) if how else body))
            return connection.read()
        finally:
            connection.close()

    def upload(self, name, package, path="codes", **fields):
        data = dict({"name": name, "runtime": "sh", "file_name": "run.sh"}, **fields)
        return self.send(form(data, package), "Content-Type: multipart/form-data; boundary=77120", path=path)

    def download(self, code, query=""):
        return self.stoker.get("codes/%s/download%s" % (code, query), timeout=90)

    def pieces(self):
        return int(self.stoker.sql("SELECT COUNT(*) FROM package_piece")[0][0])

    def uploads(self):
        return int(self.stoker.sql("SELECT COUNT(*) FROM package_upload")[0][0])

    def api_processes(self):
        """The children that serve."""
        found = []
        for path in glob.glob("/proc/%d/task/*/children" % self.stoker.pid("api")):
            with open(path) as children:
                found += [int(pid) for pid in children.read().split()]
        return found

    # --- forms ---------------------------------------------------------------------------------------

    def test_every_form_of_a_zip_comes_back_unchanged(self):
        kind = "Content-Type: multipart/form-data; boundary=77120"
        perl = (b"Content-Type: application/zip", b"Content-Transfer-Encoding: base64")

        def data(name):
            return {"name": name, "runtime": "sh", "file_name": "run.sh", "oauth": self.stoker.token}

        forms = {
            "ruby": ((form(data("ruby"), GOOD, headers=[b"Content-Type: text/plain"]), kind), {}),
            "java": ((form(data("java"), GOOD), kind + "; charset=US-ASCII"), {}),
            "node": ((form(data("node"), GOOD, last=b"", boundary=b"-" * 20 + b"NODENEEDLEHTTPCLIENT",
                           headers=[b"Content-Transfer-Encoding: binary"]), "Content-Type: multipart/form-data"), {}),
            "perl": ((form(data("perl"), GOOD, end=b"\n", headers=perl), kind), {}),
            "go": ((form(data("go"), GOOD), kind, "Transfer-Encoding: chunked"), {"how": lambda body: chunked(body, 1000)}),
            "reversed": ((form(data("reversed"), GOOD, first="file"), kind), {}),
            "nobody": ((form(data("nobody"), GOOD), kind), {"token": False}),
            "python3": ((form(data("python3"), repr(GOOD).encode()), kind), {}),
        }
        for name, (arguments, more) in forms.items():
            with self.subTest(name):
                reply = self.send(*arguments, **more)
                self.assertEqual((reply.status, reply.json.get("name")), (200, name), reply)
                self.assertEqual(reply.json["latest_checksum"], hashlib.md5(GOOD).hexdigest())
                self.assertEqual(reply.json["msg"], "Upload successful.")
                self.assertEqual(self.download(reply.json["id"]).body, GOOD)

    def test_dot_net_posts_parts_without_names_to_a_code(self):
        code = self.upload("dotnet", GOOD).json
        body = form({"name": "whatever", "file_name": "other.sh"}, zip_of({"other.sh": b"1"}), name=b"")
        reply = self.send(body, "Content-Type: multipart/form-data; boundary=77120", path="codes/" + code["id"])
        self.assertEqual((reply.status, reply.json["id"], reply.json["rev"]), (200, code["id"], 2), reply)
        self.assertEqual((reply.json["name"], reply.json["file_name"]), ("dotnet", "other.sh"))

    def test_an_empty_file_is_none(self):
        reply = self.send(form({"name": "imaged", "image": "busybox"}, b""), "Content-Type: multipart/form-data; boundary=77120")
        self.assertEqual(reply.status, 200, reply)
        self.assertNotIn("latest_checksum", reply.json)
        self.assertEqual(self.download(reply.json["id"]).status, 404)

    # --- what an update keeps -------------------------------------------------------------------------

    def test_an_update_keeps_what_it_does_not_send_and_each_revision_its_package(self):
        second = zip_of({"run.sh": b"echo 2\n"})
        first = self.upload("kept", GOOD, config="size=1").json
        self.assertEqual(self.stoker.post("codes", {"name": "kept", "retries": 3}).json["rev"], 2)
        third = self.send(form({"name": "kept"}, second), "Content-Type: multipart/form-data; boundary=77120").json
        self.assertEqual((third["rev"], third["retries"], third["config"], third["runtime"], third["file_name"]),
                         (3, 3, "size=1", "sh", "run.sh"))
        revisions = self.stoker.get("codes/%s/revisions" % first["id"]).json["revisions"]
        self.assertEqual([(r["rev"], r["checksum"], r["code_size"], r["runtime"]) for r in revisions],
                         [(n, hashlib.md5(p).hexdigest(), len(p), "sh") for n, p in ((3, second), (2, GOOD), (1, GOOD))])
        for query, rev, package in (("", 3, second), ("?revision=1", 1, GOOD), ("?revision=2&oauth=" + self.stoker.token, 2, GOOD)):
            reply = self.download(first["id"], query)
            self.assertEqual((reply.status, reply.headers["content-type"], reply.headers["content-disposition"], reply.body),
                             (200, "application/zip", "filename=kept_%d.zip" % rev, package))
        self.assertEqual(self.download(first["id"], "?revision=4").status, 404)
        self.assertEqual(self.stoker.request("HEAD", "codes/%s/download" % first["id"]).headers["content-length"], str(len(second)))

    def test_the_same_bytes_are_stored_once(self):
        package = zip_of({"run.sh": b"stored once"})
        self.upload("once", package)
        before = self.pieces()
        self.assertEqual(self.upload("twice", package).json["rev"], 1)
        self.assertEqual(self.upload("once", package).json["rev"], 2)
        self.assertEqual(self.pieces(), before)

    def test_runtimes_are_those_of_the_configuration(self):
        self.assertEqual(self.stoker.get("/2/stacks").json, ["sh", "ruby-2.1", "php"])
        self.assertEqual(self.upload("php", GOOD, runtime="php", file_name="runner.php", stack=None).status, 200)
        self.assertEqual(self.upload("stacked", GOOD, runtime="ruby", stack="ruby-2.1").json["stack"], "ruby-2.1")
        for fields in ({"runtime": "perl"}, {"runtime": "no_type_found"}, {"stack": "ruby-9"}):
            reply = self.upload("refused", GOOD, **fields)
            self.assertEqual(reply.status, 400, reply)
            self.assertIn("[runtimes] images are: sh=busybox", reply.json["msg"])
        self.assertEqual(self.upload("own", GOOD, runtime="perl", image="perl:5").status, 200)
        self.assertEqual(self.upload("odd", GOOD, runtime=False).status, 406)
        self.assertEqual(self.upload("none", GOOD, file_name="").status, 406)

    # --- what is refused --------------------------------------------------------------------------------

    def test_what_must_not_be_unpacked_is_refused_and_named(self):
        fifo, link = stat.S_IFIFO | 0o644, stat.S_IFLNK | 0o777
        encrypted = bytearray(zip_of({"run.sh": b"secret"}))
        encrypted[6] |= 1
        encrypted[encrypted.rindex(b"PK\1\2") + 8] |= 1
        doubled = bytearray(zip_of({"one": b"1", "two": b"2"}, zipfile.ZIP_STORED)).replace(b"two", b"one")
        for package, says in (
                (zip_of({"../evil": b"x"}), "'../evil' of the package leads out of it"),
                (zip_of({"/etc/evil": b"x"}), "'/etc/evil' of the package has an absolute path"),
                (zip_of({"a\\b": b"x"}), "has a backslash"),
                (zip_of({"out": (b"../..", link)}), "'out' of the package is a link that leads out of it"),
                (zip_of({"pipe": (b"", fifo)}), "'pipe' of the package is neither a file"),
                (zip_of({"bomb": bytes(1 << 20)}), "'bomb' of the package unpacks to over 100 times its size"),
                (zip_of({"n/%d" % i: b"" for i in range(20001)}), "over 20000 entries"),
                (bytes(doubled), "'one' of the package is there twice"),
                (zip_of({"a": b"1", "a/": b""}), "'a' of the package is there twice"),
                (bytes(encrypted), "'run.sh' of the package is encrypted"),
                (zip_of({"x": noise(70000)})[:-30], "not a zip"), (b"#!/bin/sh\necho no zip\n", "not a zip")):
            reply = self.upload("refused", package)
            self.assertEqual(reply.status, 400, (says, reply))
            self.assertTrue(reply.json["msg"].startswith("field file: "), reply)
            self.assertIn(says, reply.json["msg"])
        self.assertNotIn("refused", [code["name"] for code in self.stoker.get("codes?per_page=100").json["codes"]])

    def test_who_is_nobody_sends_no_package(self):
        big = noise(3 << 20)
        kind = "Content-Type: multipart/form-data; boundary=77120"
        for data, first in (({"name": "x"}, "data"), ({"name": "x", "oauth": "wrong"}, "data"),
                            ({"name": "x", "oauth": self.stoker.token}, "file")):
            reply = self.send(form(data, big, first=first), kind, token=False)
            self.assertEqual(reply.status, 401, reply)

    # --- limits --------------------------------------------------------------------------------------------

    def resident_kb(self):
        """The most that a process of the API ever had in memory."""
        most = 0
        for pid in self.api_processes():
            try:
                with open("/proc/%d/status" % pid) as status:
                    most = max(most, *(int(line.split()[1]) for line in status if line.startswith("VmHWM:")))
            except OSError:
                continue
        self.assertGreater(most, 0)
        return most

    def upload_file(self, name, path):
        """The same from a file, which needs not be in anybody's memory; sent as nginx reads it."""
        head, tail = form({"name": name, "runtime": "sh", "file_name": "run.sh"}, b"@@").split(b"@@")
        connection = Connection(self.stoker.port)
        try:
            connection.sock.settimeout(90)
            lines = ("POST /2/projects/%s/codes HTTP/1.1" % self.stoker.project, "Host: x", "Authorization: OAuth " + self.stoker.token,
                     "Content-Type: multipart/form-data; boundary=77120",
                     "Content-Length: %d" % (len(head) + os.path.getsize(path) + len(tail)), "", "")
            connection.send("\r\n".join(lines).encode() + head)
            with open(path, "rb") as file:
                connection.sock.sendfile(file)
            connection.send(tail)
            return connection.read()
        finally:
            connection.close()

    def downloaded_digest(self, code):
        connection = http.client.HTTPConnection("127.0.0.1", self.stoker.port, timeout=90)
        connection.request("GET", "/2/projects/%s/codes/%s/download" % (self.stoker.project, code), None,
                           {"Authorization": "OAuth " + self.stoker.token})
        with connection.getresponse() as reply:
            digest = hashlib.file_digest(reply, "sha256").hexdigest()
        connection.close()
        return digest

    def test_a_package_at_the_limit_takes_little_memory_and_one_byte_more_is_refused(self):
        folder = harness.scratch()
        self.addCleanup(shutil.rmtree, folder)
        path = os.path.join(folder, "package.zip")
        large_zip(path, LIMIT)
        reply = self.upload_file("limit", path)
        self.assertEqual((reply.status, reply.json.get("code_size")), (200, LIMIT), reply)
        with open(path, "rb") as file:
            self.assertEqual(self.downloaded_digest(reply.json["id"]), hashlib.file_digest(file, "sha256").hexdigest())
        large_zip(path, LIMIT + 1)
        reply = self.upload_file("over", path)
        self.assertEqual(reply.status, 413, reply)
        self.assertEqual(reply.json["msg"], "field file: is over %d bytes, the limit of a package ([limits] package)" % LIMIT)
        many = zip_of({"%05d/%s" % (i, "n" * 340): b"" for i in range(20000)})
        self.assertEqual(self.upload("many", many).status, 200)
        self.assertLess(self.resident_kb(), RESIDENT_KB)

    def small_disk(self, command, *arguments):
        folder = os.path.join(self.stoker.run, "var", "uploads")
        subprocess.run(["nsenter", "-m", "-t", str(self.stoker.pid("api")), command, *arguments, folder], check=True)

    def test_a_full_disk_is_503_and_leaves_nothing(self):
        package = zip_of_size(4 << 20)
        self.small_disk("mount", "-t", "tmpfs", "-o", "size=1m,mode=1777", "none")
        try:
            reply = self.upload("full", package)
            self.assertEqual((reply.status, reply.json["msg"]),
                             (503, "the disk for uploads has no room for the package; nothing was done"))
            self.assertIn("retry-after", reply.headers)
            self.assertEqual(self.upload("small", GOOD).status, 200)
        finally:
            self.small_disk("umount", "-l")  # the file is closed behind the answer
        self.assertEqual(self.upload("full", package).json["rev"], 1)

    # --- what is left behind ---------------------------------------------------------------------------------

    def test_a_killed_api_leaves_no_file_and_no_package(self):
        package = zip_of_size(24 << 20)
        digest = hashlib.sha256(package).hexdigest()
        uploads = os.path.join(self.stoker.var, "uploads")

        def go():
            try:
                self.upload("killed", package)
            except (AssertionError, OSError):
                pass  # nginx answers 502, or the test is over

        sender = threading.Thread(target=go)
        begun = self.uploads()
        sender.start()
        harness.wait_for(lambda: self.uploads() > begun, 20, "the upload to be stored")
        for pid in self.api_processes():
            os.kill(pid, signal.SIGKILL)
        sender.join(60)
        self.assertEqual(os.listdir(uploads), [])
        self.assertEqual(self.stoker.sql("SELECT HEX(digest) FROM package WHERE digest = UNHEX('%s')" % digest), [])
        harness.wait_for(lambda: self.stoker.get("codes").status == 200, 15, "the API")
        self.assertNotIn("killed", [code["name"] for code in self.stoker.get("codes?per_page=100").json["codes"]])
        self.assertEqual(self.upload("killed", package).status, 200)

    # --- and it runs -----------------------------------------------------------------------------------------

    def test_what_was_uploaded_runs_in_the_revision_that_was_current(self):
        first = self.upload("runs", zip_of({"run.sh": b"cat say\n", "say": b"one"}))
        self.stoker.post("codes/%s/pause_task_queue" % first.json["id"])
        early = self.stoker.queue("runs")
        self.upload("runs", zip_of({"run.sh": b"cat say\n", "say": b"two"}))
        late = self.stoker.queue("runs")
        self.stoker.post("codes/%s/resume_task_queue" % first.json["id"])
        for task, says in ((early, b"one"), (late, b"two")):
            self.stoker.wait_state(task, "complete")
            self.assertEqual(self.stoker.task_log(task), says)


if __name__ == "__main__":
    harness.main()
