#!/usr/bin/env python3
"""Runner and launcher: one is killed in the middle of a launch, or what they say to each other fails for once. The programs
of a test build stop or fail there by themselves (lib/base/fault_point.h): nothing here depends on who is how fast."""
import glob
import os
import shutil
import signal
import time

import storm
from node import harness


class Takeover(harness.FlowTest):
    @classmethod
    def setUpClass(cls):
        cls.folder = harness.scratch("stoker-takeover-")
        cls.points = cls.folder + "/points"
        os.mkdir(cls.points)
        os.chmod(cls.points, 0o777)
        cls.stoker = harness.Instance(script=storm.HERE + "/instance.sh", build=harness.BUILD + "-faults",
                                      env={"STOKER_EVIDENCE": cls.folder, "STOKER_NODE_RUNTIME": "crun"})
        try:
            cls.stoker.start()
        except BaseException:
            cls.stoker.remove()
            raise
        cls.stoker.code("late", "echo $STOKER_ATTEMPT")

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        shutil.rmtree(cls.folder)

    def stop_before_the_monitor(self, code="late"):
        """(task, its folder, the stopped launcher)."""
        point = self.points + "/launch.before_monitor"
        passed = os.path.getsize(point) if os.path.exists(point) else 0
        with open(self.points + "/table", "w") as table:
            table.write("launch.before_monitor=stop@%d\n" % (passed + 1))
        task = self.stoker.queue(code)
        folder, = harness.wait_for(lambda: glob.glob("%s/jobs/%s-1" % (self.stoker.node, task)), 20, "the job's folder")
        launcher, = harness.wait_for(self.stopped, 10, "the launcher to stop")
        os.unlink(self.points + "/table")
        return task, folder, launcher

    def stopped(self):
        found = []
        for pid, name in self.stoker.processes().items():
            with open("/proc/%d/stat" % pid) as stat:
                if name == "stoker-launcher" and stat.read().rpartition(")")[2].split()[0] == "T":
                    found.append(pid)
        return found

    def change_runners(self, folder):
        """The next one has adopted the job and had the folders swept; it never looks old enough to be swept itself."""
        told = self.stoker.log("runner").count("end_unknown")
        old = self.stoker.kill("runner")
        until = time.monotonic() + 40
        while self.stoker.log("runner").count("end_unknown") == told:
            self.assertLess(time.monotonic(), until, self.stoker.log("runner")[-2000:])
            os.utime(folder)
            time.sleep(0.1)
        self.assertNotEqual(self.stoker.pid("runner"), old)

    def attempts(self, task):
        return self.stoker.sql("SELECT number, cause, note FROM attempt WHERE task_id = UNHEX('%s') ORDER BY number" % task)

    def test_a_monitor_that_comes_after_the_next_runner_looked_is_followed(self):
        task, folder, launcher = self.stop_before_the_monitor()
        self.change_runners(folder)
        os.kill(launcher, signal.SIGCONT)
        ended = self.stoker.wait_state(task, *harness.SETTLED)
        self.assertEqual((ended["state"], ended["attempt"]), ("complete", 1), self.attempts(task))
        self.assertEqual(self.stoker.task_log(task), b"1\n")

    def test_such_a_monitor_is_watched(self):
        """Its own death is told as such, not as that of a node."""
        self.stoker.code("long", "sleep 600")
        task, folder, launcher = self.stop_before_the_monitor("long")
        self.change_runners(folder)
        os.kill(launcher, signal.SIGCONT)
        self.stoker.wait_state(task, "running")
        harness.wait_for(lambda: "monitor_came attempt=%s-1" % task in self.stoker.log("runner"), 20, "the runner to see it")
        with open(folder + "/monitor.pid") as file:
            os.kill(int(file.read().split()[0]), signal.SIGKILL)
        ended = self.stoker.wait_state(task, *harness.SETTLED)
        self.assertEqual((ended["state"], ended["cause"]), ("killed", "monitor_lost"), self.attempts(task))

    def test_a_folder_that_goes_without_a_monitor_gives_its_task_back(self):
        """As a launcher removes it that could not start the monitor."""
        task, folder, launcher = self.stop_before_the_monitor()
        self.change_runners(folder)
        shutil.rmtree(folder)
        os.kill(launcher, signal.SIGKILL)
        ended = self.stoker.wait_state(task, *harness.SETTLED)
        self.assertEqual((ended["state"], ended["attempt"]), ("complete", 2), self.attempts(task))
        self.assertEqual(self.attempts(task)[0], ("1", "node_lost", "its node lost its folder"))

    def test_a_launcher_that_is_too_late_starts_nothing_any_more(self):
        """Its job was given back meanwhile."""
        task, folder, launcher = self.stop_before_the_monitor()
        self.change_runners(folder)
        os.utime(folder, (0, 0))
        ended = self.stoker.wait_state(task, *harness.SETTLED)
        self.assertEqual((ended["state"], ended["attempt"]), ("complete", 2), self.attempts(task))
        os.kill(launcher, signal.SIGCONT)
        harness.wait_for(lambda: not harness.process_exists(launcher), 20, "the late launcher to end")
        self.assertEqual(os.listdir(self.stoker.node + "/jobs"), [])
        self.assertEqual(self.stoker.task_log(task), b"2\n")

    def passed(self, place):
        return os.path.getsize(os.path.join(self.points, place))

    def test_words_that_fail_once_are_said_again(self):
        """Nobody waits for ever for a launch, its answer or a removal."""
        self.assertEqual(self.stoker.run_task("late")["state"], "complete")
        places = [name for name in os.listdir(self.points) if name.startswith(("call.stoker-launcher.send.", "call.stoker-worker.sendmsg."))]
        self.assertEqual({place.split(".")[1] for place in places}, {"stoker-launcher", "stoker-worker"})
        before = {place: self.passed(place) for place in places}
        with open(self.points + "/table", "w") as table:
            for place in places:
                # every other one: what is said again is a pass as well
                table.writelines("%s=fail@%d\n" % (place, before[place] + n) for n in (1, 3, 5))
        for _ in range(2):
            self.assertEqual(self.stoker.run_task("late")["state"], "complete")
        harness.wait_for(lambda: not os.listdir(self.stoker.node + "/jobs"), 20, "the folders' removal")
        os.unlink(self.points + "/table")
        self.assertEqual([place for place in places if self.passed(place) < before[place] + 5], [])


if __name__ == "__main__":
    harness.main()
