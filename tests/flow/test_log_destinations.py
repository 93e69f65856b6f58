#!/usr/bin/env python3
"""Output that goes on to receivers of a project: whole lines, none lost, nobody held up by another."""
import calendar
import gzip
import json
import os
import re
import shutil
import signal
import tempfile
import time

import harness
import receivers


class LogTest(harness.FlowTest):
    ENV = {"STOKER_COURIER_TIMEOUT_S": "3"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.stoker.code("seq", "sh -c 'seq 1 $(cat $PAYLOAD_FILE)'")

    def tearDown(self):
        for one in self.stoker.get("log_destinations").json["log_destinations"]:
            self.stoker.request("DELETE", "log_destinations/" + one["id"])

    def destination(self, address, **more):
        reply = self.stoker.post("log_destinations", dict({"address": address}, **more))
        self.assertEqual(reply.status, 200, reply)
        return reply.json["id"]

    def about(self, destination):
        return self.stoker.get("log_destinations/" + destination).json

    def wait_sent(self, destination, lines, seconds=20):
        harness.wait_for(lambda: self.about(destination)["sent_lines"] >= lines and not self.about(destination)["waiting_logs"],
                         seconds, "%d lines to be sent" % lines)

    def at_once(self, destination):
        """What failed is tried now: the time of its pause is over."""
        self.stoker.sql("UPDATE log_destination SET open_at = NOW(6) - INTERVAL 1 SECOND, held_until = NOW(6) - INTERVAL 1 SECOND"
                        " WHERE id = UNHEX('%s')" % destination, "stoker_logs")


def objects(bodies):
    return [json.loads(line) for body in bodies for line in body.split(b"\n") if line]


class Http(LogTest):
    def setUp(self):
        self.good = receivers.Good()

    def tearDown(self):
        super().tearDown()
        self.good.close()

    def bodies(self, path):
        return [body for _, _, body, _ in self.good.sent_to(path)]

    def test_lines_are_whole_however_they_were_written(self):
        destination = self.destination(self.good.url("/lines"))
        self.stoker.code("odd", "sh -c 'echo one; sleep 0.6; printf tw; sleep 0.6; echo o; echo err >&2; printf \"a\\0b\\377c\\r\\n\";"
                         " head -c 40000 /dev/zero | tr \"\\0\" x; echo; printf last'")
        task = self.stoker.run_task("odd")
        self.wait_sent(destination, 8)
        got = objects(self.bodies("/lines"))
        out = [one for one in got if one["stream"] == "stdout"]
        self.assertEqual([one["message"] for one in got if one["stream"] == "stderr"], ["err"])
        self.assertEqual([one["message"] for one in out[:3]], ["one", "two", "a\u2400b\ufffdc"])
        parts = [one for one in out if "part" in one]
        self.assertEqual("".join(one["message"] for one in parts), "x" * 40000)
        self.assertEqual([(one["part"], one["more"]) for one in parts], [(1, True), (2, True), (3, False)])
        self.assertEqual(out[-1]["message"], "last")
        self.assertEqual(sorted(one["sequence"] for one in got), list(range(1, 9)))
        for one in got:
            self.assertEqual((one["project"], one["task"], one["code"], one["attempt"]), (self.stoker.project, task["id"], "odd", 1))
            self.assertRegex(one["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
        self.assertLess(out[0]["time"], out[1]["time"])  # each its own, not that of the sending

    def test_every_template_is_what_its_receiver_documents(self):
        paths = {"ndjson": "/any", "loki": "/loki/api/v1/push", "elasticsearch": "/logs/_bulk", "splunk": "/services/collector/event"}
        self.good.answer = b'{"took": 1, "errors": false, "items": []}'
        for template, path in paths.items():
            self.destination(self.good.url(path), template=template, secret="the-token", tenant="us")
        task = self.stoker.run_task("seq", payload="3")["id"]
        for template, path in paths.items():
            harness.wait_for(lambda p=path: b"3" in b"".join(self.bodies(p)) and self.good.sent_to(p), 15, template)
        headers = {template: self.good.sent_to(path)[0][1] for template, path in paths.items()}
        self.assertEqual({template: one["content-type"] for template, one in headers.items()},
                         {"ndjson": "application/x-ndjson", "loki": "application/json", "elasticsearch": "application/x-ndjson",
                          "splunk": "application/json"})
        self.assertEqual({template: one["authorization"] for template, one in headers.items()},
                         {"ndjson": "Bearer the-token", "loki": "Bearer the-token", "elasticsearch": "ApiKey the-token",
                          "splunk": "Splunk the-token"})
        self.assertEqual(headers["loki"]["x-scope-orgid"], "us")
        self.is_loki([json.loads(body) for body in self.bodies(paths["loki"])], task)
        self.is_bulk(self.bodies(paths["elasticsearch"]), task)
        self.is_hec(self.bodies(paths["splunk"]), task)

    def is_loki(self, pushed, task):
        lines = []
        for body in pushed:
            self.assertEqual(list(body), ["streams"])
            for stream in body["streams"]:
                self.assertEqual(stream["stream"], {"job": "stoker", "project": self.stoker.project, "code": "seq", "stream": "stdout"})
                for at, line, facts in stream["values"]:
                    self.assertRegex(at, r"^\d{19}$")  # nanoseconds since 1970, as text
                    self.assertLess(abs(int(at) / 1e9 - time.time()), 60)
                    self.assertEqual((facts["task"], facts["attempt"]), (task, "1"))
                    self.assertEqual({type(value) for value in facts.values()}, {str})
                    lines.append((line, facts["sequence"]))
        self.assertEqual(lines, [("1", "1"), ("2", "2"), ("3", "3")])

    def is_bulk(self, bodies, task):
        for body in bodies:
            self.assertTrue(body.endswith(b"\n"))
        got = objects(bodies)
        self.assertEqual(got[::2], [{"create": {"_id": "%s-1-%d" % (task, i)}} for i in (1, 2, 3)])
        self.assertEqual([one["message"] for one in got[1::2]], ["1", "2", "3"])
        for one in got[1::2]:
            self.assertRegex(one["@timestamp"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
            self.assertEqual((one["stoker"]["task"], one["stoker"]["stream"]), (task, "stdout"))

    def is_hec(self, bodies, task):
        got = objects(bodies)
        self.assertEqual([one["event"] for one in got], ["1", "2", "3"])
        for one in got:
            self.assertEqual(set(one), {"time", "host", "source", "sourcetype", "event", "fields"})
            self.assertLess(abs(one["time"] - time.time()), 60)
            self.assertEqual(one["fields"]["task"], task)
            self.assertEqual({type(value) for value in one["fields"].values()}, {str})

    def test_what_an_elasticsearch_turns_away_comes_again_and_what_it_refuses_is_counted(self):
        turns = [b'{"errors": true, "items": [{"create": {"status": 201}}, {"create": {"status": 429}}]}',
                 b'{"errors": true, "items": [{"create": {"status": 409}}, {"create": {"status": 400}}]}']
        self.good.status = self._turn(turns)
        destination = self.destination(self.good.url("/_bulk"), template="elasticsearch")
        self.stoker.run_task("seq", payload="2")
        harness.wait_for(lambda: self.about(destination)["refused_lines"] == 1, 15, "the second answer")
        about = self.about(destination)
        self.assertEqual((about["sent_lines"], about["waiting_logs"], about["state"]), (1, 0, "enabled"))
        bodies = self.bodies("/_bulk")
        self.assertEqual(bodies[0], bodies[1])
        self.assertEqual(len(bodies), 2)

    def _turn(self, answers):
        def status(_path, times):
            self.good.answer = answers[min(times, len(answers)) - 1]
            return 200
        return status

    def test_a_line_that_is_refused_does_not_stop_the_others(self):
        bad = receivers.Good(status=lambda path, times: 413 if b'"4"' in bad.got[-1][2] else 200)
        destination = self.destination(bad.url("/some"))
        self.stoker.run_task("seq", payload="9")
        for _ in range(100):
            self.at_once(destination)
            time.sleep(0.2)
            about = self.about(destination)
            if about["refused_lines"] and not about["waiting_logs"]:
                break
        self.assertEqual((about["sent_lines"], about["refused_lines"]), (8, 1))
        self.assertIn("413", about["error"])
        taken = [one["message"] for one in objects(body for _, _, body, _ in bad.got if b'"4"' not in body)]
        self.assertEqual(taken, ["1", "2", "3", "5", "6", "7", "8", "9"])
        bad.close()

    def test_an_outage_of_an_hour_loses_nothing(self):
        listener = receivers.Good()
        address = listener.url("/outage")
        listener.status = lambda path, times: 503
        destination = self.destination(address)
        tasks = [self.stoker.queue("seq", payload="200") for _ in range(30)]
        harness.wait_for(lambda: self.about(destination).get("failures", 0) >= 2, 20, "it to fail")
        self.stoker.wait_restarted("courier", self.stoker.kill("courier"))
        for task in tasks:
            self.stoker.wait_state(task, "complete")
        self.stoker.sql("UPDATE log_destination SET failing_at = failing_at - INTERVAL 1 HOUR, failures = 50", "stoker_logs")
        self.assertEqual(self.about(destination)["waiting_logs"], 30)
        with listener.lock:
            listener.got.clear()
        listener.status = lambda path, times: 200
        self.at_once(destination)
        self.wait_sent(destination, 30 * 200)
        got = objects(body for _, _, body, _ in listener.got)
        for task in tasks:
            self.assertEqual([one["message"] for one in got if one["task"] == task], [str(i) for i in range(1, 201)])
        self.assertEqual(self.stoker.sql("SELECT COUNT(*) FROM log_cursor WHERE destination_id = UNHEX('%s')" % destination,
                                         "stoker_logs"), [("0",)])
        about = self.about(destination)
        self.assertEqual((about["state"], about["lag"], about["sent_lines"]), ("enabled", 0, 6000))
        listener.close()

    def test_a_killed_courier_loses_none_and_keeps_the_order(self):
        destination = self.destination(self.good.url("/kill"))
        self.stoker.code("slow", "sh -c 'for i in $(seq 1 300); do echo $i; [ $((i % 10)) = 0 ] && sleep 0.1; done'")
        task = self.stoker.queue("slow")
        for _ in range(3):
            before = len(self.bodies("/kill"))
            # more of it, or on a slow machine all of it has been sent while the courier came back
            harness.wait_for(lambda n=before: len(self.bodies("/kill")) > n or any(
                one["message"] == "300" for one in objects(self.bodies("/kill"))), 20, "it to be sent", every=0.005)
            self.stoker.wait_restarted("courier", self.stoker.kill("courier"))
            self.at_once(destination)  # what the dead one held is free when its time is up
        self.stoker.wait_state(task, "complete")
        self.at_once(destination)
        self.wait_sent(destination, 1)
        seen = []
        for one in objects(self.bodies("/kill")):
            if one["sequence"] > len(seen):
                self.assertEqual(one["sequence"], len(seen) + 1)
                seen.append(one["message"])
        self.assertEqual(seen, [str(i) for i in range(1, 301)])

    def test_a_stalled_receiver_holds_up_nobody_else(self):
        dead = receivers.Dead()
        for kind in range(4):
            self.destination(dead.url(kind))
        self.destination("tcp://127.0.0.1:%d" % dead.sockets["silent"].getsockname()[1])
        self.destination("tls://127.0.0.1:%d" % dead.sockets["silent"].getsockname()[1])
        self.destination(self.good.url("/healthy"))
        self.stoker.code("ticks", "sh -c 'for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.5; done'")
        task = self.stoker.queue("ticks")
        came = {}
        until = time.monotonic() + 20
        while len(came) < 8 and time.monotonic() < until:
            for _, _, body, at in self.good.sent_to("/healthy"):
                for one in objects([body]):
                    written = time.strptime(one["time"][:19], "%Y-%m-%dT%H:%M:%S")
                    came.setdefault(one["message"], at - calendar.timegm(written) - float("0" + one["time"][19:26]))
            time.sleep(0.05)
        self.stoker.wait_state(task, "complete")
        print("the latest line came after %.2f s" % max(came.values()))
        self.assertEqual(len(came), 8)
        self.assertLess(max(came.values()), 3)  # the time limit of a stalled one
        dead.close()

    def test_a_ping_says_whether_it_gets_there(self):
        good, bad = self.destination(self.good.url("/ping")), self.destination("http://127.0.0.1:1/")
        for one in (good, bad):
            self.assertEqual(self.stoker.post("log_destinations/%s/ping" % one).status, 200)
            harness.wait_for(lambda d=one: self.about(d)["ping"]["state"] != "waiting", 15, "the ping's end")
        self.assertEqual(self.about(good)["ping"]["state"], "sent")
        self.assertEqual([one["stream"] for one in objects(self.bodies("/ping"))], ["notice"])
        self.assertEqual(self.about(bad)["ping"]["state"], "failed")
        self.assertIn("connect", self.about(bad)["ping"]["error"].lower())

    def test_the_command_line_adds_lists_and_ends_them(self):
        with tempfile.NamedTemporaryFile("w", dir=os.environ.get("STOKER_TEST_TMP")) as secret:
            secret.write("word-of-mine\nsecond line\n")
            secret.flush()
            added = self.stoker.cli("destination", "add", self.good.url("/cli"), "--template", "splunk", "--secret-file", secret.name,
                                    "--name", "ours")
        self.assertEqual(added.returncode, 0, added.stderr)
        destination = added.stdout.strip()
        for word in ("pause", "resume", "ping"):
            done = self.stoker.cli("destination", word, destination)
            self.assertEqual(done.returncode, 0, done.stderr)
        harness.wait_for(lambda: self.good.sent_to("/cli"), 15, "the ping")
        self.assertEqual(self.good.sent_to("/cli")[0][1]["authorization"], "Splunk word-of-mine")
        listed = self.stoker.cli("destination", "list").stdout
        self.assertRegex(listed, r"(?m)^%s +%s +splunk +enabled +0 +0 +0 +ours" % (destination, re.escape(self.good.url("/cli"))))
        self.assertEqual(self.stoker.cli("destination", "delete", destination).returncode, 0)
        self.assertEqual(self.stoker.get("log_destinations").json["log_destinations"], [])

    def test_a_log_that_a_lost_node_left_open_is_sent_to_its_end(self):
        destination = self.destination(self.good.url("/left"))
        task = self.stoker.run_task("seq", payload="2")["id"]
        self.wait_sent(destination, 2)
        # as the runner of a node leaves it that is lost: a log begun, its last line unfinished, and the task over
        cursor = "FROM log_cursor WHERE destination_id = UNHEX('%s')" % destination
        (day,), = self.stoker.sql("SELECT day FROM log_head WHERE task_id = UNHEX('%s')" % task, "stoker_logs")
        self.stoker.sql("UPDATE log_head SET closed = 0, next = 0, bytes = 0, `lines` = 0, kept = 0 WHERE task_id = UNHEX('%s');"
                        "DELETE FROM log_chunk WHERE task_id = UNHEX('%s');"
                        "INSERT INTO log_chunk (day, task_id, attempt, number, first_byte, first_line, line_count, bytes, first_at, pieces, body)"
                        " VALUES (%s, UNHEX('%s'), 1, 0, 0, 0, 0, 4, UTC_TIMESTAMP(6), x'010400', x'%s');"
                        "INSERT INTO log_cursor (destination_id, task_id, attempt, day, sequence) VALUES (UNHEX('%s'), UNHEX('%s'), 1, %s, 2)"
                        % (task, task, day, task, gzip.compress(b"last").hex(), destination, task, day), "stoker_logs")
        harness.wait_for(lambda: self.stoker.sql("SELECT seen " + cursor, "stoker_logs") == [("1",)], 15, "the courier to have seen it")
        self.assertEqual(self.about(destination)["sent_lines"], 2)
        self.stoker.wait_restarted("scheduler", self.stoker.kill("scheduler"))  # which looks at its start, then each minute
        self.wait_sent(destination, 3)
        self.assertEqual([(one["message"], one["sequence"]) for one in objects(self.bodies("/left"))], [("1", 1), ("2", 2), ("last", 3)])
        self.assertEqual(self.stoker.sql("SELECT COUNT(*) " + cursor, "stoker_logs"), [("0",)])

    def test_a_paused_one_waits_and_goes_on(self):
        destination = self.destination(self.good.url("/paused"))
        self.stoker.post("log_destinations/%s/pause" % destination)
        self.stoker.run_task("seq", payload="5")
        self.assertEqual((self.about(destination)["state"], self.about(destination)["waiting_logs"]), ("paused", 1))
        self.assertEqual(self.bodies("/paused"), [])
        self.stoker.post("log_destinations/%s/resume" % destination)
        self.wait_sent(destination, 5)

    def test_what_is_sealed_for_one_receiver_goes_to_no_other(self):
        destination = self.destination(self.good.url("/a"), secret="top-secret-word", name="a")
        reply = self.stoker.request("PUT", "log_destinations/" + destination, {"address": self.good.url("/b")})
        self.assertEqual((reply.status, "secret" in reply.json["msg"]), (400, True))
        self.assertNotIn(b"top-secret-word", self.stoker.get("log_destinations").body)
        dump = self.stoker.sql("SELECT HEX(sealed) FROM log_destination", "stoker_logs")
        self.assertNotIn(b"top-secret-word".hex().upper(), str(dump))
        reply = self.stoker.request("PUT", "log_destinations/" + destination, {"address": self.good.url("/b"), "secret": ""})
        self.assertEqual((reply.status, reply.json["has_secret"], reply.json["name"]), (200, False, "a"))
        for body in ({}, {"address": "ftp://x"}, {"address": "tcp://h", "template": "loki"}, {"address": "http://h", "template": "syslog"},
                     {"address": "http://h", "ca": "no"}, {"address": "http://h", "template": "x"}):
            self.assertIn(self.stoker.post("log_destinations", body).status, (400, 406), body)
        self.assertEqual(self.stoker.get("log_destinations/0123456789abcdef01234567").status, 404)


class Syslog(LogTest):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="rsyslog-", dir=os.environ.get("STOKER_TEST_TMP"))
        self.receiver = receivers.Rsyslog(self.folder)

    def tearDown(self):
        super().tearDown()
        self.receiver.signal(signal.SIGCONT)
        self.receiver.kill()
        shutil.rmtree(self.folder)

    def lines(self, task):
        return [one for one in self.receiver.got() if one["procid"] == task]

    def wait_lines(self, task, n, seconds=20):
        harness.wait_for(lambda: len(self.lines(task)) >= n, seconds, "%d lines at rsyslog" % n)
        return self.lines(task)

    def test_rsyslog_gets_each_line_over_udp_tcp_and_tls(self):
        self.stoker.code("talk", "sh -c 'printf \"one\\ntab\\there\\nnul\\0 \\377 \\303\\274\\nlast\"; echo no >&2'")
        for kind in ("udp", "tcp", "tls"):
            destination = self.destination(self.receiver.address(kind, "localhost" if kind == "tls" else "127.0.0.1"),
                                           ca=self.receiver.file("ca.crt") if kind == "tls" else "")
            task = self.stoker.run_task("talk")["id"]
            got = self.wait_lines(task, 5)
            self.assertEqual(len(got), 5, kind)
            by_stream = {name: [one["msg"] for one in got if one["msgid"] == name] for name in ("stdout", "stderr")}
            self.assertEqual(by_stream, {"stdout": ["one", "tab\there", "\ufeffnul\u2400 \ufffd \u00fc", "last"], "stderr": ["no"]}, kind)
            for one in got:
                data = dict(re.findall(r' (\w+)="([^"]*)"', one["structured-data"]))
                self.assertRegex(one["structured-data"], r"^\[stoker@32473 .*\]$")
                self.assertEqual((data["project"], data["code"], data["task"], data["attempt"]), (self.stoker.project, "talk", task, "1"))
                self.assertEqual((one["app-name"], one["syslogfacility"]), ("talk", "16"))
                self.assertEqual(one["syslogseverity"], "4" if one["msgid"] == "stderr" else "6")
                self.assertRegex(one["timereported"], r"\.\d{6}")
            self.assertEqual(sorted(dict(re.findall(r' (\w+)="([^"]*)"', one["structured-data"]))["sequence"] for one in got),
                             list("12345"))
            self.stoker.request("DELETE", "log_destinations/" + destination)

    def test_long_lines_and_many_of_them_come_whole_over_tcp(self):
        self.destination(self.receiver.address("tcp"))
        self.stoker.code("much", "sh -c 'seq 1 5000; head -c 9000 /dev/zero | tr \"\\0\" y; echo'")
        task = self.stoker.run_task("much")["id"]
        got = self.wait_lines(task, 5005)
        self.assertEqual([one["msg"] for one in got[:5000]], [str(i) for i in range(1, 5001)])
        self.assertEqual("".join(one["msg"] for one in got[5000:]), "y" * 9000)
        self.assertEqual([re.search(r'part="(\d)" more="(\w+)"', one["structured-data"]).groups() for one in got[5000:]],
                         [(str(i), "true" if i < 5 else "false") for i in range(1, 6)])

    def test_whom_the_certificate_does_not_name_gets_nothing(self):
        ca, other = self.receiver.file("ca.crt"), self.receiver.file("other.crt")
        for host, trusted, word in (("localhost", other, "certificate"), ("127.0.0.1", ca, "mismatch"), ("localhost", "", "certificate")):
            destination = self.destination(self.receiver.address("tls", host), ca=trusted)
            self.stoker.post("log_destinations/%s/ping" % destination)
            harness.wait_for(lambda d=destination: self.about(d)["ping"]["state"] != "waiting", 15, "the ping's end")
            self.assertIn(word, self.about(destination)["ping"].get("error", ""))
        self.assertEqual(self.receiver.got(), [])

    def test_a_receiver_that_is_killed_with_something_unread_gets_it_again(self):
        destination = self.destination(self.receiver.address("tcp"))
        self.receiver.signal(signal.SIGSTOP)  # its kernel takes what it will never read
        task = self.stoker.run_task("seq", payload="500")["id"]
        harness.wait_for(lambda: self.about(destination).get("failures", 0) >= 1, 20, "nobody to say that it was taken")
        self.receiver.kill()
        self.assertEqual(self.lines(task), [])
        self.receiver.start()
        self.at_once(destination)
        got = self.wait_lines(task, 500)
        self.assertEqual([one["msg"] for one in got[:500]], [str(i) for i in range(1, 501)])
        self.wait_sent(destination, 500)


if __name__ == "__main__":
    harness.main()
