#!/usr/bin/env python3
"""Prints the lines of docs/performance.md: ratios measured side by side in one run. Only a broken promise about
schedules ends it with 1. `bench.py NAME ...` runs only the parts named: machine enqueue start noop claim callback watch idle rss
floods sleepers."""
import glob
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests", "flow"))
import harness  # noqa: E402
import receivers  # noqa: E402
import scale  # noqa: E402
import watch  # noqa: E402

ROUNDS = 5
JOBS = int(os.environ.get("BENCH_JOBS", "1000"))
BROKEN = []  # programs that said that a promise is broken
BENCH = os.path.join(harness.BUILD, "tests", "bench")


def spread(name, values, unit):
    values = sorted(values)
    print("  %-26s %10.2f / %10.2f / %10.2f %s" % (name, values[0], statistics.median(values), values[-1], unit), flush=True)


def ratio(name, over, under, floor):
    rounds = [a / b for a, b in zip(over, under) if b]
    print("%-28s %6.2f  (%s)  floor %s" % (name, statistics.median(rounds), " ".join("%.2f" % r for r in rounds), floor), flush=True)


def config(stoker, program):
    return os.path.join(stoker.var, "conf", program + ".conf")


def program(name, *arguments):
    done = subprocess.run([os.path.join(BENCH, name), *map(str, arguments)], stdout=subprocess.PIPE, text=True, cwd=TOP)
    if done.returncode == 1 and "BREAKS the promise" in done.stdout:
        BROKEN.append(name)
    return done.stdout


# --- the anchor: the runner's own bundle, prepared beforehand ------------------------------------------


class Bundles:
    """Eight bundles like the one of a running job: same namespaces, mappings, limits, seccomp, mounts;
    the image's files owned by the mapping's first uid beforehand, the job's command as first process."""

    def __init__(self, stoker):
        self.folder = harness.scratch("stoker-test-bench-")
        stoker.code("bench-sleep", "sleep 60")
        task = stoker.queue("bench-sleep")
        stoker.wait_state(task, "running")
        name, = glob.glob(os.path.join(stoker.node, "jobs", task + "-1"))
        with open(os.path.join(name, "monitor.pid")) as pid:
            monitor = int(pid.read().split()[0])
        with open("/proc/%d/root/mnt/b/config.json" % monitor) as file:
            spec = json.load(file)
        self.runtime = shutil.which("crun" if "annotations" in spec else "runc")
        base = spec["linux"]["uidMappings"][0]["hostID"]
        rootfs = os.path.join(self.folder, "rootfs")
        image, = glob.glob(os.path.join(stoker.node, "images", "sha256-*", "rootfs"))[:1]
        shutil.copytree(image, rootfs, symlinks=True)
        for where, folders, files in os.walk(rootfs):
            for entry in folders + files:
                status = os.lstat(os.path.join(where, entry))
                os.lchown(os.path.join(where, entry), base + status.st_uid, base + status.st_gid)
        os.lchown(rootfs, base, base)
        spec["process"]["args"] = ["/bin/echo", "x"]
        spec["root"]["path"] = rootfs
        spec["mounts"] = [m for m in spec["mounts"] if m["type"] != "bind"]
        os.mkdir(os.path.join(self.folder, "r"))
        cgroup = os.path.dirname(spec["linux"]["cgroupsPath"])
        for n in range(8):
            os.mkdir(os.path.join(self.folder, str(n)))
            spec["linux"]["cgroupsPath"] = "%s/bench-%d" % (cgroup, n)
            with open(os.path.join(self.folder, str(n), "config.json"), "w") as file:
                json.dump(spec, file)
        stoker.post("tasks/%s/cancel" % task)
        stoker.wait_state(task, "cancelled")

    def measure(self, *arguments):
        return float(program("bench_crun", self.runtime, self.folder, *arguments))

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)


# --- lines ---------------------------------------------------------------------------------------------


def machine(stoker, bundles):
    print(program("bench_machine", config(stoker, "admin"), stoker.var), end="")
    print("machine: bare %s run to its first byte %.2f ms" % (os.path.basename(bundles.runtime), bundles.measure("first", 30)), flush=True)


