"""make lint itself: each fault that it looks for is planted in a small repository, and it must fail."""
import os
import shutil
import subprocess
import unittest

import harness

SOURCES = {
    "rooms": ("attic/thing.c", "int thing;\n"),
    "names": ("lib/base/util.c", "int thing;\n"),
    "words": ("lib/base/thing.c", "/* TO" "DO later */\n"),
    "floors": ("lib/base/thing.c", '#include "store/db.h"\n'),
    "calls": ("fcgi/thing.c", "void f(char *to)\n{\n\tstrcpy(to, \"x\");\n}\n"),
    "shell": ("conf/thing.sh", "#!/bin/bash\nrm $1\n"),
    "functions": ("fcgi/thing.c", "void long_one(void)\n{\n" + "\t;\n" * 61 + "}\n"),
    "rules": ("tests/flow/test_none.py", "def test_rule_01_alone(): pass\n"),
    "compilers": ("Makefile", "all tests-built:\n\t@echo it broke in words of its own; false\n"),
    "elf": ("build/bin/stoker", "not a program\n"),
}
SQL = {
    "outside the store": ("worker/thing.c", 'static const char *s = "DELETE FROM task";\n'),
    "printed on one line": ("lib/store/thing.c", 'void f(void)\n{\n\tsnprintf(t, n, "DELETE FROM task WHERE id=%s", id);\n}\n'),
    "printed over lines": ("lib/store/thing.c",
                           'void f(void)\n{\n\tbuf_printf(&b,\n\t\t"%s"\n\t\t" WHERE id=%s",\n\t\tstart, id);\n}\n'),
    "appended": ("lib/store/log_store.c", 'void other(void)\n{\n\tbuf_text(&b, "ALTER TABLE log_chunk");\n}\n'),
}


class Lint(unittest.TestCase):
    def lint(self, check, path=None, text=""):
        top = harness.scratch()
        self.addCleanup(shutil.rmtree, top)
        os.makedirs(os.path.join(top, "tests"))
        shutil.copytree(os.path.join(harness.TOP, "tests", "lint"), os.path.join(top, "tests", "lint"))
        subprocess.run(["git", "init", "-q", top], check=True)
        if path:
            path = os.path.join(top, path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as file:
                file.write(text)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("O", "MAKE"))}
        return subprocess.run(["bash", os.path.join(top, "tests", "lint", "lint.sh"), check], env=environment,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def test_each_check_fails_on_what_it_looks_for(self):
        for check, (path, text) in SOURCES.items():
            with self.subTest(check):
                done = self.lint(check, path, text)
                self.assertEqual(done.returncode, 1, done.stdout)
                self.assertIn("FAIL ", done.stdout)

    def test_sql_is_found_however_it_is_put_together(self):
        for what, (path, text) in SQL.items():
            with self.subTest(what):
                self.assertEqual(self.lint("sql", path, text).returncode, 1)

    def test_named_integers_may_be_printed(self):
        text = 'void drop_before(void)\n{\n\tbuf_printf(&b, "ALTER TABLE t DROP PARTITION p%lld", day);\n}\n'
        self.assertEqual(self.lint("sql", "lib/store/log_store.c", text).returncode, 0)

    def test_nothing_found_is_good(self):
        for check in ("rooms", "names", "words", "floors", "sql", "calls", "shell"):
            done = self.lint(check)
            self.assertEqual((done.returncode, "FAIL" in done.stdout), (0, False), done.stdout)


if __name__ == "__main__":
    harness.main()
