#!/usr/bin/env python3
"""Callbacks: none is lost, none waits for another's dead receiver, each is tried by the plan."""
import hashlib
import hmac
import json
import os
import subprocess
import time
import urllib.parse

import harness
import receivers
import test_clients

DEAD = 60  # a thousand in the bench
ROWS = 20
NEVER = "0001-01-01T00:00:00Z"


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

    def test_retry_after_rests_one_url_and_nobody_waits_for_that_without_being_told(self):
        asks = receivers.Good(status=lambda path, times: 429 if path == "/asks" and times == 1 else 200)
        asks.more = "Retry-After: 3000\r\n"
        self.due([asks.url("/asks")])
        harness.wait_for(lambda: asks.sent_to("/asks"), 20, "the first try")
        entry = harness.wait_for(lambda: [one for one in self.stoker.get("deliveries").json["deliveries"]
                                          if one["url"].endswith("/asks") and one.get("waiting_for") == "retry_after"], 10, "the reason")[0]
        self.assertEqual(entry["waiting_until"], entry["next_try_at"])
        self.due([asks.url("/asks"), asks.url("/else")])
        harness.wait_for(lambda: asks.sent_to("/else"), 20, "another URL of the same receiver")
        harness.wait_for(lambda: [one["waiting_for"] for one in self.stoker.get("deliveries?state=waiting").json["deliveries"]
                                  if one["url"].endswith("/asks")] == ["retry_after"] * 2, 10, "the second to wait for that, too")
        self.assertEqual(len(asks.sent_to("/asks")), 1)
        self.assertEqual(self.stoker.post("deliveries/%d/redeliver" % entry["id"]).status, 200)
        harness.wait_for(lambda: len(asks.sent_to("/asks")) == 3, 10, "both of them to be delivered")
        asks.close()

    def test_a_redelivery_tries_a_receiver_that_rests(self):
        bad = receivers.Good(host="127.0.0.1", status=lambda path, times: 200 if path == "/well" else 500)
        self.due([bad.url("/ill/%d" % i) for i in range(6)])
        waiting = harness.wait_for(lambda: [one for one in self.stoker.get("deliveries?state=waiting").json["deliveries"]
                                            if bad.url("/ill") in one["url"] and one["waiting_for"] == "receiver"], 20, "it to be left alone")
        self.due([bad.url("/well")])
        entry = harness.wait_for(lambda: [one for one in self.stoker.get("deliveries?state=waiting").json["deliveries"]
                                          if one["url"] == bad.url("/well") and one["waiting_for"] == "receiver"], 20, "one that waits with it")[0]
        self.assertGreater(entry["waiting_until"], waiting[0]["time"])
        began = time.time()
        self.assertEqual(self.stoker.post("deliveries/%d/redeliver" % entry["id"]).status, 200)
        harness.wait_for(lambda: bad.sent_to("/well"), 8, "the redelivery", every=0.05)
        print("redelivered after %.2f s" % (time.time() - began))
        self.forget()
        bad.close()

    def test_retry_after_is_waited_for_and_410_gives_up(self):
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