def enqueue(stoker, _):
    """The way in alone: the node takes nothing meanwhile, and what was queued goes unrun."""
    stoker.code("bench-queue", "true")
    node = stoker.sql("SELECT name FROM node WHERE state = 'live'")[0][0]
    stoker.admin("node", "drain", node)
    print(program("bench_enqueue", config(stoker, "admin"), stoker.port, stoker.project, stoker.token, "bench-queue"), end="", flush=True)
    for table in ("ready", "`delayed`", "event", "payload", "task", "bench_raw"):
        stoker.sql("TRUNCATE TABLE " + table)
    stoker.admin("node", "resume", node)


def start_once(stoker):
    began = time.time()
    task = stoker.queue("bench-echo")
    stoker.wait_state(task, "complete")
    first = stoker.sql("SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', first_at) FROM log_chunk WHERE task_id = UNHEX('%s')" % task,
                       database="stoker_logs")
    return int(first[0][0]) / 1000 - began * 1000


def start(stoker, bundles):
    """Both on an idle system: a start after a pause is slower than one after another, for bare crun too."""
    stoker.code("bench-echo", "echo x")
    start_once(stoker)
    ours, bare = [], []
    for _ in range(ROUNDS):
        pairs = []
        for _ in range(20):
            time.sleep(0.1)
            first = start_once(stoker)
            time.sleep(0.1)
            pairs.append((first, bundles.measure("first", 1)))
        ours.append(statistics.median(pair[0] for pair in pairs))
        bare.append(statistics.median(pair[1] for pair in pairs))
    spread("start_byte", ours, "ms p50")
    spread("crun_byte", bare, "ms p50")
    rounds = [a - b for a, b in zip(ours, bare)]
    print("%-28s %6.2f ms  (%s)  floor 8 ms" % ("start_byte-crun_byte", statistics.median(rounds), " ".join("%.2f" % r for r in rounds)), flush=True)


def noop_rate(stoker):
    """From the first task queued to the last one settled, by the database's clock."""
    tasks = [{"code_name": "bench-noop", "payload": "", "callback": "http://127.0.0.1:9/"}] * JOBS
    ids = [t["id"] for t in stoker.post("tasks", {"tasks": tasks}).json["tasks"]]
    where = "FROM task WHERE id BETWEEN UNHEX('%s') AND UNHEX('%s')" % (min(ids), max(ids))
    harness.wait_for(lambda: int(stoker.sql("SELECT COUNT(*) %s AND state = 'complete'" % where)[0][0]) >= JOBS,
                     300, "all no-op jobs", every=1)
    took, = stoker.sql("SELECT TIMESTAMPDIFF(MICROSECOND, MIN(created_at), MAX(ended_at)) " + where)
    return JOBS / (int(took[0]) / 1e6)


def noop(stoker, bundles):
    stoker.code("bench-noop", "echo x")
    noop_rate(stoker)
    ours, bare = [], []
    for _ in range(ROUNDS):
        ours.append(noop_rate(stoker))
        bare.append(max(bundles.measure("rate", parallel, 150) for parallel in (2, 4, 8)))
    spread("noop_rate", ours, "jobs/s")
    spread("crun_rate", bare, "runs/s")
    ratio("noop_rate/crun_rate", ours, bare, "0.70")


def claim(_stoker, _bundles):
    print(program("bench_claim"), end="")


def cpu_ticks(stoker):
    ticks = {}
    for pid, name in stoker.processes().items():
        try:
            with open("/proc/%d/stat" % pid) as stat:
                fields = stat.read().rpartition(")")[2].split()
            ticks[(pid, name)] = int(fields[11]) + int(fields[12])
        except OSError:
            continue
    return ticks


def idle(stoker, _):
    seconds = 30
    time.sleep(3)
    questions = lambda: int(stoker.sql("SHOW GLOBAL STATUS LIKE 'Questions'")[0][1])  # noqa: E731
    before, ticks, asked = questions(), cpu_ticks(stoker), time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - asked
    print("%-28s %6.2f  floor <= 10" % ("idle_qps", (questions() - before - 1) / took), flush=True)
    after = cpu_ticks(stoker)
    share = {key: (after[key] - ticks[key]) / os.sysconf("SC_CLK_TCK") / took * 100 for key in ticks if key in after}
    (pid, name), most = max(share.items(), key=lambda item: item[1])
    print("%-28s %6.2f %% of a core  (the busiest: %s; all %.2f %%)  floor 1 %%" % ("idle_cpu", most, name, sum(share.values())), flush=True)


