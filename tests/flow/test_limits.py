"""The limits of requests, each at the limit and one beyond it, over HTTP; and what the largest request costs the
process that reads it."""
import json

import harness

MIB = 1 << 20
REQUEST_BYTES, TASKS, DEPTH, NODES = 32 * MIB, 10000, 32, 10000
PROCESS_KIB_MOST = 256 * 1024


def filled(document, place, size, filling):
    """The document as bytes, `place` replaced by so much of `filling` that it has just `size` bytes."""
    text = json.dumps(document).encode()
    room = size - len(text) + len(place)
    return text.replace(place, (filling * (room // len(filling) + 1))[:room])


class Limits(harness.FlowTest):
    ENV = {"STOKER_API_PROCESSES": "1"}

    def setUp(self):
        self.stoker.code("bulk", "true")
        self.stoker.request("POST", "codes/%s/pause_task_queue" % self.code_id("bulk"), {})

    def code_id(self, name):
        return next(code["id"] for code in self.stoker.get("codes").json["codes"] if code["name"] == name)

    def count(self):
        return int(self.stoker.sql("SELECT COUNT(*) FROM task")[0][0])

    def peak_kib(self):
        """The most memory that any process of the API has had."""
        peaks = []
        for pid, name in self.stoker.processes().items():
            if name == "stoker-api":
                with open("/proc/%d/status" % pid) as status:
                    peaks += [int(line.split()[1]) for line in status if line.startswith("VmHWM")]
        self.assertGreaterEqual(len(peaks), 2)  # the supervisor and its child
        return max(peaks)

    def full_request(self, filling):
        """10,000 tasks with payloads that fill a request to the last byte."""
        room = (REQUEST_BYTES - 600000) // TASKS
        payload = "@" + "#" * (room - 1)
        text = json.dumps({"tasks": [{"code_name": "bulk", "payload": payload}] * TASKS}, separators=(",", ":")).encode()
        text = text.replace(b"#", filling)
        text += b" " * (REQUEST_BYTES - len(text))
        self.assertEqual(len(text), REQUEST_BYTES)
        return text

    def test_the_largest_request_keeps_the_process_under_256_mib(self):
        before = self.count()
        reply = self.stoker.post("tasks", self.full_request(b"\xe9"), timeout=120)  # ISO-8859-1: each byte becomes three
        self.assertIn(reply.status, (200, 502), reply)  # nginx waits 15 s for an answer, a busy machine needs more
        harness.wait_for(lambda: self.count() == before + TASKS, 60, "all of the tasks")
        if reply.status == 200:
            self.assertEqual(len(reply.json["tasks"]), TASKS)
        if "build-asan" not in harness.BUILD:  # the sanitizer's own memory is no part of the promise
            self.assertLess(self.peak_kib(), PROCESS_KIB_MOST)

    def test_a_request_one_byte_too_long_queues_nothing(self):
        before = self.count()
        reply = self.stoker.post("tasks", self.full_request(b"x") + b" ", timeout=60)
        self.assertEqual(reply.status, 413, reply)
        self.assertIn("msg", reply.json)
        self.assertEqual(self.count(), before)

    def test_one_task_too_many_queues_nothing(self):
        before = self.count()
        reply = self.stoker.post("tasks", {"tasks": [{"code_name": "bulk"}] * (TASKS + 1)})
        self.assertEqual(reply.status, 400, reply)
        self.assertIn("10001", reply.json["msg"])
        self.assertEqual(self.count(), before)

    def test_nesting_ends_at_the_limit(self):
        for levels, status in ((DEPTH - 1, 200), (DEPTH, 400)):  # the body itself is one
            body = b'{"tasks": [{"code_name": "bulk"}], "more": %s}' % (b"[" * levels + b"]" * levels)
            self.assertEqual(self.stoker.post("tasks", body).status, status, levels)

    def test_other_json_has_so_many_values_and_bytes(self):
        path = "tasks/%s/progress" % self.stoker.queue("bulk")
        for values, status in ((NODES - 2, 200), (NODES - 1, 400)):  # the object and the array are two
            self.assertEqual(self.stoker.post(path, {"more": [0] * values}).status, status, values)
        for size, status in ((MIB, 200), (MIB + 1, 413)):
            self.assertEqual(self.stoker.post(path, filled({"more": "@"}, b"@", size, b"x")).status, status, size)

    def test_a_payload_ends_at_the_limit(self):
        for size, status in ((3 * MIB, 200), (3 * MIB + 1, 413)):
            reply = self.stoker.post("tasks", {"tasks": [{"code_name": "bulk", "payload": "x" * size}]})
            self.assertEqual(reply.status, status, size)
            reply = self.stoker.post("tasks/webhook?code_name=bulk", b"x" * size)
            self.assertEqual(reply.status, status, size)


if __name__ == "__main__":
    harness.main()
