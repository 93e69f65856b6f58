#!/usr/bin/env python3
"""Callbacks: none is lost, none waits for another's dead receiver, each is tried by the plan."""
import os
import time

import harness
import receivers

DEAD = int(os.environ.get("STOKER_TEST_DEAD", "60"))  # a thousand in the bench
ROWS = 20


class Courier(harness.FlowTest):
    ENV = {"STOKER_COURIER_RETRY_S": "1,1,1,1", "STOKER_COURIER_TIMEOUT_S": "2"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.good, cls.dead = receivers.Good(), receivers.Dead()
        cls.stoker.code("told", "true")
        cls.task = cls.stoker.run_task("told")["id"]
        cls.number = 100

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.good.close()
        cls.dead.close()

    def due(self, urls, rows=1):
        """Outbox rows as the trigger of `task` makes them, for a task that is over."""
        cls = type(self)
        for url in urls:
            self.stoker.sql("INSERT INTO outbox (task_id, number, task_state, project_id, url, at, next_at)"
                            " SELECT UNHEX('%s'), %d + seq, 'complete', UNHEX('%s'), '%s', UTC_TIMESTAMP(6), UTC_TIMESTAMP(6)"
                            " FROM seq_1_to_%d" % (self.task, cls.number, self.stoker.project, url, rows))
            cls.number += rows

    def forget(self):
        for table in ("outbox", "receiver", "delivery"):
            self.stoker.sql("DELETE FROM " + table)

    def test_dead_receivers_with_full_queues_delay_a_good_one_by_a_second_at_most(self):
        self.due([self.dead.url(i) for i in range(DEAD)], ROWS)
        harness.wait_for(lambda: self.stoker.sql("SELECT COUNT(*) FROM outbox WHERE lane = 0") == [("0",)], 60,
                         "the queues to be full")
        late = []
        for i in range(40):
            path = "/good/%d" % i
            self.due([self.good.url(path)])
            began = time.time()
            harness.wait_for(lambda: self.good.sent_to(path), 20, path, every=0.01)
            late.append(self.good.sent_to(path)[0][3] - began)
            time.sleep(0.05)
        print("worst %.3f s, median %.3f s beside %d dead receivers" % (max(late), sorted(late)[20], DEAD))
        self.assertLess(max(late), 1.0)
        # they are seen as failing, and not called without end
        harness.wait_for(lambda: int(self.stoker.sql("SELECT COUNT(*) FROM receiver WHERE failures > 0")[0][0]) == DEAD,
                         30, "each dead receiver to be known as such")
        self.forget()
        self.stoker.wait_restarted("courier", self.stoker.kill("courier"))

    def test_a_killed_courier_loses_none(self):
        for kill in range(4):
            self.due([self.good.url("/kept/%d/%d" % (kill, i)) for i in range(100)])
            harness.wait_for(lambda: self.good.sent_to("/kept/%d/%d" % (kill, kill * 10)), 20, "the courier to be at it",
                             every=0.001)
            self.stoker.wait_restarted("courier", self.stoker.kill("courier"))
        # what the dead ones held comes back when its time is up: turn the clock on
        self.stoker.sql("UPDATE outbox SET next_at = UTC_TIMESTAMP(6) WHERE state = 'waiting';"
                        "UPDATE receiver SET next_at = UTC_TIMESTAMP(6)")
        harness.wait_for(lambda: self.stoker.sql("SELECT COUNT(*) FROM outbox WHERE url LIKE '%/kept/%' AND state = 'delivered'")
                         == [("400",)], 30, "all of them to be delivered")
        for kill in range(4):
            for i in range(100):
                got = self.good.sent_to("/kept/%d/%d" % (kill, i))
                self.assertGreaterEqual(len(got), 1)
                self.assertEqual(len({entry[1]["webhook-id"] for entry in got}), 1)

    def test_retry_after_closes_the_lane_and_410_gives_up(self):
        busy = receivers.Good(status=lambda path, times: 503 if times == 1 else 410)
        busy.more = "Retry-After: 3\r\n"
        self.due([busy.url("/busy")])
        harness.wait_for(lambda: self.stoker.sql("SELECT state, tries, last_status FROM outbox WHERE url LIKE '%/busy'") ==
                         [("exhausted", "2", "410")], 20, "410 to end it")
        first, second = (entry[3] for entry in busy.sent_to("/busy"))
        self.assertGreaterEqual(second - first, 2.9)
        busy.close()

    def test_each_try_is_kept_and_the_plan_ends(self):
        bad = receivers.Good(status=lambda path, times: 404, answer=b"no such <hook>" * 200)
        self.due([bad.url("/never")])
        harness.wait_for(lambda: self.stoker.sql("SELECT state, tries FROM outbox WHERE url LIKE '%/never'") ==
                         [("exhausted", "5")], 30, "the plan to end")
        rows = self.stoker.sql("SELECT d.number, d.status, d.address, LENGTH(d.answer), d.took_ms < 2000 FROM delivery d"
                               " JOIN outbox o ON o.id = d.outbox_id WHERE o.url LIKE '%/never' ORDER BY d.number")
        self.assertEqual(rows, [(str(i), "404", "127.0.0.1", "1024", "1") for i in range(1, 6)])
        bad.close()


if __name__ == "__main__":
    harness.main()