def pss_kb(pid):
    with open("/proc/%d/smaps_rollup" % pid) as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:"))


def rss(_stoker, _bundles):
    with harness.Instance(env={"STOKER_NODE_SLOTS": "200"}) as stoker:
        def total():
            names = {pid: name for pid, name in stoker.processes().items() if name == "stoker-monitor"}
            return sum(pss_kb(pid) for pid in list(names) + [stoker.pid("runner")])

        stoker.code("sleep", "sleep 600", memory=16)
        nothing = total()
        stoker.post("tasks", {"tasks": [{"code_name": "sleep"}] * 200})
        harness.wait_for(lambda: int(stoker.sql("SELECT COUNT(*) FROM task WHERE state = 'running'")[0][0]) == 200, 120, "200 sleeping jobs", every=0.5)
        print("%-28s %6.2f MB  floor <= 1.0 MB" % ("rss_job", (total() - nothing) / 200 / 1024), flush=True)


CALLBACKS = 5000
DEAD, DEAD_QUEUE, DEAD_ASKED = 1000, 20, 60  # five kinds of receivers, 200 of each


def callback_rows(stoker, task, first, urls, n):
    """Rows as the trigger of `task` makes them, for a task that is over; one after the other for each URL."""
    cases = " ".join("WHEN %d THEN '%s'" % (i, url) for i, url in enumerate(urls))
    stoker.sql("INSERT INTO outbox (task_id, number, task_state, project_id, url, at, next_at) SELECT UNHEX('%s'), seq, 'complete',"
               " UNHEX('%s'), CASE seq %% %d %s END, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6) FROM seq_%d_to_%d" %
               (task, stoker.project, len(urls), cases, first, first + n - 1))


def forget_callbacks(stoker):
    for table in ("outbox", "receiver", "delivery"):
        stoker.sql("DELETE FROM " + table)


def callback_rate(stoker, task, first, good):
    """Deliveries that are recorded, a second, by the database's clock."""
    callback_rows(stoker, task, first, [good], CALLBACKS)
    where = "FROM outbox WHERE url = '%s'" % good
    harness.wait_for(lambda: stoker.sql("SELECT COUNT(*) %s AND state = 'waiting'" % where) == [("0",)], 120, "callbacks", every=0.2)
    took, = stoker.sql("SELECT TIMESTAMPDIFF(MICROSECOND, MIN(at), MAX(delivered_at)) " + where)
    forget_callbacks(stoker)
    return CALLBACKS / (int(took[0]) / 1e6)


def callback_delays(stoker, task, first, good, n):
    """From the change of a task to its delivery's record, in seconds, of one at a time."""
    delays = []
    for i in range(n):
        url = "%s/%d" % (good, i)
        callback_rows(stoker, task, first + i, [url], 1)
        took = lambda: stoker.sql("SELECT TIMESTAMPDIFF(MICROSECOND, at, delivered_at) FROM outbox WHERE url = '%s'" % url)  # noqa: E731
        harness.wait_for(lambda: took()[0][0] is not None, 60, url, every=0.02)
        delays.append(int(took()[0][0]) / 1e6)
    return delays


def dead_rows(stoker, urls):
    """A queue for each of them, of a task of its own: one with thousands of rows is none that there is."""
    code = stoker.code("bench-dead", "true")["id"]
    stoker.post("tasks", {"tasks": [{"code_name": "bench-dead", "payload": "", "delay": 86400}] * len(urls)})
    cases = " ".join("WHEN %d THEN '%s'" % (i + 1, url) for i, url in enumerate(urls))
    stoker.sql("INSERT INTO outbox (task_id, number, task_state, project_id, url, at, next_at) SELECT t.id, 1000 + seq, 'complete', UNHEX('%s'),"
               " CASE t.i %s END, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6) FROM seq_1_to_%d JOIN"
               " (SELECT id, ROW_NUMBER() OVER (ORDER BY id) AS i FROM task WHERE code_id = UNHEX('%s')) t" %
               (stoker.project, cases, DEAD_QUEUE, code))
    return code


