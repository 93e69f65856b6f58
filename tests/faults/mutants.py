#!/usr/bin/env python3
"""Is the storm any good? Each wall of the product is taken out of a copy of it, one at a time, and the storm must notice within
a few seeds; for what no storm can meet by chance somebody else is asked first.

    tests/faults/mutants.py [NAME ...]    prints who noticed and how; fails if nobody did for one of them

A copy is built in a folder of its own; nothing here is changed."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SEEDS = 3
STORM = ["tests/faults/storm.py", "--jobs", "200", "--faults", "20", "--seconds", "30"]
OUTAGE = ["tests/faults/storm.py", "--profile", "outage", "--jobs", "60", "--faults", "2", "--seconds", "45"]


def store(name):
    return ["build/tests/store/test_" + name]


# name: file, pattern, what it becomes, who is asked
MUTANTS = {
    "attempt guard": ("lib/store/attempt_store.c", r"AND attempt = \?", "AND (attempt = ? OR 1)", STORM),
    "session guard": ("lib/store/attempt_store.c", r"AND node_session = \?", "AND (node_session = ? OR 1)", STORM),
    "ledger key": ("sql/0006_schedules.sql", r"PRIMARY KEY \(schedule_id, nominal\),\n\tKEY at", "KEY at", STORM),
    "turn row": ("lib/store/ready_store.c", r"TRY\(db_exec\(db, cx, &TURN, .*\n\tif \(db_changed\(db\) != 1\)",
                 "(void)TURN;\n\tif (!db)", STORM),
    "outbox in its transaction": ("sql/0010_outbox_count.sql", r"IF notify & \(1 << \(kind - 1\)\) THEN", "IF 0 THEN", STORM),
    "grace": ("lib/store/node_store.c", r"SELECT grace_until > NOW\(6\) OR at < NOW\(6\) - INTERVAL 3 SECOND FROM beat", "SELECT 0 FROM beat",
              OUTAGE),
    "all or nothing": ("lib/store/txn.c", r"TRY\(db_begin\(db, cx\)\);", "TRY(db_open(db, cx));", store("attempt_store")),
    "asking after a lost COMMIT": ("lib/store/txn.c", r"if \(!t->done\)", "if (t)", store("db")),
}


def copy(folder):
    files = subprocess.run(["git", "-C", TOP, "ls-files", "-z"], stdout=subprocess.PIPE, check=True).stdout.split(b"\0")
    for name in filter(None, files):
        path = os.path.join(os.fsencode(folder), name)
        if os.path.isfile(os.path.join(os.fsencode(TOP), name)):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            shutil.copy2(os.path.join(os.fsencode(TOP), name), path)


def mutate(folder, name):
    path, pattern, becomes, _ = MUTANTS[name]
    with open(os.path.join(folder, path)) as file:
        text = file.read()
    changed, times = re.subn(pattern, lambda _: becomes, text)
    if not times:
        sys.exit("the mutant '%s' finds nothing to change in %s" % (name, path))
    with open(os.path.join(folder, path), "w") as file:
        file.write(changed)


def targets(asker):
    """What of the build it needs."""
    return [asker[0]] if asker[0].startswith("build/") else ["all", "build/tests/faults/evidence_runtime", "build/tests/faults/ghost"]


def who_notices(name):
    """(which run of whom, how), or None."""
    asker = MUTANTS[name][3]
    folder = tempfile.mkdtemp(prefix="stoker-mutant-", dir=os.environ.get("STOKER_TEST_TMP"))
    try:
        os.chmod(folder, 0o755)
        copy(folder)
        mutate(folder, name)
        built = subprocess.run(["make", "-j2", *targets(asker)], cwd=folder, env=dict(os.environ, CCACHE_BASEDIR=folder),
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if built.returncode != 0:
            sys.exit("the mutant '%s' does not build:\n%s" % (name, built.stdout[-2000:]))
        for run in range(1, SEEDS + 1):
            done = subprocess.run(asker, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if done.returncode != 0:
                why = [line for line in done.stdout.splitlines() if re.search(r"WRONG|:[FE]:|Error:", line)]
                return "%s, run %d" % (" ".join(asker[:3]), run), (why or ["it failed"])[0][:160]
        return None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main():
    bad = 0
    for name in sys.argv[1:] or MUTANTS:
        noticed = who_notices(name)
        print("%-8s %s: %s" % ("noticed" if noticed else "ALIVE", name, "by %s (%s)" % noticed if noticed else "by nobody"), flush=True)
        bad += not noticed
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
