"""Declared secret values: sealed at rest, masked in logs before they are stored, however they are cut."""
import time

import harness

VALUE = "hunter2-hunter2-hunter2"


class Secrets(harness.FlowTest):
    def put(self, name, value=VALUE, **more):
        return self.stoker.request("PUT", "secrets/" + name, dict({"value": value}, **more))

    def delete(self, name, query=""):
        return self.stoker.request("DELETE", "secrets/" + name + query)

    def tearDown(self):
        for secret in self.stoker.get("secrets").json["secrets"]:
            self.delete(secret["name"], "?code_name=" + secret["code_name"] if "code_name" in secret else "")

    def test_it_is_declared_listed_and_never_shown(self):
        self.stoker.code("coded", "true")
        self.assertEqual(self.put("db").status, 200)
        self.assertEqual(self.put("db").status, 200)
        self.assertEqual(self.put("db", code_name="coded").status, 200)
        listed = self.stoker.get("secrets")
        self.assertEqual([(s["name"], s.get("code_name")) for s in listed.json["secrets"]], [("db", None), ("db", "coded")])
        self.assertNotIn(VALUE, listed.text)
        for table in ("secret",):
            self.assertNotIn(VALUE, str(self.stoker.sql("SELECT CONVERT(sealed USING latin1) FROM " + table)))
        for bad in ({"value": "short"}, {"value": "x" * 9000}, {}, {"value": VALUE, "code_name": "nobody"}):
            self.assertIn(self.stoker.request("PUT", "secrets/bad", bad).status, (400, 404, 406), bad)
        self.assertEqual(self.delete("db", "?code_name=coded").status, 200)
        self.assertEqual(self.delete("db", "?code_name=coded").status, 404)
        self.assertEqual(self.delete("db").status, 200)
        self.assertEqual(self.stoker.get("secrets").json["secrets"], [])

    def test_it_is_masked_in_log_and_verdict_of_its_code_alone(self):
        self.stoker.code("tells", "sh -c 'echo it is %s; echo %s >&2; exit 3'" % (VALUE, VALUE))
        self.stoker.code("other", "sh -c 'echo it is %s'" % VALUE)
        self.put("db", code_name="tells")
        masked = "*" * len(VALUE)
        task = self.stoker.run_task("tells")
        log = self.stoker.task_log(task["id"]).decode()
        self.assertEqual(sorted(log.splitlines()), sorted(["it is " + masked, masked]))
        self.assertNotIn(VALUE, str(self.stoker.task(task["id"])))
        self.assertIn(masked, task["msg"])
        other = self.stoker.run_task("other")["id"]
        self.assertEqual(self.stoker.task_log(other).decode(), "it is %s\n" % VALUE)
        self.put("all")
        other = self.stoker.run_task("other")["id"]
        self.assertEqual(self.stoker.task_log(other).decode(), "it is %s\n" % masked)

    def test_cut_by_time_chunks_streams_and_a_killed_runner_it_stays_masked(self):
        """The value comes in two halves, with a flood, the other stream's line or the runner's death between."""
        self.put("db")
        half, rest = VALUE[:9], VALUE[9:]
        self.stoker.code("cut", "sh -c '%s'" % "; ".join([
            "printf begin\\\\n%s" % half, "sleep 1", "echo %s" % rest,
            "head -c 65530 /dev/zero | tr \\\\000 x", "echo %s" % VALUE,
            "printf %s" % half, "sleep 0.5", "echo a line on stderr >&2", "sleep 0.5", "echo %s" % rest,
            "printf %s" % half, "while [ ! -s $PAYLOAD_FILE ]; do sleep 1; done; sleep 6", "echo %s" % rest, "echo end"]))
        task = self.stoker.queue("cut", payload="go")
        harness.wait_for(lambda: b"a line on stderr" in self.stoker.request("GET", "tasks/%s/log" % task).body, 30, "the job")
        old = self.stoker.kill("runner")
        self.stoker.wait_restarted("runner", old, 30)
        self.assertEqual(self.stoker.wait_state(task, *harness.SETTLED, seconds=60)["state"], "complete")
        log, stars = self.stoker.task_log(task).decode(), "*" * len(VALUE)
        self.assertNotIn(half, log)
        self.assertNotIn(rest, log)
        lines = log.replace("x" * 65530, "").splitlines()
        self.assertEqual(lines[:3], ["begin", stars, stars])
        self.assertEqual(lines[3:], ["*" * len(half) + "a line on stderr", "*" * len(rest), stars, "end"])
        stored = self.stoker.sql("SELECT SUM(bytes), COUNT(*) FROM log_chunk WHERE task_id = x'%s'" % task, "stoker_logs")
        self.assertEqual(int(stored[0][0]), len(log))

    def test_a_flood_is_whole_and_its_head_too(self):
        self.put("db")
        self.stoker.code("flood", "sh -c 'yes %s | head -c 12000000; echo the end'" % VALUE)
        began = time.monotonic()
        task = self.stoker.run_task("flood", seconds=60)["id"]
        log = self.stoker.task_log(task)
        print("\n12 MB, all of it masked: %.1f s" % (time.monotonic() - began))
        self.assertNotIn(VALUE.encode(), log)
        head, _, tail = log.partition("\n… ".encode())
        self.assertEqual(len(head), 5 << 20)
        self.assertEqual(set(head.split(b"\n")[:-1]), {b"*" * len(VALUE)})
        self.assertTrue(tail.endswith(b"\nthe end\n"))


if __name__ == "__main__":
    harness.main()
