"""Parts of bench.py that take a node to its ends: floods of output, and a thousand containers."""
import os
import re
import statistics
import subprocess
import tarfile
import threading
import time

import harness

MIB = 1 << 20
HEAD = TAIL = 5 * MIB
DISK_MOST = (HEAD + 2 * TAIL) * 5 // 4 + 4 * 65536  # a quarter for frames, and what is left of their allowance
FLOOD_MB = int(os.environ.get("BENCH_FLOOD_MB", "10240"))
SLEEPERS = int(os.environ.get("BENCH_SLEEPERS", "1000"))


def say(name, value, unit, floor=""):
    print("%-28s %8.2f %s%s" % (name, value, unit, "  floor " + floor if floor else ""), flush=True)


def pss_kb(pid):
    try:
        with open("/proc/%d/smaps_rollup" % pid) as file:
            return next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    except OSError:
        return 0


def peak_kb(pid):
    try:
        with open("/proc/%d/status" % pid) as file:
            return int(re.search(r"VmHWM:\s+(\d+)", file.read()).group(1))
    except (OSError, AttributeError):
        return 0


def cpu_s(pid):
    with open("/proc/%d/stat" % pid) as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def monitors(stoker):
    return [pid for pid, name in stoker.processes().items() if name == "stoker-monitor"]


def import_hostile(stoker):
    folder = harness.scratch()
    path = os.path.join(folder, "hostile.tar")
    with tarfile.open(path, "w") as tar:
        tar.add(os.path.join(harness.BUILD, "tests", "escape", "hostile"), "hostile")
    stoker.cli("image", "import", "hostile", path, "-c", os.path.join(stoker.var, "conf", "admin.conf"))
    subprocess.run(["rm", "-rf", folder], check=True)


# --- floods ------------------------------------------------------------------------------------------------


class Watch(threading.Thread):
    """What a flood costs while it lasts: memory of its monitor, disk of its folder, launches beside it."""

    def __init__(self, stoker, task):
        super().__init__(daemon=True)
        self.folder = os.path.join(stoker.node, "jobs", task + "-1")
        self.ended, self.monitor_kb, self.disk = threading.Event(), 0, 0

    def run(self):
        while not self.ended.wait(0.02):
            self.disk = max(self.disk, self.bytes())
            self.monitor_kb = max(self.monitor_kb, peak_kb(self.monitor()))

    def monitor(self):
        try:
            with open(os.path.join(self.folder, "monitor.pid")) as file:
                return int(file.read().split()[0])
        except OSError:
            return 0

    def bytes(self):
        try:
            return sum(entry.stat().st_size for entry in os.scandir(self.folder) if entry.is_file(follow_symlinks=False))
        except OSError:
            return 0  # it has ended


def launch_ms(stoker, times):
    taken = []
    for _ in range(times):
        task = stoker.run_task("quick")
        (ms,), = stoker.sql("SELECT TIMESTAMPDIFF(MICROSECOND, created_at, started_at) / 1000 FROM task"
                            " WHERE id = UNHEX('%s')" % task["id"])
        taken.append(float(ms))
    return statistics.median(taken)


