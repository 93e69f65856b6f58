#!/usr/bin/env python3
"""Images for runtimes, made of this machine's Debian packages: each runs its hello zip."""
import json
import os

import harness
import test_packages

HELLO = {
    "sh": 'cat "$PAYLOAD_FILE"; echo " from $(echo sh)"\n',
    "python": "import json, os, ssl\nprint(open(os.environ['PAYLOAD_FILE']).read(), 'from', json.loads('\"python\"'))\n",
    "ruby": "require 'json'\nputs \"#{File.read(ENV['PAYLOAD_FILE'])} from #{JSON.parse('[\"ruby\"]')[0]}\"\n",
    "php": "<?php echo file_get_contents(getenv('PAYLOAD_FILE')) . ' from ' . json_decode('\"php\"') . \"\\n\";\n",
    "node": "const fs = require('fs'); console.log(fs.readFileSync(process.env.PAYLOAD_FILE, 'utf8') + ' from node');\n",
    "perl": "use JSON::PP; open(F, $ENV{PAYLOAD_FILE}); print <F> . ' from ' . decode_json('[\"perl\"]')->[0] . \"\\n\";\n",
}


class Stacks(harness.FlowTest):
    ENV = {"STOKER_RUNTIMES_IMAGES": ",".join("%s=stack-%s" % (name, name) for name in HELLO)}

    upload = test_packages.Uploaded.upload

    def build(self, *arguments):
        return self.stoker.cli("image", "build-stack", *arguments, "-c",
                               os.path.join(self.stoker.var, "conf", "admin.conf"), timeout=120)

    def test_each_runtime_runs_its_hello_zip_in_the_image_that_was_built(self):
        for name, text in HELLO.items():
            with self.subTest(name):
                done = self.build(name, "--json")
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(json.loads(done.stdout)["name"], "stack-" + name)
                self.upload(name, test_packages.zipped(("hello", text, 0o644)), runtime=name, file_name="hello")
                task = self.stoker.run_task(name, payload="hello")
                self.assertEqual((self.stoker.task_log(task["id"]).decode(), task["state"]),
                                 ("hello from %s\n" % name, "complete"))

    def test_the_same_packages_make_the_same_image(self):
        first, again = self.build("sh"), self.build("sh", "other-name")
        self.assertEqual((first.returncode, again.returncode), (0, 0), first.stderr)
        self.assertEqual(first.stdout, again.stdout)
        self.assertIn("sh=other-name", again.stderr)

    def test_a_stack_that_is_unknown_is_refused(self):
        done = self.build("cobol")
        self.assertEqual(done.returncode, 2)
        self.assertIn("sh, python, ruby, php, node, perl", done.stderr)


if __name__ == "__main__":
    harness.main()
