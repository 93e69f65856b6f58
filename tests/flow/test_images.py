#!/usr/bin/env python3
"""Images of layers, as registries and archives hold them: brought to a node, and run as they say."""
import json
import os
import shutil

import harness
import oci_images
from oci_images import busybox, layer


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


if __name__ == "__main__":
    harness.main()