class Registered(harness.FlowTest):
    """Callbacks of a project or a code: by API, signed, logged, redelivered."""

    ENV = {"STOKER_COURIER_RETRY_S": "1,1,1", "STOKER_COURIER_TIMEOUT_S": "4"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        test_clients.install_packages()
        cls.good = receivers.Good(status=lambda path, times: 410 if path.startswith("/gone") else 500 if path == "/bad" else 200)
        cls.stoker.code("ok", "true")
        cls.stoker.code("bad", "false")

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.good.close()

    def register(self, path, host="127.0.0.1", **more):
        reply = self.stoker.post("callbacks", dict({"url": self.good.url(path, host)}, **more))
        self.assertEqual(reply.status, 200, reply)
        return reply.json

    def wait_sent(self, path, n):
        harness.wait_for(lambda: len(self.good.sent_to(path)) >= n, 15, "%d deliveries to %s" % (n, path))
        return [(headers, body) for _, headers, body, _ in self.good.sent_to(path)]

    def is_verified(self, secret, headers, body):
        headers = {name: headers[name] for name in ("webhook-id", "webhook-timestamp", "webhook-signature")}
        done = subprocess.run(["node", os.path.join(test_clients.CLIENTS, "standard_webhooks.js")], text=True, stderr=subprocess.PIPE,
                              input=json.dumps({"secret": secret, "headers": headers, "body": body.decode()}), stdout=subprocess.PIPE)
        self.assertTrue(done.returncode == 0 or "WebhookVerificationError" in done.stderr, done.stderr)
        return done.returncode == 0

    def test_a_project_is_told_of_the_chosen_states_and_a_code_of_its_own(self):
        all_of_it = self.register("/all", states=["queued", "running", "complete", "error", "retried", "dead"], payload=True)
        one = self.register("/one", code_name="bad", states=["dead"])
        task = self.stoker.run_task("ok", payload="the payload")
        bad = self.stoker.run_task("bad")
        sent = [json.loads(body) for _, body in self.wait_sent("/all", 7)]
        told = {(entry["type"], entry["task"]["id"]) for entry in sent}
        self.assertEqual(told, {("task." + kind, task["id"]) for kind in ("queued", "running", "complete")} |
                         {("task." + kind, bad["id"]) for kind in ("queued", "running", "error", "dead")})
        for entry in sent:  # as it was then, however late it is told
            kind, then = entry["type"][5:], entry["task"]
            self.assertEqual(then["state"], {"dead": "error"}.get(kind, kind))
            self.assertEqual(then["attempt"], 0 if kind == "queued" else 1)
            self.assertEqual((then["start_time"] == NEVER, then["end_time"] == NEVER), (kind == "queued", kind in ("queued", "running")))
            if kind in ("queued", "running"):
                self.assertEqual(entry["time"], then["updated_at"])
        self.assertEqual({entry["task"].get("payload") for entry in sent if entry["task"]["id"] == task["id"]}, {"the payload"})
        (_, body), = self.wait_sent("/one", 1)
        self.assertEqual(json.loads(body)["type"], "task.dead")
        self.assertNotIn("payload", json.loads(body)["task"])
        for callback in (all_of_it, one):
            self.assertEqual(self.stoker.request("DELETE", "callbacks/" + callback["id"]).status, 200)
        self.stoker.run_task("ok")
        self.assertEqual(self.stoker.sql("SELECT SUM(hooks) FROM code"), [("0",)])

    def test_payload_keys_of_a_project_are_shown_to_nobody(self):
        project = "/2/projects/" + self.stoker.project
        reply = self.stoker.request("PATCH", project, {"payload_keys": [" IBAN ", "social"]})
        self.addCleanup(self.stoker.request, "PATCH", project, {"payload_keys": []})
        self.assertEqual((reply.status, reply.json["payload_keys"]), (200, ["iban", "social"]))
        for bad in ("iban", ["x"], [7], ["a\nb"], None):
            self.assertEqual(self.stoker.request("PATCH", project, {"payload_keys": bad}).status, 400, bad)
        told = self.register("/hidden", code_name="ok", states=["queued"], payload=True)
        self.stoker.code("next", "true")
        chained = self.stoker.post("callbacks", {"url": "code:next", "code_name": "ok", "states": ["complete"], "payload": True}).json
        payload = '{"to": {"Iban": "DE-planted", "password": "planted too"}, "n": 1}'
        task = self.stoker.run_task("ok", payload=payload)
        self.assertEqual(task["payload"], payload)  # whoever queued it reads what he wrote
        (_, body), = self.wait_sent("/hidden", 1)
        self.assertEqual(json.loads(body)["task"]["payload"], '{"to":{"Iban":"[FILTERED]","password":"[FILTERED]"},"n":1}')
        page = self.stoker.get("/ui/p/%s/tasks/%s" % (self.stoker.project, task["id"]), token=False, headers={"Cookie": "stoker=" + self.stoker.token})
        self.assertIn("[FILTERED]", page.text)
        self.assertNotIn("planted", page.text)
        queued = harness.wait_for(lambda: self.stoker.get("tasks?code_name=next").json["tasks"], 20, "the chained task")[0]
        self.stoker.wait_state(queued["id"], "complete")
        self.assertIn("DE-planted", queued["payload"])  # a code of the project takes what its tasks may have
        for path in ("deliveries", "events", "logs/search?q=DE-planted"):
            self.assertNotIn("DE-planted", self.stoker.get(path).text, path)
        for callback in (told, chained):
            self.assertEqual(self.stoker.request("DELETE", "callbacks/" + callback["id"]).status, 200)

    def test_signatures_are_right_for_both_keys_while_rotating_and_never_for_another(self):
        callback = self.register("/signed")
        self.stoker.post("callbacks/%s/test" % callback["id"])
        (headers, body), = self.wait_sent("/signed", 1)
        self.assertEqual(json.loads(body)["type"], "callback.test")
        self.assertTrue(self.is_verified(callback["secret"], headers, body))
        self.assertFalse(self.is_verified(callback["secret"], headers, body.replace(b"test", b"text")))
        rotated = self.stoker.post("callbacks/%s/rotate" % callback["id"]).json["secret"]
        self.stoker.post("callbacks/%s/test" % callback["id"])
        headers, body = self.wait_sent("/signed", 2)[1]
        self.assertTrue(self.is_verified(rotated, headers, body))
        self.assertTrue(self.is_verified(callback["secret"], headers, body))
        self.stoker.sql("UPDATE callback_key SET former_until = UTC_TIMESTAMP(6)")  # its time is up
        self.stoker.post("callbacks/%s/test" % callback["id"])
        headers, body = self.wait_sent("/signed", 3)[2]
        self.assertTrue(self.is_verified(rotated, headers, body))
        self.assertFalse(self.is_verified(callback["secret"], headers, body))
        dump = "".join(str(row) for row in self.stoker.sql("SELECT HEX(sealed), HEX(former) FROM callback_key"))
        self.assertNotIn(callback["secret"][6:], dump)
        self.assertEqual([key for key in self.stoker.get("callbacks/" + callback["id"]).json if "secret" in key], [])
        self.stoker.request("DELETE", "callbacks/" + callback["id"])

    def is_verified_v1a(self, public, headers, body):
        """By node's own Ed25519."""
        text = ".".join((headers["webhook-id"], headers["webhook-timestamp"], body.decode()))
        done = subprocess.run(["node", os.path.join(test_clients.CLIENTS, "ed25519.js")], text=True, stdout=subprocess.PIPE,
                              input=json.dumps({"key": public, "text": text, "signatures": headers["webhook-signature"]}))
        self.assertEqual(done.returncode, 0)
        return json.loads(done.stdout)

    def test_a_private_key_signs_and_the_public_one_alone_is_shown(self):
        callback = self.register("/signed-v1a", signature="v1a")
        self.assertNotIn("secret", callback)
        self.assertEqual(self.stoker.get("callbacks/" + callback["id"]).json["public_key"], callback["public_key"])
        self.stoker.post("callbacks/%s/test" % callback["id"])
        (headers, body), = self.wait_sent("/signed-v1a", 1)
        self.assertTrue(self.is_verified_v1a(callback["public_key"], headers, body))
        self.assertFalse(self.is_verified_v1a(callback["public_key"], headers, body.replace(b"test", b"text")))
        rotated = self.stoker.post("callbacks/%s/rotate" % callback["id"]).json["secret"]  # to v1
        self.stoker.post("callbacks/%s/test" % callback["id"])
        headers, body = self.wait_sent("/signed-v1a", 2)[1]
        self.assertTrue(self.is_verified(rotated, headers, body))
        self.assertTrue(self.is_verified_v1a(callback["public_key"], headers, body))
        self.stoker.request("DELETE", "callbacks/" + callback["id"])

    def test_ids_are_unique_in_all_the_world_and_in_the_log(self):
        callback = self.register("/named", "127.0.0.12", states=["queued", "complete"])
        self.stoker.run_task("ok")
        ids = {headers["webhook-id"] for headers, _ in self.wait_sent("/named", 2)}
        self.assertEqual(len(ids), 2)
        for one in ids:
            self.assertRegex(one, "^msg_[0-9a-f]{32}$")
        self.assertEqual({one["webhook_id"] for one in self.stoker.get("deliveries?callback=" + callback["id"]).json["deliveries"]}, ids)
        entry = self.stoker.get("deliveries?callback=" + callback["id"]).json["deliveries"][0]
        self.stoker.sql("UPDATE outbox SET named = 0 WHERE id = %d" % entry["id"])  # made before ids were names: it keeps its own
        self.stoker.post("deliveries/%d/redeliver" % entry["id"])
        self.assertEqual(self.wait_sent("/named", 3)[2][0]["webhook-id"], str(entry["id"]))
        self.stoker.request("DELETE", "callbacks/" + callback["id"])

    def given_up(self, path):
        return [one for one in self.stoker.get("deliveries?state=exhausted").json["deliveries"] if one["url"].endswith(path)]

    def test_410_ends_what_a_task_would_tell_its_url_later(self):
        self.stoker.code("slow", "sleep 3")
        self.stoker.post("tasks", {"tasks": [{"code_name": "slow", "callback": self.good.url("/gone/later"), "callback_states":
                                             ["queued", "complete"]}]})
        harness.wait_for(lambda: self.given_up("/gone/later"), 15, "the first to be given up")
        harness.wait_for(lambda: len(self.given_up("/gone/later")) == 2, 30, "the second, too")
        self.assertEqual(len(self.good.sent_to("/gone/later")), 1)
        self.assertIn("410", self.given_up("/gone/later")[0]["error"])

    def test_410_disables_the_url_of_a_code_until_it_is_set_anew_or_resumed(self):
        url, path = self.good.url("/gone/code", "127.0.0.13"), "/gone/code"
        code = self.stoker.code("hung-up", "true", callback=url)
        read = lambda: self.stoker.get("codes/" + code["id"]).json  # noqa: E731
        self.assertNotIn("callback_disabled_at", read())
        self.stoker.run_task("hung-up")
        harness.wait_for(lambda: "callback_disabled_at" in read(), 15, "it to be disabled")
        task = self.stoker.run_task("hung-up")
        entry = harness.wait_for(lambda: [one for one in self.given_up(path) if one["task_id"] == task["id"]], 15, "the next to be given up")[0]
        self.assertIn("code's callback is disabled", entry["error"])
        self.assertEqual(len(self.good.sent_to(path)), 1)
        self.assertEqual(self.stoker.post("codes/%s/resume_callback" % code["id"]).json["msg"], "Resumed")
        self.assertNotIn("callback_disabled_at", read())
        self.stoker.run_task("hung-up")
        self.wait_sent(path, 2)
        harness.wait_for(lambda: "callback_disabled_at" in read(), 15, "it to be disabled once more")
        self.stoker.post("codes/" + code["id"], {"name": "hung-up", "callback": url})
        self.assertNotIn("callback_disabled_at", read())
        self.stoker.run_task("hung-up")
        self.wait_sent(path, 3)

    def test_410_ends_all_that_waits_for_the_url_of_a_task(self):
        self.stoker.post("tasks", {"tasks": [{"code_name": "ok", "callback": self.good.url("/gone/own"), "callback_states":
                                             ["queued", "running", "complete"]}]})
        harness.wait_for(lambda: [1 for entry in self.stoker.get("deliveries?state=exhausted").json["deliveries"]
                                  if entry["url"].endswith("/gone/own")], 15, "it to be given up")
        harness.wait_for(lambda: not [1 for entry in self.stoker.get("deliveries?state=waiting").json["deliveries"]
                                      if entry["url"].endswith("/gone/own")], 15, "nothing to wait any more")

    def test_a_tasks_own_url_is_signed_with_the_projects_secret_and_carries_the_trace(self):
        secret = self.stoker.post("callback_secret/rotate").json["secret"]
        trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        self.stoker.post("tasks", {"tasks": [{"code_name": "ok", "callback": self.good.url("/own"), "callback_states":
                                             ["running", "complete"], "callback_ordered": True}]}, headers={"traceparent": trace})
        sent = self.wait_sent("/own", 2)
        self.assertEqual([json.loads(body)["type"] for _, body in sent], ["task.running", "task.complete"])
        for headers, body in sent:
            self.assertTrue(self.is_verified(secret, headers, body))
            self.assertEqual(headers["traceparent"][:35], trace[:35])

    def test_each_try_has_the_same_id_with_a_time_and_a_signature_of_its_own(self):
        callback = self.register("/bad", "127.0.0.9", states=["complete"])  # its lane is its own
        task = self.stoker.run_task("ok")
        sent = self.wait_sent("/bad", 2)
        self.assertEqual(len({headers["webhook-id"] for headers, _ in sent}), 1)
        self.assertEqual(len({headers["webhook-timestamp"] for headers, _ in sent[:2]}), 2)
        self.assertEqual(len({headers["webhook-signature"] for headers, _ in sent[:2]}), 2)
        for headers, body in sent:
            self.assertTrue(self.is_verified(callback["secret"], headers, body))
        entry, = self.stoker.get("deliveries?callback=" + callback["id"]).json["deliveries"]
        self.assertEqual((entry["task_id"], entry["event"]), (task["id"], "complete"))
        harness.wait_for(lambda: self.stoker.get("deliveries/%d" % entry["id"]).json["state"] == "exhausted", 15, "the plan's end")
        log = self.stoker.get("deliveries/%d" % entry["id"]).json["log"]
        self.assertEqual([(one["number"], one["status"]) for one in log], [(i, 500) for i in range(1, 5)])
        n = len(self.wait_sent("/bad", 4))
        self.assertEqual(self.stoker.post("deliveries/%d/redeliver" % entry["id"]).status, 200)
        self.wait_sent("/bad", n + 1)
        harness.wait_for(lambda: self.stoker.get("deliveries/%d" % entry["id"]).json["tries"] == 5, 15, "that to be noted")
        refused = self.stoker.post("deliveries/redeliver", {"callback_id": callback["id"], "state": "failing"})
        self.assertEqual(refused.status, 400)  # what is no filter must not mean all
        self.assertIn("callback_id", refused.json["msg"])
        self.assertEqual(self.stoker.post("deliveries/redeliver", {"callback": callback["id"]}).json["count"], 0)
        reply = self.stoker.post("deliveries/redeliver", {"callback": callback["id"], "state": "failing"})
        self.assertEqual(reply.json["count"], 1)
        self.stoker.request("DELETE", "callbacks/" + callback["id"])

    def test_a_try_can_be_done_again_by_hand_from_the_log(self):
        callback = self.register("/kept", "127.0.0.14", code_name="ok", states=["complete"], payload=True)
        self.good.more = "X-Answer: of the receiver\r\nSet-Cookie: session=hidden\r\n"
        self.stoker.run_task("ok", payload="p" * 20000)
        (headers, body), = self.wait_sent("/kept", 1)
        self.good.more = ""
        entry, = self.stoker.get("deliveries?callback=" + callback["id"]).json["deliveries"]
        log = harness.wait_for(lambda: self.stoker.get("deliveries/%d" % entry["id"]).json["log"], 10, "the try")[0]
        kept = dict(line.split(": ", 1) for line in log["request_headers"])
        self.assertEqual({name.lower(): value for name, value in kept.items()},
                         {name: headers[name] for name in ("content-type", "user-agent", "webhook-id", "webhook-timestamp",
                                                           "webhook-signature")})
        self.assertEqual((log["request_body"].encode(), log["request_bytes"]), (body[:16384], len(body)))
        self.assertIn("X-Answer: of the receiver", log["answer_headers"])
        self.assertNotIn("hidden", json.dumps(log))
        self.assertIn("webhook-id: " + headers["webhook-id"], self.page("deliveries/%d" % entry["id"]).text)
        self.assertNotIn(callback["secret"], json.dumps(log))
        self.stoker.request("DELETE", "callbacks/" + callback["id"])

    def test_410_disables_until_it_is_resumed(self):
        callback = self.register("/gone")
        self.stoker.run_task("ok")
        harness.wait_for(lambda: self.stoker.get("callbacks/" + callback["id"]).json["state"] == "disabled", 10, "it to be disabled")
        self.stoker.run_task("ok")
        self.assertEqual(len(self.stoker.get("deliveries?callback=" + callback["id"]).json["deliveries"]), 1)
        self.stoker.post("callbacks/%s/resume" % callback["id"])
        self.assertEqual(self.stoker.get("callbacks/" + callback["id"]).json["state"], "enabled")
        self.stoker.post("callbacks/%s/pause" % callback["id"])
        self.assertEqual(self.stoker.get("callbacks/" + callback["id"]).json["state"], "paused")
        n = len(self.good.sent_to("/gone"))
        self.stoker.post("callbacks/%s/test" % callback["id"])  # by hand: whatever holds others up
        self.wait_sent("/gone", n + 1)
        self.stoker.request("DELETE", "callbacks/" + callback["id"])

    def test_what_waits_while_it_is_paused_goes_as_soon_as_it_is_resumed(self):
        callback = self.register("/paused", "127.0.0.11", states=["complete"])
        self.stoker.sql("UPDATE callback SET paused_at = UTC_TIMESTAMP(6) WHERE id = UNHEX('%s')" % callback["id"])
        self.stoker.run_task("ok")
        entry = harness.wait_for(lambda: [one for one in self.stoker.get("deliveries?callback=" + callback["id"]).json["deliveries"]
                                          if one.get("waiting_for") == "paused"], 15, "it to wait for that")[0]
        self.assertIn("waiting_until", entry)
        self.stoker.post("callbacks/%s/resume" % callback["id"])
        harness.wait_for(lambda: self.good.sent_to("/paused"), 20, "it to be sent long before the minute is over")
        self.stoker.request("DELETE", "callbacks/" + callback["id"])

    def test_a_callback_queues_a_task_and_an_endless_chain_is_cut(self):
        self.stoker.code("second", "cat $PAYLOAD_FILE")
        first = self.stoker.queue("ok", callback="code:second")
        harness.wait_for(lambda: self.stoker.get("tasks?code_name=second").json["tasks"], 15, "the second task")
        second = self.stoker.wait_state(self.stoker.get("tasks?code_name=second").json["tasks"][0]["id"], "complete")
        body = json.loads(self.stoker.task_log(second["id"]))
        self.assertEqual((body["type"], body["task"]["id"]), ("task.complete", first))
        self.stoker.sql("UPDATE task SET hops = 100 WHERE id = UNHEX('%s')" % first)
        entry, = self.stoker.get("deliveries?task=" + first).json["deliveries"]
        self.assertEqual(entry["queued_task_id"], second["id"])
        self.stoker.post("deliveries/%d/redeliver" % entry["id"])
        harness.wait_for(lambda: "100 tasks" in self.stoker.get("deliveries/%d" % entry["id"]).json.get("error", ""), 15, "the chain to be cut")
        self.assertEqual(self.stoker.get("deliveries/%d" % entry["id"]).json["state"], "exhausted")

    def page(self, path, form=None):
        """As a browser that is signed in."""
        headers = {"Cookie": "stoker=" + self.stoker.token, "Sec-Fetch-Site": "same-origin"}
        if form is None:
            return self.stoker.request("GET", "/ui/p/%s/%s" % (self.stoker.project, path), headers=headers, token=False)
        csrf = hmac.new(self.stoker.token.encode(), b"csrf", hashlib.sha256).hexdigest()
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        return self.stoker.request("POST", "/ui/p/%s/%s" % (self.stoker.project, path),
                                   urllib.parse.urlencode(dict(form, csrf=csrf)).encode(), headers, token=False)

    def test_the_page_shows_them_sends_a_test_and_redelivers(self):
        callback = self.register("/paged", name="for the page")
        page = self.page("callbacks")
        self.assertEqual(page.status, 200)
        self.assertIn("for the page", page.text)
        self.assertNotIn(callback["secret"], page.text)
        self.assertEqual(self.page("callbacks/%s/test" % callback["id"], {}).status, 303)
        self.wait_sent("/paged", 1)
        entry, = self.stoker.get("deliveries?callback=" + callback["id"]).json["deliveries"]
        harness.wait_for(lambda: "127.0.0.1" in self.page("deliveries/%d" % entry["id"]).text, 10, "the try on its page")
        self.assertEqual(self.page("deliveries/%d/redeliver" % entry["id"], {}).status, 303)
        self.wait_sent("/paged", 2)
        self.stoker.request("DELETE", "callbacks/" + callback["id"])

    def test_what_is_wrong_is_refused_by_name(self):
        for body, field in (({}, "url"), ({"url": "ftp://x"}, "url"), ({"url": "http://u@h/"}, "url"), ({"url": "http:///x"}, "url"),
                            ({"url": "http://h/", "states": ["preparing"]}, "states"), ({"url": "http://h/", "states": []}, "states"),
                            ({"url": "http://h/", "secret": "whsec_short"}, "secret"),
                            ({"url": "http://h/", "secret": "whsk_short"}, "secret"), ({"url": "http://h/", "signature": "v2"}, "signature"), ({"url": "http://h/", "state": ["dead"]}, "state"),
                            ({"url": "http://h/", "order": True}, "order"), ({"url": "http://h/", "code_name": "none"}, "none")):
            reply = self.stoker.post("callbacks", body)
            self.assertIn(reply.status, (400, 404, 406), reply)
            self.assertIn(field, reply.json["msg"])
        self.assertEqual(self.stoker.get("deliveries?state=odd").status, 400)
        self.assertEqual(self.stoker.get("deliveries/999999999").status, 404)
        self.assertEqual(self.stoker.get("callbacks/" + "0" * 24).status, 404)


if __name__ == "__main__":
    harness.main()
