"""What it costs others that many follow a log: the lines watch_... of docs/performance.md."""
import http.client
import json
import multiprocessing
import selectors
import socket
import statistics
import time

READERS, REQUESTS = 200, 300


class Readers:
    """Connections to one log's stream, all read by one process; beside many one that is never read."""

    def __init__(self, stoker, task, n):
        self.n = n
        self.selector = selectors.DefaultSelector()
        head = ("GET /2/projects/%s/tasks/%s/log/stream HTTP/1.1\r\nHost: x\r\nAuthorization: OAuth %s\r\n\r\n"
                % (stoker.project, task, stoker.token)).encode()
        self.sockets = [socket.create_connection(("127.0.0.1", stoker.port)) for _ in range(n + (n > 1))]
        for one in self.sockets:
            one.sendall(head)
        for one in self.sockets[-n:]:
            self.selector.register(one, selectors.EVENT_READ)
        self.least = multiprocessing.Value("q", 0)
        self.process = multiprocessing.Process(target=self.read, daemon=True)
        self.process.start()

    def read(self):
        """In a process of its own, so that who measures is not kept by it."""
        heard = {key.fd: 0 for key in self.selector.get_map().values()}
        while True:
            for key, _ in self.selector.select():
                heard[key.fd] += key.fileobj.recv(65536).count(b"event: output")
            if self.least.value < 30:
                self.least.value = min(heard.values())

    def all_heard(self, n):
        return self.least.value >= n

    def close(self):
        self.process.kill()
        self.process.join()
        for one in self.sockets:
            one.close()


def requests_of(stoker):
    """Tasks that are queued one after the other on a connection: how many a second; the median of as many GETs in ms."""
    connection = http.client.HTTPConnection("127.0.0.1", stoker.port, timeout=30)
    headers = {"Authorization": "OAuth " + stoker.token, "Content-Type": "application/json"}
    path = "/2/projects/%s/tasks" % stoker.project
    body, times = json.dumps({"tasks": [{"code_name": "bench-held", "payload": ""}]}), []

    def ask(method, what, sent=None):
        began = time.monotonic()
        connection.request(method, what, sent, headers)
        answer = connection.getresponse().read()
        times.append(time.monotonic() - began)
        return answer

    task = json.loads(ask("POST", path, body))["tasks"][0]["id"]
    times.clear()
    for _ in range(REQUESTS):
        ask("POST", path, body)
    rate = REQUESTS / sum(times)
    times.clear()
    for _ in range(REQUESTS):
        ask("GET", path + "/" + task)
    connection.close()
    return rate, statistics.median(times) * 1000


def statements_a_second(stoker, seconds=3):
    def count():
        return int(stoker.sql("SHOW GLOBAL STATUS LIKE 'Com_stmt_execute'")[0][1])
    before, began = count(), time.monotonic()
    time.sleep(seconds)
    return (count() - before) / (time.monotonic() - began)


def watch(stoker, wait_for, rounds):
    """Round by round: (rate, milliseconds, statements a second) with one reader, and with READERS and a stuck one."""
    held = stoker.code("bench-held", "true")["id"]
    stoker.post("codes/%s/pause_task_queue" % held)
    stoker.code("bench-tick", "sh -c 'seq 1 200000; while :; do echo tick; sleep 0.2; done'")
    task = stoker.queue("bench-tick")
    alone, together = [], []
    wait_for(lambda: stoker.task(task)["status"] == "running", 30, "the job to tick")
    requests_of(stoker)
    for _ in range(rounds):
        for n, found in ((1, alone), (READERS, together)):
            readers = Readers(stoker, task, n)
            wait_for(lambda: readers.all_heard(30), 60, "readers to catch up")
            found.append(requests_of(stoker) + (statements_a_second(stoker),))
            readers.close()
    stoker.post("tasks/%s/cancel" % task)
    stoker.post("codes/%s/cancel_all" % held)
    return alone, together
