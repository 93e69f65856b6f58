#!/usr/bin/env python3
"""Are the tests any good? Each wall of the product is taken out of a copy of it, one at a time, and somebody must notice.

    tests/faults/mutants.py [NAME ...]    prints who noticed; fails if nobody did for one of them

A copy is built in a folder of its own; nothing here is changed."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STORM = ["tests/faults/storm.py", "--jobs", "400", "--faults", "30", "--seconds", "40", "--seeds", "2"]


def store(name):
    return ["build/tests/store/test_" + name]


# name: file, pattern, what it becomes, who is asked in turn
MUTANTS = {
    "attempt guard": ("lib/store/attempt_store.c", r"AND attempt = \?", "AND (attempt = ? OR 1)", [store("attempt_store"), STORM]),
    "session guard": ("lib/store/attempt_store.c", r"AND node_session = \?", "AND (node_session = ? OR 1)",
                      [store("attempt_store"), store("node_store"), STORM]),
    "ledger key": ("sql/0006_schedules.sql", r"PRIMARY KEY \(schedule_id, nominal\),\n\tKEY at", "KEY at", [store("fire_store"), STORM]),
    "turn row": ("lib/store/ready_store.c", r"TRY\(db_exec\(db, cx, &TURN, .*\n\tif \(db_changed\(db\) != 1\)",
                 "(void)TURN;\n\tif (!db)", [store("races"), STORM]),
    "outbox in its transaction": ("sql/0007_callbacks.sql", r"IF notify & \(1 << \(kind - 1\)\) THEN", "IF 0 THEN",
                                  [store("verify"), STORM]),
    "grace": ("lib/store/node_store.c", r"SELECT grace_until > NOW\(6\) OR at < NOW\(6\) - INTERVAL 3 SECOND FROM beat", "SELECT 0 FROM beat",
              [store("node_store"), ["tests/flow/test_outages.py"]]),
    "all or nothing": ("lib/store/txn.c", r"TRY\(db_begin\(db, cx\)\);", "TRY(db_open(db, cx));", [store("attempt_store"), STORM]),
    "asking after a lost COMMIT": ("lib/store/txn.c", r"if \(!t->done\)", "if (t)", [store("db"), STORM]),
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


def targets(askers):
    """What of the build they need."""
    found = [asker[0] for asker in askers if asker[0].startswith("build/")]
    return found + (["all", "build/tests/faults/evidence_runtime"] if len(found) < len(askers) else [])


def who_notices(name):
    askers = MUTANTS[name][3]
    folder = tempfile.mkdtemp(prefix="stoker-mutant-")
    try:
        os.chmod(folder, 0o755)
        copy(folder)
        mutate(folder, name)
        for asker in askers:
            built = subprocess.run(["make", "-j2", *targets([asker])], cwd=folder, env=dict(os.environ, CCACHE_BASEDIR=folder),
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if built.returncode != 0:
                sys.exit("the mutant '%s' does not build:\n%s" % (name, built.stdout[-2000:]))
            done = subprocess.run(asker, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if done.returncode != 0:
                why = [line for line in done.stdout.splitlines() if re.search(r"WRONG|:[FE]:|Error:", line)]
                return " ".join(asker[:1]), (why or ["it failed"])[0][:160]
        return None, ""
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main():
    bad = 0
    for name in sys.argv[1:] or MUTANTS:
        who, why = who_notices(name)
        print("%-8s %s: %s" % ("noticed" if who else "ALIVE", name, "by %s (%s)" % (who, why) if who else "by nobody"), flush=True)
        bad += not who
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