def check_log(log, size, end):
    """Head and tail to the byte, and the number of bytes between them."""
    line = lambda n: b"%015d" % n + end  # noqa: E731
    expect = b"".join(line(n) for n in range(HEAD // 16))
    if not log.startswith(expect):
        raise AssertionError("the head is not the first %d bytes" % HEAD)
    first = (size - TAIL) // 16
    if not log.endswith(b"".join(line(n) for n in range(first, size // 16))):
        raise AssertionError("the tail is not the last %d bytes" % TAIL)
    between = log[HEAD:len(log) - TAIL].decode()
    if str(size - HEAD - TAIL) not in between.replace(",", "").replace(" ", "") and str(size - HEAD - TAIL) not in between:
        raise AssertionError("the notice does not say that %d bytes are missing: %s" % (size - HEAD - TAIL, between))


def flood(stoker, name, alone, size, block, end):
    """`size` 0: a child floods that the job left behind, until it is ended with it."""
    command = "flood %d %d %s" % (size, block, "n" if end == b"\n" else "x") if size else "stray"
    stoker.code(name, "/hostile " + command, image="hostile")
    began = time.monotonic()
    task = stoker.queue(name, timeout=3600)
    stoker.wait_state(task, "running")
    watch = Watch(stoker, task)
    watch.start()
    beside = launch_ms(stoker, 15)
    done = stoker.wait_state(task, *harness.SETTLED, seconds=1800)
    took = time.monotonic() - began
    watch.ended.set()
    watch.join()
    promised(done["state"] == "complete", "the flood ends: %r" % done)
    log = stoker.task_log(task)
    size = size or last_line(log)
    check_log(log, size, end)
    say(name + "_rate", size / MIB / took, "MiB/s, %d bytes, head, tail and the number between them exact" % size)
    say(name + "_launches", beside / alone, "times as long beside it (%.1f ms alone)" % alone, "<= 2")
    say(name + "_monitor", watch.monitor_kb / 1024, "MiB at most", "< 1")
    say(name + "_disk", watch.disk / MIB, "MiB at most, of 15 head and two tails", "<= 19.3")
    promised(0 < watch.monitor_kb < 1024, "a monitor has less than 1 MiB")
    promised(0 < watch.disk <= DISK_MOST, "a job's folder has at most %d bytes" % DISK_MOST)


def promised(holds, what):
    if not holds:
        raise AssertionError("it does not hold that " + what)


def last_line(log):
    """Bytes of a flood that was cut off: its lines are numbered from 0, and a pipe takes whole pages of them."""
    return (int(log[-16:-1]) + 1) * 16


def floods(_stoker, _bundles):
    with harness.Instance(env={"STOKER_NODE_SLOTS": "4"}) as stoker:
        import_hostile(stoker)
        stoker.code("quick", "true")
        alone = launch_ms(stoker, 30)
        flood(stoker, "flood", alone, FLOOD_MB * MIB, 65536, b"\n")
        flood(stoker, "flood_one_line", alone, FLOOD_MB * MIB // 10 // 65536 * 65536, 65536, b".")
        flood(stoker, "flood_bytes", alone, 16 * MIB, 1, b"\n")
        flood(stoker, "flood_stray", alone, 0, 65536, b"\n")
        say("flood_runner", peak_kb(stoker.pid("runner")) / 1024, "MiB at most", "< 64")
        promised(peak_kb(stoker.pid("runner")) < 64 * 1024, "the runner has less than 64 MiB")


# --- a thousand containers -----------------------------------------------------------------------------------


def count(stoker, state):
    return int(stoker.sql("SELECT COUNT(*) FROM task WHERE state = '%s'" % state)[0][0])


def all_are(stoker, state, n, what):
    began = time.monotonic()
    harness.wait_for(lambda: count(stoker, state) == n, 600, what, every=0.1)
    return time.monotonic() - began


def memory_kb(stoker):
    return sum(pss_kb(pid) for pid in monitors(stoker) + [stoker.pid("runner"), stoker.launcher_pid()])


def sleepers(_stoker, _bundles):
    n = SLEEPERS
    with harness.Instance(env={"STOKER_NODE_SLOTS": str(n), "STOKER_NODE_GRACE_S": "1"}) as stoker:
        launcher = next(pid for pid, name in stoker.processes().items() if name == "stoker-launcher")
        stoker.launcher_pid = lambda: launcher
        code = stoker.code("sleep", "sleep 36000", memory=16)
        before = memory_kb(stoker)
        stoker.post("tasks", {"tasks": [{"code_name": "sleep"}] * n})
        say("sleepers_launched", all_are(stoker, "running", n, "%d sleeping jobs" % n), "s for %d" % n, "< 60")
        say("sleepers_memory", (memory_kb(stoker) - before) / n / 1024, "MiB a job", "< 2")
        began = time.monotonic()
        listed = sum(len(stoker.get("tasks?code_name=sleep&per_page=100&page=%d" % page).json["tasks"])
                     for page in range((n + 99) // 100))
        say("sleepers_listed", time.monotonic() - began, "s for %d" % listed, "< 60")
        runner, used, began = stoker.pid("runner"), cpu_s(stoker.pid("runner")), time.monotonic()
        time.sleep(15)
        say("sleepers_runner_idle", (cpu_s(runner) - used) / (time.monotonic() - began) * 100, "% of a core", "< 1")
        old, began = stoker.kill("runner"), time.monotonic()
        stoker.wait_restarted("runner", old, 60)
        harness.wait_for(lambda: "jobs_adopted ours=%d" % n in stoker.log("runner"), 60, "all jobs to be adopted")
        say("sleepers_adopted", time.monotonic() - began, "s for %d" % count(stoker, "running"), "< 60")
        began = time.monotonic()
        stoker.post("codes/%s/cancel_all" % code["id"])
        harness.wait_for(lambda: count(stoker, "running") == 0, 600, "all to be cancelled", every=0.1)
        say("sleepers_cancelled", time.monotonic() - began, "s for %d" % count(stoker, "cancelled"), "< 60")
