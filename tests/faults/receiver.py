"""A receiver of callbacks, for the storm and the points."""
import http.server
import json
import threading


class Receiver(threading.Thread):
    """Takes callbacks: `seen` are their ids, `tasks` whose they were."""

    def __init__(self):
        super().__init__(daemon=True)
        seen, tasks = set(), set()
        self.seen, self.tasks = seen, tasks

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
                seen.add(self.headers.get("webhook-id"))
                tasks.add(body["task"]["id"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d/" % self.server.server_port

    def run(self):
        self.server.serve_forever()
