"""Sixty-four connections mix all operations (soak_client.py) for a minute, on programs built with ASan and UBSan:
every row of the table of routes answers well, nothing fails or goes unanswered, and memory does not grow.

stoker-api, stoker-tail, stoker-worker and stoker-launcher are the ones of `make fuzz-built` (clang), everything else is the
build's own: it lives as long as one job, and what runs beside a job is static, without a sanitizer's runtime. ASan keeps
what was freed in quarantine, 256 MiB a process by default: memory would grow for minutes whatever the program
does. Here the quarantine is 1 MiB, full within a second, so that what still grows is the program's own. Leaks
are looked for when a process ends, and tearing the instance down fails on any report in the logs.
"""
import collections
import concurrent.futures
import os
import re
import shutil
import statistics
import time
import unittest

import harness
import receivers
import soak_client

CONNECTIONS, SECONDS, WARMERS = 64, 60, 6
PROGRAMS = ("stoker-api", "stoker-tail", "stoker-worker", "stoker-launcher")
SANITIZED = os.path.join(harness.TOP, "build-fuzz", "bin")
GROWTH_MOST = 1.05


def mixed_build():
    """A build folder whose programs that stay are the sanitized ones."""
    folder = harness.scratch("stoker-soak-")
    os.mkdir(os.path.join(folder, "bin"))
    for name in os.listdir(os.path.join(harness.BUILD, "bin")):
        own = os.path.join(SANITIZED, name)
        os.symlink(own if os.path.exists(own) else os.path.join(harness.BUILD, "bin", name),
                   os.path.join(folder, "bin", name))
    return folder


def a_few_at_once(calls):
    with concurrent.futures.ThreadPoolExecutor(WARMERS) as pool:
        for done in [pool.submit(call) for call in calls]:
            done.result()


class Soak(unittest.TestCase):

    def resident_kib(self, process):
        """Of all processes of that name together, and their ids."""
        total, pids = 0, []
        for pid, name in self.stoker.processes().items():
            if name != process:
                continue
            with open("/proc/%d/status" % pid) as status:
                total += sum(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
            pids.append(pid)
        return total, sorted(pids)

    def watch(self, began):
        """Samples of second ten to twenty and of the last ten seconds, of all that lives as long as the instance."""
        early, late = {}, {}
        while time.monotonic() < self.until:
            at = time.monotonic() - began
            kept = early if 10 <= at < 20 else late if at >= SECONDS - 10 else None
            if kept is not None:
                for process in PROGRAMS:
                    kept.setdefault(process, []).append(self.resident_kib(process))
            time.sleep(0.5)
        return early, late

    def check_memory(self, early, late):
        for process in early:
            self.assertEqual(early[process][0][1], late[process][-1][1], process + ": a process was replaced")
            # the median: a password that is hashed has its 16 MiB for a moment
            first, last = (statistics.median(kib for kib, _ in samples[process]) for samples in (early, late))
            print("%s: %d KiB, then %d KiB" % (process, first, last))
            self.assertLess(last, first * GROWTH_MOST, process)

    def test_sixty_four_connections_mix_everything_for_a_minute(self):
        env = {"STOKER_API_PROCESSES": "2", "STOKER_API_RECYCLE_REQUESTS": "1000000",
               "STOKER_API_RECYCLE_MB": "4000", "STOKER_NODE_SLOTS": "4", "STOKER_NODE_MEMORY_MB": "32",
               "ASAN_OPTIONS": "quarantine_size_mb=1:thread_local_quarantine_size_kb=16:malloc_context_size=12",
               "UBSAN_OPTIONS": "print_stacktrace=1"}
        build = mixed_build()
        self.addCleanup(shutil.rmtree, build)
        with harness.Instance(env=env, build=build) as self.stoker:
            self.prepare()
            clients = [soak_client.Client(self, number) for number in range(CONNECTIONS)]
            self.warm_up(clients)
            began = time.monotonic()
            self.until = began + SECONDS
            for client in clients:
                client.start()
            early, late = self.watch(began)
            for client in clients:
                client.join(60)
            self.check_clients(clients)
            self.check_memory(early, late)

    def prepare(self):
        self.stoker.code("runs", "echo hello")
        self.finished = self.stoker.run_task("runs")["id"]
        held = self.stoker.code("held", "true")["id"]
        self.assertEqual(self.stoker.post("codes/%s/pause_task_queue" % held).status, 200)
        self.admin = self.stoker.admin("token", "create", "--user", "admin", "--role", "admin").stdout.strip()
        self.receiver = receivers.Good()
        self.addCleanup(self.receiver.close)

    def warm_up(self, clients):
        """Lists as long as they get, as many callbacks and log destinations at once as there ever are, and everything a few
        times in every process, so that statements are prepared and pages read: who grows after it, leaks."""
        for payload in ("x" * 20000, ""):
            self.stoker.post("tasks", {"tasks": [{"code_name": "held", "label": "soak", "payload": payload}] * 200})
        told = self.stoker.code("told", "true")["id"]
        self.stoker.post("codes/%s/pause_task_queue" % told)
        self.stoker.post("tasks", {"tasks": [{"code_name": "told", "callback": self.receiver.url("/%d" % i)} for i in range(300)]})
        self.stoker.post("codes/%s/cancel_all" % told)
        warmers = [soak_client.Client(self, CONNECTIONS + number) for number in range(WARMERS)]
        a_few_at_once([client.once_through for client in warmers])
        a_few_at_once([client.settle for client in clients])
        self.assertEqual([line for client in warmers for line in client.wrong], [])
        self.answered = set().union(*[client.answered for client in warmers])

    def check_clients(self, clients):
        wrong = [line for client in clients for line in client.wrong]
        done = {}
        for client in clients:
            for kind, n in client.done.items():
                done[kind] = done.get(kind, 0) + n
        print("%d requests, %d operations: %s" % (sum(client.asked for client in clients), sum(done.values()), done))
        kinds = collections.Counter(re.sub("[0-9a-f]{24}|[0-9]+@", "…", line) for line in wrong)
        self.assertEqual(wrong[:1], [], "%d of them: %s" % (len(wrong), kinds.most_common(30)))
        answered = self.answered.union(*[client.answered for client in clients])
        self.assertEqual(soak_client.unanswered(answered), [], "rows of the table of routes that nobody has had an answer of")


if __name__ == "__main__":
    harness.main()
