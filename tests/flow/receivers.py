"""Receivers of callbacks for flow tests: a good one that keeps what it is sent, and dead ones of every
kind. A listener answers at each loopback address, so that 127.1.0.1, 127.1.0.2 … are as many receivers."""
import socket
import threading
import time


class Good:
    """Answers 200 (or what `status` says for a path) and keeps (path, headers, body, time)."""

    def __init__(self, host="0.0.0.0", status=None, answer=b""):
        self.lock, self.got = threading.Lock(), []
        self.status = status or (lambda path, times: 200)
        self.answer = answer
        self.more = ""
        self.socket = socket.create_server((host, 0), backlog=1024)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, path="/", host="127.0.0.1"):
        return "http://%s:%d%s" % (host, self.port, path)

    def _accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, connection.makefile("rb") as stream:
            try:
                while self._one(connection, stream):
                    pass
            except OSError:
                pass

    def _one(self, connection, stream):
        line = stream.readline().split()
        if not line:
            return False
        path, headers = line[1].decode(), {}
        for field in iter(stream.readline, b"\r\n"):
            name, _, value = field.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        body = stream.read(int(headers.get("content-length", 0)))
        with self.lock:
            self.got.append((path, headers, body, time.time()))
            times = sum(1 for at, _, _, _ in self.got if at == path)
        connection.sendall(b"HTTP/1.1 %d x\r\n%sContent-Length: %d\r\n\r\n%s" %
                           (self.status(path, times), self.more.encode(), len(self.answer), self.answer))
        return True

    def sent_to(self, path):
        with self.lock:
            return [entry for entry in self.got if entry[0] == path]

    def close(self):
        self.socket.close()


class Dead:
    """Refuses, is silent, says a byte a second, never ends, speaks no TLS."""

    KINDS = ("refusing", "silent", "dripping", "endless", "bad_tls")

    def __init__(self):
        self.sockets = {kind: socket.socket() for kind in self.KINDS}
        for kind, listener in self.sockets.items():
            listener.bind(("0.0.0.0", 0))
            if kind != "refusing":
                listener.listen(4096)
            if kind in ("dripping", "endless", "bad_tls"):
                threading.Thread(target=self._accept, args=(kind, listener), daemon=True).start()

    def url(self, number):
        kind = self.KINDS[number % len(self.KINDS)]
        return "%s://127.1.%d.%d:%d/x" % ("https" if kind == "bad_tls" else "http", number // 250, number % 250 + 1,
                                          self.sockets[kind].getsockname()[1])

    def _accept(self, kind, listener):
        open_ones, began = [], time.monotonic()
        listener.settimeout(0.2)
        while True:
            try:
                connection, _ = listener.accept()
                connection.setblocking(False)
                open_ones.append(connection)
                if kind == "bad_tls":
                    connection.send(b"this is no TLS at all\r\n")
                else:
                    connection.send(b"HTTP/1.1 500 x\r\nTransfer-Encoding: chunked\r\n\r\n")
            except TimeoutError:
                pass
            except OSError:
                return
            if kind == "endless" or time.monotonic() - began > 1:
                began = time.monotonic()
                open_ones = [c for c in open_ones if self._say(kind, c)]

    @staticmethod
    def _say(kind, connection):
        try:
            connection.send(b"1\r\nx\r\n" if kind == "dripping" else b"1000\r\n" + b"x" * 4096 + b"\r\n")
        except BlockingIOError:
            pass
        except OSError:
            connection.close()
            return False
        return True

    def close(self):
        for listener in self.sockets.values():
            listener.close()
