"""README: what it tells a newcomer to type under "Two commands" does what it says."""
import os
import re
import shlex
import subprocess

import harness


class Readme(harness.FlowTest):
    DEMO = "yes"

    def blocks(self):
        with open(os.path.join(harness.TOP, "README.md")) as file:
            section = file.read().split("\n## Two commands\n")[1].split("\n## ")[0]
        return re.findall(r"(?ms)^```sh\n(.*?)^```$", section)

    def test_the_blocks_of_two_commands_can_be_typed(self):
        first, *rest = self.blocks()
        self.assertTrue(first.startswith("make run "))
        self.assertGreaterEqual(len(rest), 2)
        folder = harness.scratch()
        self.addCleanup(subprocess.run, ["rm", "-rf", folder])
        os.symlink(self.stoker.var, os.path.join(folder, "var"))
        os.symlink(self.stoker.build, os.path.join(folder, "build"))
        os.symlink(os.path.join(harness.TOP, "README.md"), os.path.join(folder, "README.md"))
        # what docker would have exported
        tar = "cp %s debian.tar" % shlex.quote(os.path.join(self.stoker.var, "demo", "busybox.tar"))
        text = re.sub(r"(?m)^docker export .* >debian\.tar$", tar, "\n".join(rest))
        self.assertIn(tar, text)
        plain = {name: value for name, value in os.environ.items() if not name.startswith("IRON_")}
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", text], cwd=folder, env=plain, timeout=60,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("hello from", done.stdout)
        self.assertIn('{"name":"Ada"}', done.stdout)
        self.assertIn('"msg":"Queued up"', done.stdout.replace('": "', '":"'))
        with open(os.path.join(harness.TOP, "README.md")) as file:
            self.assertIn("%d\n" % len(file.readlines()), done.stdout)


if __name__ == "__main__":
    harness.main()
