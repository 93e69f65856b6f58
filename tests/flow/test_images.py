#!/usr/bin/env python3
"""Images of layers, as registries and archives hold them: brought to a node, and run as they say."""
import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import harness
import oci_images
from oci_images import busybox, layer

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "faults"))
from node import NearNode  # noqa: E402


class Images(harness.FlowTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.addClassCleanup(harness.FlowTest.tearDownClass.__func__, cls)
        cls.folder = harness.scratch()
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.layout = oci_images.Layout(os.path.join(cls.folder, "layout"))
        cls.base = layer(busybox("sh", "cat", "ls", "id", "pwd", "env", "echo", "stat"))
        cls.digest = cls.layout.add("full", [
            cls.base,
            layer({"etc": None, "etc/passwd": b"ann:x:1001:1002::/home/ann:/bin/sh\n", "etc/gone": b"x", "data": None,
                   "data/old": b"old", "data/deep": None, "data/deep/er": b"x", "file": b"first", "dir-to-file": None,
                   "dir-to-file/in": b"x"}),
            layer({"etc/.wh.gone": b"", "data/.wh..wh..opq": b"", "data/new": b"new", "file": b"second",
                   "dir-to-file": b"now a file", "srv": (None, {"uid": 1001, "gid": 1002}),
                   "srv/own": (b"owned", {"uid": 1001, "gid": 1002, "mode": 0o4600})}),
        ], Entrypoint=["/bin/sh", "-c"], Cmd=["id -u; id -g; pwd; echo $GREETING; cat /file /dir-to-file; ls /data /etc;"
                                              " cat own; stat -c %a own"],
            Env=["GREETING=hello", "PATH=/bin"], WorkingDir="/srv", User="ann")
        cls.source = "oci:%s:full" % cls.layout.folder

    @classmethod
    def tearDownClass(cls):
        pass  # the cleanups above also run if setUpClass fails half-way

    def image_import(self, name, source, *options):
        return self.stoker.cli("image", "import", name, source, *options, "--json", "-c",
                               os.path.join(self.stoker.var, "conf", "admin.conf"))

    def expect_whole(self, image):
        self.stoker.code(image.replace("/", "-"), "", image=image)
        task = self.stoker.run_task(image.replace("/", "-"))
        log = self.stoker.task_log(task["id"]).decode()
        self.assertEqual(task["state"], "complete", (task["note"], log))
        self.assertEqual(log.split("\n"), ["1001", "1002", "/srv", "hello", "secondnow a file/data:", "new", "", "/etc:",
                                           "passwd", "owned600", ""])

    def test_every_kind_of_archive_runs_as_its_config_says(self):
        archive = os.path.join(self.folder, "docker.tar")
        oci_images.skopeo("copy", "-q", self.source, "docker-archive:%s:full:1" % archive)
        oci_archive = os.path.join(self.folder, "oci.tar")
        oci_images.skopeo("copy", "-q", self.source, "oci-archive:" + oci_archive)
        for name, source in (("oci", self.source), ("docker", "docker-archive:" + archive),
                             ("oci-tar", "oci-archive:" + oci_archive)):
            with self.subTest(name):
                done = self.image_import(name, source)
                self.assertEqual(done.returncode, 0, done.stderr)
                if name == "oci":
                    self.assertEqual(json.loads(done.stdout)["digest"], self.digest)
                self.expect_whole(name)

    def test_a_registry_on_the_loopback(self):
        registry = oci_images.Registry(os.path.join(self.folder, "registry"))
        self.addCleanup(registry.close)
        oci_images.skopeo("copy", "-q", "--dest-tls-verify=false", self.source, "docker://%s/team/full:1" % registry.host)
        done = self.image_import("pulled", "docker://%s/team/full:1" % registry.host, "--plain-http")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.expect_whole("pulled")
        done = self.image_import("none", "docker://%s/team/none:1" % registry.host, "--plain-http")
        self.assertEqual(done.returncode, 1)
        self.assertIn("unknown", done.stderr)  # the registry's own word
        done = self.image_import("tls", "docker://%s/team/full:1" % registry.host)
        self.assertIn("HTTP response to HTTPS client", done.stderr)

    def test_hostile_layers_are_refused_and_leave_nothing(self):
        cases = {
            "up": [layer({"../up": b"x"})],
            "absolute": [layer({"/etc/x": b"x"})],
            "hard-link": [layer({"x": (b"", {"type": b"1", "linkname": "../../etc/passwd"})})],
            "through-a-link": [layer({"out": ("link", "/etc")}), layer({"out/written": b"x"})],
        }
        for name, layers in cases.items():
            with self.subTest(name):
                self.layout.add(name, layers)
                done = self.image_import(name, "oci:%s:%s" % (self.layout.folder, name))
                if name == "through-a-link":  # the link goes, a folder of the image comes in its place
                    self.assertEqual(done.returncode, 0, done.stderr)
                else:
                    self.assertEqual(done.returncode, 1, name)
                    self.assertIn("unpack the image: ", done.stderr)
                self.assertFalse(os.path.exists("/etc/written"))
        left = os.listdir(self.stoker.node) + os.listdir(os.path.join(self.stoker.node, "images"))
        self.assertEqual([name for name in left if name.startswith("tmp-")], [])

    def test_a_damaged_blob_and_too_many_layers_are_refused(self):
        folder = os.path.join(self.folder, "damaged")
        shutil.copytree(self.layout.folder, folder)
        with open(os.path.join(folder, "index.json")) as file:
            manifest = json.load(file)["manifests"][0]["digest"].split(":")[1]
        with open(os.path.join(folder, "blobs", "sha256", manifest)) as file:
            blob = json.load(file)["layers"][1]["digest"].split(":")[1]
        with open(os.path.join(folder, "blobs", "sha256", blob), "r+b") as file:
            file.seek(600)
            file.write(b"damage")
        done = self.image_import("damaged", "oci:%s:full" % folder)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, "[Dd]igest")
        self.layout.add("deep", [layer({"file-%d" % n: b"%d" % n}) for n in range(130)])
        done = self.image_import("deep", "oci:%s:deep" % self.layout.folder)
        self.assertIn("130 layers, more than the limit of 128", done.stderr)


