"""What nginx does in front of the program: limits, errors as JSON, headers, logs without secrets."""
import os
import re
import signal
import socket

import harness


class WebServer(harness.FlowTest):
    DEMO = "no"

    def assert_message(self, reply, status, problem=False):
        """IronWorker's form below /2/, elsewhere a problem (RFC 9457), which has a msg as well."""
        self.assertEqual(reply.status, status, reply)
        self.assertRegex(reply.headers["x-request-id"], r"^[0-9a-f]{24}$|^[0-9a-f]{32}$")
        self.assertEqual(reply.headers["access-control-allow-origin"], "*")
        self.assertIn("X-Request-Id", reply.headers["access-control-expose-headers"])
        self.assertTrue(reply.json["msg"])
        if not problem:
            self.assertEqual((reply.headers["content-type"], list(reply.json)), ("application/json", ["msg"]))
            return
        self.assertEqual(reply.headers["content-type"], "application/problem+json")
        self.assertEqual((reply.json["status"], reply.json["detail"], reply.json["instance"]),
                         (status, reply.json["msg"], reply.headers["x-request-id"]))
        self.assertNotEqual(reply.json["title"], "")

    def raw(self, request):
        with socket.create_connection(("127.0.0.1", self.stoker.port), timeout=10) as client:
            client.sendall(request)
            answer = b""
            while piece := client.recv(65536):
                answer += piece
        return answer

    def test_bodies_have_a_limit_per_path(self):
        self.assert_message(self.stoker.post("codes", b"x" * (5 << 20)), 413)
        self.assert_message(self.stoker.post("tasks", b"x" * (34 << 20)), 413)
        # below it the program itself answers
        self.assert_message(self.stoker.post("tasks", b"x" * (1 << 20)), 400)
        self.assert_message(self.stoker.post("/1/tokens", b"x" * (5 << 20)), 413, problem=True)
        self.assert_message(self.stoker.post("/1/tokens", b"x" * (2 << 20)), 413, problem=True)

    def test_a_head_that_is_too_large_is_json_too(self):
        self.assert_message(self.stoker.get("/healthz", headers={"X-Long": "x" * 40000}), 400, problem=True)
        self.assert_message(self.stoker.get("tasks", headers={"X-Long": "x" * 40000}), 400)
        self.assertIn(b'"msg":', self.raw(b"nonsense\r\n\r\n"))

    def assert_raw(self, request, status, problem=True):
        head, _, body = self.raw(request).partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        self.assertEqual(first.split()[1], str(status), head)
        headers = [line.lower().partition(": ") for line in lines]
        for name in ("x-request-id", "content-type", "access-control-allow-origin"):
            self.assertEqual(sum(one == name for one, _, _ in headers), 1, head)
        self.assert_message(harness.Reply(status, {one: line.partition(": ")[2] for (one, _, _), line in zip(headers, lines)}, body),
                            status, problem)
        return [line.lower() for line in lines]

    def test_what_the_web_server_refuses_itself_is_json(self):
        end = b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        self.assert_raw(b"GET /" + b"x" * 20480 + end + b"\r\n", 414)
        for below in (b"/2/projects", b"/2?", b"http://x/2/", b"https://x:8/2"):
            self.assert_raw(b"GET " + below + b"?" + b"x" * 20480 + end + b"\r\n", 414, problem=False)
        for outside in (b"/1/projects", b"/2x/", b"/ui/2/", b"http://2/1/"):
            self.assert_raw(b"GET " + outside + b"?" + b"x" * 20480 + end + b"\r\n", 414)
        self.assert_raw(b"TRACE /2/projects" + end + b"\r\n", 405, problem=False)
        self.assert_raw(b"TRACE /healthz" + end + b"\r\n", 405)
        self.assert_raw(b"CONNECT /" + end + b"\r\n", 405)
        self.assert_raw(b"CONNECT example.org:80" + end + b"\r\n", 400)
        self.assert_raw(b"GET /healthz HTTP/9.9\r\nHost: x\r\n\r\n", 505)
        self.assert_raw(b"POST /healthz" + end + b"Transfer-Encoding: foo\r\n\r\n", 501)
        self.assert_raw(b"GET /healthz" + end + b"bad header\r\n: x\r\n\r\n", 400)
        for method in (b"POST", b"PUT", b"DELETE"):
            lines = self.assert_raw(method + b" /static/app.css" + end + b"Content-Length: 0\r\n\r\n", 405)
            self.assertIn("allow: get, head", lines)
        self.assertTrue(self.raw(b"GET /static/app.css" + end + b"Range: bytes=99999999-\r\n\r\n").startswith(b"HTTP/1.1 200 "))
        self.assert_raw(b"GET /static/app.css" + end + b"If-Match: \"other\"\r\n\r\n", 412)
        # what stands for the answers is no path of its own
        for path in ("problem", "wire", "away/problem", "tail"):
            self.assert_message(self.stoker.get("/.stoker/" + path, token=False), 404, problem=True)

    def ids(self, request):
        """What the answer's X-Request-Id are; the connection is not waited out, since nginx lingers on what it refused."""
        with socket.create_connection(("127.0.0.1", self.stoker.port), timeout=10) as client:
            client.sendall(request)
            answer = b""
            while b"\r\n\r\n" not in answer and (piece := client.recv(65536)):
                answer += piece
        head = answer.partition(b"\r\n\r\n")[0].decode()
        return re.findall(r"(?im)^x-request-id: (\S+)\r?$", head)

    def test_each_answer_has_one_request_id_the_client_s_if_it_is_sane(self):
        end = "%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n"
        large = "Content-Length: 99999999\r\n"
        for line, more in (("GET /healthz", ""), ("GET /2/projects", ""), ("POST /2/projects", large), ("GET /static/app.css", ""),
                           ("GET /static/none.css", ""), ("DELETE /static/app.css", ""), ("GET /" + "x" * 20480, ""),
                           ("GET /2/projects/x/tasks/y", "Prefer: wait=1\r\n"), ("GET /2/projects/x/tasks/y/log/stream", "")):
            for given in ("", "given", "a-b_c.d:9", "x" * 39, "x" * 40, "no blanks", "no\"quotes"):
                sane = re.fullmatch(r"[\w.:-]{1,39}", given) and "x" * 20480 not in line
                header = "X-Request-Id: %s\r\n" % given if given else ""
                ids = self.ids((end % (line, header + more)).encode())
                self.assertEqual(len(ids), 1, (line, given, ids))
                self.assertRegex(ids[0], "^%s$" % re.escape(given) if sane else "^[0-9a-f]{32}$", (line, given))

    def test_too_many_requests_at_once_are_refused_with_an_id_too(self):
        unfinished = b"POST /2/projects HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n{"
        clients = []

        def refused_among_slow_ones():
            for client in clients:  # or client_body_timeout would end them on a busy machine
                try:
                    client.sendall(b" ")
                except OSError:
                    pass  # the one too many
            reply = self.stoker.get("/healthz", token=False)
            return reply.status == 503 and reply

        try:
            for _ in range(513):  # limit_conn of conf/nginx/stoker_server, and one
                clients.append(socket.create_connection(("127.0.0.1", self.stoker.port), timeout=10))
                clients[-1].sendall(unfinished)
            refused = harness.wait_for(refused_among_slow_ones, 20, "a refusal")
            self.assert_message(refused, 503, problem=True)
            self.assertEqual(refused.headers["retry-after"], "2")
            refused = self.stoker.post("tasks")
            self.assert_message(refused, 503)
            self.assertEqual(refused.headers["retry-after"], "2")
        finally:
            for client in clients:
                client.close()

    def test_the_access_log_has_no_query(self):
        self.stoker.get("/healthz?oauth=verysecret&x=1", token=False)
        path = os.path.join(self.stoker.var, "nginx", "access.log")

        def lines():
            with open(path) as log:
                return log.read()

        harness.wait_for(lambda: "GET /healthz HTTP" in lines(), 5, "the access log")
        self.assertNotIn("verysecret", lines())

    def test_every_answer_forbids_guessing_its_type(self):
        for path in ("/healthz", "/nothing", "/static/nothing.css"):
            reply = self.stoker.get(path, token=False)
            self.assertEqual(reply.headers["x-content-type-options"], "nosniff", path)
        self.assertEqual(self.stoker.get("/static/../../stoker.env", token=False).status, 400)
        self.assert_message(self.stoker.get("/static/nothing.css", token=False), 404, problem=True)

    def test_static_files_may_be_kept_for_ever(self):
        reply = self.stoker.get("/static/app.css?v=1", token=False)
        self.assertEqual(reply.status, 200)
        self.assertTrue(reply.headers["content-type"].startswith("text/css"))
        self.assertIn("immutable", reply.headers["cache-control"])

    def test_without_the_program_a_request_is_refused_and_may_come_again(self):
        keeper = self.stoker.pid("keeper")
        os.kill(keeper, signal.SIGSTOP)  # or it would start the program again at once
        try:
            for pid, name in self.stoker.processes().items():
                if name == "stoker-api":
                    os.kill(pid, signal.SIGKILL)
            for method in ("GET", "POST"):
                reply = self.stoker.request(method, "tasks")
                self.assert_message(reply, 503)
                self.assertGreater(int(reply.headers["retry-after"]), 0)
                reply = self.stoker.request(method, "/1/projects")
                self.assert_message(reply, 503, problem=True)
                self.assertGreater(int(reply.headers["retry-after"]), 0)
        finally:
            os.kill(keeper, signal.SIGCONT)
        harness.wait_for(lambda: self.stoker.get("/readyz", token=False).status == 200, 15, "the program")


if __name__ == "__main__":
    harness.main()