def callback_dead(stoker, task, good):
    """A healthy receiver beside DEAD ones, of each kind as many, each with a queue of DEAD_QUEUE: while those come in, all at
    once, and when they are full and each of the dead has been called."""
    dead = receivers.Dead()
    try:
        alone = callback_delays(stoker, task, 10, good + "/alone", DEAD_ASKED)
        code = dead_rows(stoker, [dead.url(i) for i in range(DEAD)])
        filling = callback_delays(stoker, task, 100, good + "/filling", DEAD_ASKED)
        harness.wait_for(lambda: int(stoker.sql("SELECT COUNT(DISTINCT task_id) FROM delivery JOIN outbox ON id = outbox_id")[0][0]) > DEAD, 120,
                         "all dead ones to be called")
        beside = callback_delays(stoker, task, 200, good + "/beside", DEAD_ASKED)
        lanes, rows = stoker.sql("SELECT COUNT(DISTINCT lane), COUNT(*) FROM outbox WHERE state = 'waiting'")[0]
    finally:
        dead.close()
    for name, delays in (("alone", alone), ("queues_filling", filling), ("beside_dead", beside)):
        spread("callback_" + name, delays, "s")
    print("%-28s %6.2f s  (the worst of %d, beside %s receivers %s with %s waiting)  floor <= 1.0 s" %
          ("callback_dead", max(beside), len(beside), lanes, "/".join(dead.KINDS), rows), flush=True)
    stoker.post("codes/%s/cancel_all" % code)
    forget_callbacks(stoker)


def callback(stoker, _bundles):
    """With one courier; the peer is libcurl's multi interface, 8 at a time, without a record of anything."""
    stoker.code("bench-told", "true")
    task = stoker.run_task("bench-told")["id"]
    ours, theirs = [], []
    receiver = subprocess.Popen([os.path.join(harness.BUILD, "tests", "bench", "bench_callback"), "serve"],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        good = "http://127.0.0.1:%s/hook" % receiver.stdout.readline().strip()
        callback_rate(stoker, task, 10, good)
        for _ in range(ROUNDS):
            theirs.append(float(program("bench_callback", "post", good, str(CALLBACKS))))
            ours.append(callback_rate(stoker, task, 10, good))
        callback_dead(stoker, task, good)
    finally:
        receiver.stdin.close()
        receiver.wait()
    print("%-28s %6.0f  (%s)  floor >= 1000" % ("callback_rate", statistics.median(ours), " ".join("%.0f" % one for one in ours)), flush=True)
    spread("libcurl_multi_8", theirs, "posts/s")
    ratio("callback_rate/webhook", ours, theirs, "0.05")


def watching(stoker, _bundles):
    alone, together = watch.watch(stoker, harness.wait_for, ROUNDS)
    for what, i in (("queued_a_second", 0), ("get_ms", 1), ("watch_statements", 2)):
        spread(what + "/one", [found[i] for found in alone], "")
        spread("%s/%d" % (what, watch.READERS), [found[i] for found in together], "")
    ratio("watch_cost", [found[0] for found in together], [found[0] for found in alone], "0.85")
    ratio("watch_latency", [found[1] for found in together], [found[1] for found in alone], "<= 1.15")


PARTS = {"machine": machine, "enqueue": enqueue, "start": start, "noop": noop, "claim": claim, "callback": callback, "watch": watching, "idle": idle, "rss": rss,
         "floods": scale.floods, "sleepers": scale.sleepers}


def main():
    wanted = sys.argv[1:] or list(PARTS)
    print("min / median / max of %d rounds; ratios of each round; only ratios carry over" % ROUNDS)
    with harness.Instance(env={"STOKER_NODE_SLOTS": "8"}) as stoker:
        bundles = Bundles(stoker) if {"machine", "start", "noop"} & set(wanted) else None
        try:
            for name in wanted:
                PARTS[name](stoker, bundles)
        finally:
            if bundles:
                bundles.remove()
    return 1 if BROKEN else 0


if __name__ == "__main__":
    sys.exit(main())