class Pulls(harness.FlowTest):
    """Nodes fetch what codes name: docker://SERVER/NAME:TAG."""

    @classmethod
    def setUpClass(cls):
        cls.folder = harness.scratch()
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.layout = oci_images.Layout(os.path.join(cls.folder, "layout"))
        cls.registry = cls.start_registry("plain")
        cls.front = oci_images.Front(cls.registry)
        cls.addClassCleanup(cls.front.close)
        cls.locked = cls.start_registry("locked", {"auth": {"htpasswd": {"realm": "locked", "path": cls.password_file()}}})
        cls.tls = cls.start_registry("tls", {"http": cls.own_ca()})
        cls.ENV = {"STOKER_IMAGES_PLAIN_HTTP": ",".join((cls.registry.host, cls.front.host, cls.locked.host)),
                   "STOKER_IMAGES_CERT_DIR": os.path.join(cls.folder, "certs"), "STOKER_NODE_SLOTS": "2", "STOKER_IMAGES_CACHE_MB": "5"}
        super().setUpClass()
        cls.addClassCleanup(harness.FlowTest.tearDownClass.__func__, cls)

    @classmethod
    def tearDownClass(cls):
        pass  # the cleanups above also run if setUpClass fails half-way

    @classmethod
    def start_registry(cls, name, more=None):
        registry = oci_images.Registry(os.path.join(cls.folder, name), more)
        cls.addClassCleanup(registry.close)
        return registry

    @classmethod
    def password_file(cls):
        path = os.path.join(cls.folder, "htpasswd")
        with open(path, "w") as file:  # ann:secret, by bcrypt
            file.write("ann:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n")
        return path

    @classmethod
    def own_ca(cls):
        """A certificate that only certs/ca.crt vouches for."""
        certs = os.path.join(cls.folder, "certs")
        os.makedirs(certs)
        key, crt = os.path.join(cls.folder, "key.pem"), os.path.join(certs, "ca.crt")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-keyout", key, "-out", crt, "-days", "2", "-subj", "/CN=registry", "-addext",
                        "subjectAltName=IP:127.0.0.1"], check=True, stderr=subprocess.DEVNULL)
        for path in (cls.folder, certs, crt):
            os.chmod(path, 0o755)
        return {"tls": {"certificate": crt, "key": key}}

    def push(self, registry, name, text, *options):
        """An image that says `text`; its digest."""
        tag = "%s-%d" % (name.replace("/", "-").replace(":", "-"), len(self.layout.manifests))
        self.layout.add(tag, [layer(busybox("cat", "sh", "sleep")), layer({"says": text.encode()})], Cmd=["/bin/cat", "/says"],
                        Env=["PATH=/bin"])
        written = os.path.join(self.folder, "digest")  # compressed on its way, it is another than in the layout
        oci_images.skopeo("copy", "-q", "--dest-tls-verify=false", "--digestfile", written, *options,
                          "oci:%s:%s" % (self.layout.folder, tag), "docker://%s/%s" % (registry.host, name))
        with open(written) as file:
            return file.read().strip()

    def says(self, code, image):
        if image:
            self.stoker.code(code, "", image=image)
        task = self.stoker.run_task(code, seconds=60)
        return task, self.stoker.task_log(task["id"]).decode()

    def test_one_fetch_however_many_wait_and_one_digest_a_revision(self):
        digest = self.push(self.registry, "team/one:1", "first")
        image = "docker://%s/team/one:1" % self.front.host
        for code in ("one", "two"):
            self.stoker.code(code, "", image=image)
        tasks = [self.stoker.queue(code) for code in ("one", "two") * 5]
        for task in tasks:
            self.assertEqual(self.stoker.wait_state(task, *harness.SETTLED, seconds=60)["state"], "complete")
            self.assertEqual(self.stoker.task_log(task), b"first")
        manifests = [path for path in self.front.seen if "/team/one/blobs/" in path]
        self.assertEqual(len(manifests), len(set(manifests)))
        hexes = {row for row in self.stoker.sql("SELECT LOWER(HEX(a.digest)) FROM attempt a JOIN task t ON t.id = a.task_id"
                                                " JOIN code c ON c.id = t.code_id WHERE c.name IN ('one', 'two')")}
        self.assertEqual(hexes, {(digest.split(":")[1],)})
        self.push(self.registry, "team/one:1", "second")
        self.assertEqual(self.says("one", None)[1], "first")
        self.assertEqual(self.says("three", image)[1], "second")

    def test_two_nodes_that_see_a_tag_move_run_one_digest(self):
        """A node asks first, another is told the tag's next meaning first: that one holds for the revision, on both."""
        self.push(self.registry, "team/moves:1", "first")
        answers, gate = [], threading.Event()
        self.addCleanup(gate.set)

        def hold(_, body):
            """The first answer, which is of before the move, comes after all others."""
            answers.append(body)
            return body if len(answers) > 1 or gate.wait(60) else None

        self.front.moods["/team/moves/manifests/1"] = hold
        self.stoker.code("moves", "", image="docker://%s/team/moves:1" % self.front.host)
        early = self.stoker.queue("moves")
        harness.wait_for(lambda: answers, 30, "the first node's question")
        self.stoker.kill("runner", signal.SIGSTOP)
        try:
            digest = self.push(self.registry, "team/moves:1", "second")
            other = NearNode(self.stoker, 2)
            self.addCleanup(other.remove)
            other.start()
            late = self.stoker.run_task("moves", seconds=60)
            self.assertEqual((late["state"], self.stoker.task_log(late["id"])), ("complete", b"second"))
            other.kill_runner()
        finally:
            self.stoker.kill("runner", signal.SIGCONT)
        gate.set()
        self.assertEqual(self.stoker.wait_state(early, *harness.SETTLED, seconds=60)["state"], "complete")
        self.assertEqual(self.stoker.task_log(early), b"second")
        self.assertEqual(["sha256:" + one for one in self.digests("moves")], [digest] * 2)
        nodes = self.stoker.sql("SELECT COUNT(DISTINCT a.node_id) FROM attempt a JOIN task t ON t.id = a.task_id JOIN code c ON c.id = t.code_id"
                                " WHERE c.name = 'moves'")
        self.assertEqual(nodes[0][0], "2")

    def lookups(self, name):
        return self.front.seen.count("/v2/team/%s/manifests/1" % name)

    def digests(self, code):
        return [row[0] for row in self.stoker.sql(
            "SELECT LOWER(HEX(a.digest)) FROM attempt a JOIN task t ON t.id = a.task_id JOIN code c ON c.id = t.code_id"
            " WHERE c.name = '%s' ORDER BY t.id" % code)]

    def test_a_code_may_follow_its_tag(self):
        digests = [self.push(self.registry, "team/follow:1", "first")]
        image = "docker://%s/team/follow:1" % self.front.host
        self.stoker.code("seldom", "", image=image, follow_tag=3600)
        self.stoker.code("often", "", image=image, follow_tag=1)
        self.assertEqual({self.says(code, None)[1] for code in ("seldom", "often")}, {"first"})
        digests.append(self.push(self.registry, "team/follow:1", "second"))
        harness.wait_for(lambda: self.says("often", None)[1] == "second", 60, "the tag to be looked up again")
        self.assertEqual(self.says("seldom", None)[1], "first")  # its hour is not over
        self.assertEqual({"sha256:" + digest for digest in self.digests("often")}, set(digests))
        self.assertEqual("sha256:" + self.digests("often")[-1], digests[1])
        self.assertEqual({"sha256:" + digest for digest in self.digests("seldom")}, {digests[0]})
        self.stoker.sql("UPDATE revision SET looked_up_at = looked_up_at - INTERVAL 2 HOUR WHERE image = '%s'" % image)
        old = self.stoker.kill("runner")  # the next has only the database's word for it
        self.stoker.wait_restarted("runner", old)
        self.assertEqual(self.says("seldom", None)[1], "second")
        # a registry that is away has not changed its mind; one that says the tag is gone has
        before = self.lookups("follow")
        self.front.moods["/team/follow/manifests/1"] = oci_images.refuse(503, "away")
        harness.wait_for(lambda: self.says("often", None)[1] == "second" and self.lookups("follow") > before, 60, "a look in vain")
        self.front.moods["/team/follow/manifests/1"] = oci_images.refuse(404, "the tag is gone")
        task = harness.wait_for(lambda: next((t for t in [self.says("often", None)[0]] if t["state"] == "error"), None), 60,
                                "the registry's word")
        self.assertEqual(task["cause"], "image")
        self.assertIn("the tag is gone", task["note"])
        self.assertEqual(self.says("seldom", None)[1], "second")
        del self.front.moods["/team/follow/manifests/1"]
        self.assertEqual(self.says("often", None)[1], "second")

    def test_a_tag_is_looked_up_no_more_often_than_its_code_says(self):
        self.push(self.registry, "team/rare:1", "rare")
        self.stoker.code("rare", "", image="docker://%s/team/rare:1" % self.front.host, follow_tag=86400)
        for task in [self.stoker.queue("rare") for _ in range(4)]:
            self.assertEqual(self.stoker.wait_state(task, *harness.SETTLED, seconds=60)["state"], "complete")
        self.assertEqual(self.says("rare", None)[1], "rare")
        self.assertEqual(self.lookups("rare"), 1)
        (age,), = self.stoker.sql("SELECT TIMESTAMPDIFF(SECOND, looked_up_at, NOW(6)) FROM revision WHERE image LIKE '%/team/rare:1'")
        self.assertLess(int(age), 86400)

    def test_what_has_no_tag_to_follow_is_refused(self):
        for image, engine, words in (("busybox", "", "no image of a registry"),
                                     ("docker://%s/a@sha256:%s" % (self.front.host, 64 * "0"), "", "names a digest"),
                                     ("sha256:" + 64 * "0", "docker", "names a digest")):
            with self.subTest(image):
                reply = self.stoker.post("codes", {"name": "none", "image": image, "engine": engine, "follow_tag": 60})
                self.assertEqual(reply.status, 400)
                self.assertIn("field follow_tag", reply.json["msg"])
                self.assertIn(words, reply.json["msg"])

    def test_what_is_not_there_or_not_ours_ends_with_the_registrys_words(self):
        task, _ = self.says("absent", "docker://%s/team/absent:1" % self.registry.host)
        self.assertEqual((task["state"], task["cause"]), ("error", "image"))
        self.assertIn("unknown", task["note"])
        self.push(self.locked, "team/secret:1", "hidden", "--dest-creds", "ann:secret")
        image = "docker://%s/team/secret:1" % self.locked.host
        task, _ = self.says("locked", image)
        self.assertEqual((task["state"], task["cause"]), ("error", "image"))
        self.assertRegex(task["note"], "unauthorized|authentication required")
        login = {"username": "ann", "password": "secret", "serveraddress": self.locked.host}
        reply = self.stoker.post("credentials", {"auth": base64.b64encode(json.dumps(login).encode()).decode()})
        self.assertEqual(reply.status, 200, reply)
        self.assertEqual(self.says("opened", image)[1], "hidden")

    def as_project(self, name):
        """From now on, until the test is over."""
        before = self.stoker.project, self.stoker.token
        self.addCleanup(lambda: (setattr(self.stoker, "project", before[0]), setattr(self.stoker, "token", before[1])))
        project = self.stoker.admin("project", "create", name).stdout.strip()
        token = self.stoker.admin("token", "create", "--user", name, "--project", name, "--role", "developer").stdout.strip()
        self.stoker.project, self.stoker.token = project, token

    def test_an_image_that_a_project_fetched_by_its_login_is_no_other_projects(self):
        digest = self.push(self.locked, "team/private:1", "private", "--dest-creds", "ann:secret")
        image = "docker://%s/team/private" % self.locked.host
        self.as_project("owner")
        login = {"username": "ann", "password": "secret", "serveraddress": self.locked.host}
        self.stoker.post("credentials", {"auth": base64.b64encode(json.dumps(login).encode()).decode()})
        self.assertEqual(self.says("private", image + "@" + digest)[1], "private")
        self.as_project("stranger")
        for number, (name, words) in enumerate(((image + ":1", "unauthorized|authentication required"),
                                                (image + "@" + digest, "unauthorized|authentication required"),
                                                (digest, "was fetched from a registry"))):
            with self.subTest(name):
                task, log = self.says("stranger-%d" % number, name)
                self.assertEqual((task["state"], task["cause"], log), ("error", "image", ""), task)
                self.assertRegex(task["note"], words)

    def test_a_registry_with_a_ca_of_its_own(self):
        self.push(self.tls, "team/tls:1", "encrypted")
        task, log = self.says("tls", "docker://%s/team/tls:1" % self.tls.host)
        self.assertEqual(log, "encrypted", task)

    def test_a_registry_that_wants_to_be_left_alone_is_asked_again(self):
        # skopeo itself is patient with 429; with the others the node is, and tells the words
        for name, part, mood, words in (("429", "manifests", oci_images.refuse(429, "slow down, please"), ""),
                                        ("503", "manifests", oci_images.refuse(503, "away"), ": "),
                                        ("blobs", "blobs", oci_images.refuse(502, "away"), "status code from registry 502"),
                                        ("hung-up", "manifests", lambda *_: None, "EOF")):
            with self.subTest(name):
                self.push(self.registry, "team/busy-%s:1" % name, "at last, %s" % name)
                place = "/team/busy-%s/%s/" % (name, part)
                self.front.moods[place] = mood
                self.stoker.code("busy-" + name, "", image="docker://%s/team/busy-%s:1" % (self.front.host, name))
                task = self.stoker.queue("busy-" + name)
                waiting = harness.wait_for(lambda n=task, w=words: self.waits_for_image(n, w), 30, "the reason to be told")
                self.assertEqual(waiting["status"], "queued")
                harness.wait_for(lambda p=place: any(self.front.seen.count(path) > 1 for path in self.front.seen if p in path), 30,
                                 "a second try")
                del self.front.moods[place]
                self.assertEqual(self.stoker.wait_state(task, *harness.SETTLED, seconds=60)["state"], "complete")

    def waits_for_image(self, task, words):
        """The task, if its note says so with these words; one that has ended waits for nothing."""
        found = self.stoker.task(task)
        self.assertNotIn(found.get("state", found["status"]), harness.SETTLED, found)
        note = found.get("note") or ""
        return found if "waits for its image" in note and words in note else None

    def test_a_fetch_that_fails_leaves_others_of_its_digest_to_their_own(self):
        digest = self.push(self.registry, "team/both:1", "both")
        gate = threading.Event()
        self.addCleanup(gate.set)
        gone = oci_images.refuse(404, "gone meanwhile")
        self.front.moods["/team/both/blobs"] = lambda handler, body: gate.wait(60) and gone(handler, body)
        for code, host in (("fails", self.front.host), ("works", self.registry.host)):
            self.stoker.code(code, "", image="docker://%s/team/both@%s" % (host, digest))
        fails = self.stoker.queue("fails")
        harness.wait_for(lambda: any("/team/both/blobs" in path for path in self.front.seen), 30, "the fetch to begin")
        works = self.stoker.queue("works")
        harness.wait_for(lambda: self.waits_for_image(works, ""), 30, "the note")
        gate.set()
        done = self.stoker.wait_state(fails, *harness.SETTLED, seconds=60)
        self.assertEqual((done["state"], done["cause"], "registry 404" in done["note"]), ("error", "image", True), done)
        self.assertEqual(self.stoker.wait_state(works, *harness.SETTLED, seconds=60)["state"], "complete")

    def test_another_projects_server_that_hangs_keeps_nobody_waiting(self):
        digest = self.push(self.registry, "team/common:1", "common")
        gate = threading.Event()
        self.addCleanup(gate.set)
        self.front.moods["/team/common/blobs"] = lambda _, body: (gate.wait(60), body)[1]
        theirs = []
        ours = self.stoker.project, self.stoker.token
        self.as_project("slow")
        self.stoker.code("common", "", image="docker://%s/team/common@%s" % (self.front.host, digest))
        theirs.append(self.stoker.queue("common"))
        harness.wait_for(lambda: any("/team/common/blobs" in path for path in self.front.seen), 30, "the fetch to begin")
        slow = self.stoker.project, self.stoker.token
        self.stoker.project, self.stoker.token = ours
        self.assertEqual(self.says("common", "docker://%s/team/common@%s" % (self.registry.host, digest))[1], "common")
        self.stoker.project, self.stoker.token = slow
        self.assertFalse(gate.is_set())
        gate.set()
        self.assertEqual(self.stoker.wait_state(theirs[0], *harness.SETTLED, seconds=60)["state"], "complete")
        self.assertEqual([name for name in os.listdir(os.path.join(self.stoker.node, "pulls")) if digest[7:] in name], [])

    def hold_lookups(self, name):
        """Until it is set, the registry does not say what the tag means."""
        gate = threading.Event()
        self.addCleanup(gate.set)
        self.front.moods["/team/%s/manifests/1" % name] = lambda _, body: (gate.wait(60), body)[1]
        return gate

    def on_both_nodes(self, code):
        """What as many tasks as both nodes have slots say, each; the nodes that ran them."""
        tasks = [self.stoker.queue(code) for _ in range(4)]
        for task in tasks:
            done = self.stoker.wait_state(task, *harness.SETTLED, seconds=60)
            self.assertEqual(done["state"], "complete", done)
        nodes = self.stoker.sql("SELECT DISTINCT node_id FROM attempt WHERE task_id IN (%s)" %
                                ", ".join("UNHEX('%s')" % task for task in tasks))
        return {self.stoker.task_log(task) for task in tasks}, len(nodes)

    def test_two_nodes_look_a_followed_tag_up_once(self):
        self.push(self.registry, "team/twins:1", "first")
        other = NearNode(self.stoker, 3, slots=2)
        self.addCleanup(other.remove)
        other.start()
        gate = self.hold_lookups("twins")
        self.stoker.code("twins", "sh -c 'cat /says; sleep 1'", follow_tag=3, image="docker://%s/team/twins:1" % self.front.host)
        waiting = [self.stoker.queue("twins") for _ in range(4)]
        harness.wait_for(lambda: any("another node" in (self.stoker.task(task).get("note") or "") for task in waiting), 30,
                         "one of them to wait for the other's answer")
        gate.set()
        for task in waiting:
            done = self.stoker.wait_state(task, *harness.SETTLED, seconds=60)
            self.assertEqual(done["state"], "complete", done)
        self.assertEqual(self.lookups("twins"), 1)
        # while one asks, the other goes on with what it knows; once there is an answer, it does not stay with that
        digest = self.push(self.registry, "team/twins:1", "second")
        self.stoker.sql("UPDATE code SET follow_tag_s = 600 WHERE name = 'twins'")
        time.sleep(3.1)  # so that both have to ask the database
        self.stoker.sql("UPDATE revision SET looked_up_at = looked_up_at - INTERVAL 1 HOUR WHERE image LIKE '%/team/twins:1'")
        gate = self.hold_lookups("twins")
        waiting = [self.stoker.queue("twins") for _ in range(4)]
        harness.wait_for(lambda: any(self.stoker.task(task)["status"] == "complete" for task in waiting), 30, "the other node's tasks")
        gate.set()
        for task in waiting:
            done = self.stoker.wait_state(task, *harness.SETTLED, seconds=60)
            self.assertEqual(done["state"], "complete", done)
        harness.wait_for(lambda: self.on_both_nodes("twins") == ({b"second"}, 2), 40, "both nodes to know the answer")
        self.assertEqual(("sha256:" + self.digests("twins")[-1], self.lookups("twins")), (digest, 2))

    def test_a_slow_registry_holds_no_slot(self):
        self.push(self.registry, "team/slow:1", "slow")
        gate = threading.Event()
        self.addCleanup(gate.set)
        self.front.moods["/team/slow/blobs"] = lambda _, body: (gate.wait(60), body)[1]
        self.stoker.code("slow", "", image="docker://%s/team/slow:1" % self.front.host)
        slow = [self.stoker.queue("slow") for _ in range(7)]  # more than twice the node's slots
        for task in slow[:2]:
            harness.wait_for(lambda t=task: self.waits_for_image(t, ""), 30, "the note")
        self.stoker.code("quick", "true")
        for _ in range(3):
            self.assertEqual(self.stoker.run_task("quick")["state"], "complete")
        self.assertEqual({self.stoker.task(task)["status"] for task in slow}, {"queued"})
        old = self.stoker.kill("runner")  # the next has more tasks than slots, too
        self.stoker.wait_restarted("runner", old)
        self.assertEqual(self.stoker.run_task("quick")["state"], "complete")
        gate.set()
        for task in slow:
            done = self.stoker.wait_state(task, *harness.SETTLED, seconds=60)
            self.assertEqual((done["state"], done["note"], done["attempt"]), ("complete", "", 1))

    def test_registries_that_hang_are_waited_for_by_their_own_codes_alone(self):
        gate = threading.Event()
        self.addCleanup(gate.set)
        hung = []
        for name in ("hangs-1", "hangs-2"):
            self.push(self.registry, "team/%s:1" % name, name)
            self.front.moods["/team/%s/blobs" % name] = lambda _, body: (gate.wait(60), body)[1]
            self.stoker.code(name, "", image="docker://%s/team/%s:1" % (self.front.host, name))
            hung.append(self.stoker.queue(name))
            harness.wait_for(lambda n=name: any("/team/%s/blobs" % n in path for path in self.front.seen), 30, "the fetch to begin")
        for number in range(6):  # whichever thread is theirs
            self.push(self.registry, "team/near-%d:1" % number, "near")
            self.assertEqual(self.says("near-%d" % number, "docker://%s/team/near-%d:1" % (self.front.host, number))[1], "near")
        # a project has three at a time: what is more waits for its own
        self.front.moods["/team/hangs-3/"] = lambda _, body: (gate.wait(60), body)[1]
        for name in ("hangs-3", "last"):
            self.push(self.registry, "team/%s:1" % name, name)
            self.stoker.code(name, "", image="docker://%s/team/%s:1" % (self.front.host, name))
            hung.append(self.stoker.queue(name))
            harness.wait_for(lambda t=hung[-1]: self.waits_for_image(t, ""), 30, "the note")
        self.stoker.code("meanwhile", "true")
        self.assertEqual(self.stoker.run_task("meanwhile")["state"], "complete")
        self.assertEqual(self.lookups("last"), 0)
        gate.set()
        for task in hung:
            self.assertEqual(self.stoker.wait_state(task, *harness.SETTLED, seconds=60)["state"], "complete")
        self.assertEqual(self.lookups("last"), 1)

    def test_a_killed_runner_costs_a_fetch_and_no_task(self):
        self.push(self.registry, "team/killed:1", "after all")
        gate = threading.Event()
        self.addCleanup(gate.set)
        self.front.moods["/team/killed/blobs"] = lambda _, body: (gate.wait(60), body)[1]
        self.stoker.code("killed", "", image="docker://%s/team/killed:1" % self.front.host)
        task = self.stoker.queue("killed")
        harness.wait_for(lambda: any("/team/killed/blobs" in path for path in self.front.seen), 30, "the fetch to begin")
        old = self.stoker.kill("runner")
        self.stoker.wait_restarted("runner", old)
        gate.set()
        done = self.stoker.wait_state(task, *harness.SETTLED, seconds=60)
        self.assertEqual((done["state"], self.stoker.task_log(task)), ("complete", b"after all"))

    def test_fetched_images_take_no_more_room_than_they_may(self):
        digest = {}
        for name in ("old", "used", "newer", "newest"):
            digest[name] = self.push(self.registry, "team/%s:1" % name, name)
        folder = {name: os.path.join(self.stoker.node, "images", value.replace(":", "-")) for name, value in digest.items()}
        self.stoker.code("sleeper", "/bin/busybox sleep 1000", image="docker://%s/team/used:1" % self.registry.host)
        sleeper = self.stoker.queue("sleeper")
        self.stoker.wait_state(sleeper, "running")
        self.assertEqual(self.says("old", "docker://%s/team/old:1" % self.registry.host)[1], "old")
        for name in ("used", "old"):  # so that nobody thinks that a launch is under way
            os.utime(os.path.join(folder[name], "fetched"), (1e9, 1e9))
        self.assertEqual(self.says("newer", "docker://%s/team/newer:1" % self.registry.host)[1], "newer")
        self.assertEqual([os.path.exists(folder[name]) for name in ("old", "used", "newer")], [False, True, True])
        self.assertEqual(self.says("old", None)[1], "old")  # fetched again
        self.stoker.post("tasks/%s/cancel" % sleeper)

    def test_bytes_that_are_not_the_digests_are_refused(self):
        self.push(self.registry, "team/wrong:1", "wrong")
        self.front.moods["/team/wrong/blobs"] = lambda _, body: body[:-1] + b"!"
        task, _ = self.says("wrong", "docker://%s/team/wrong:1" % self.front.host)
        self.assertEqual((task["state"], task["cause"]), ("error", "image"))
        self.assertRegex(task["note"], "[Dd]igest")


if __name__ == "__main__":
    harness.main()
