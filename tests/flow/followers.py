"""Clients of a log's stream for flow tests."""
import base64
import http.client
import threading
import time

import harness


class Stream:
    """One connection to a log's stream; events as (id, name, data)."""

    def __init__(self, stoker, task, after=None, timeout=30):
        self.connection = http.client.HTTPConnection("127.0.0.1", stoker.port, timeout=timeout)
        headers = {"Authorization": "OAuth " + stoker.token}
        if after:
            headers["Last-Event-ID"] = after
        self.connection.request("GET", "/2/projects/%s/tasks/%s/log/stream" % (stoker.project, task), None, headers)
        self.reply = self.connection.getresponse()
        self.status = self.reply.status

    def __iter__(self):
        for event in harness.server_events(self.reply):
            yield event["id"], event["event"], event["data"]

    def close(self):
        self.connection.close()


def bytes_of(data):
    return data["text"].encode() if "text" in data else base64.b64decode(data["base64"])


class Follower(threading.Thread):
    """Follows as a client should: comes back with the last id whenever the stream breaks off."""

    def __init__(self, stoker, task):
        super().__init__(daemon=True)
        self.stoker, self.task = stoker, task
        self.output, self.connections, self.last, self.end = b"", 0, None, None
        self.socket = None
        self.start()

    def once(self):
        stream = Stream(self.stoker, self.task, self.last)
        try:
            if stream.status != 200:
                return
            self.connections += 1
            self.socket = stream.connection.sock
            for self.last, name, data in stream:
                if name == "output":
                    self.output += bytes_of(data)
                elif name == "end":
                    self.end = data
        finally:
            stream.close()

    def run(self):
        while self.end is None:
            try:
                self.once()
            except (OSError, http.client.HTTPException):
                pass
            if self.end is None:
                time.sleep(0.1)


class StreamTest(harness.FlowTest):
    def setUp(self):
        self.stoker.code("hello", "echo hello")

    def events(self, task, after=None):
        stream = Stream(self.stoker, task, after)
        self.assertEqual(stream.status, 200)
        found = list(stream)
        stream.close()
        return found
