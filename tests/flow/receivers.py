"""Receivers of callbacks and logs for flow tests: a good one that keeps what it is sent, and dead ones of every
kind. A listener answers at each loopback address, so that 127.1.0.1, 127.1.0.2 … are as many receivers."""
import json
import os
import socket
import subprocess
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


class Rsyslog:
    """A real rsyslogd with a configuration of its own: UDP, TCP and TLS, what came as JSON in a file."""

    CONF = """
global(workDirectory="%(folder)s" parser.escapeControlCharactersOnReceive="off" maxMessageSize="8k"
    defaultNetstreamDriverCAFile="%(folder)s/ca.crt" defaultNetstreamDriverCertFile="%(folder)s/server.crt"
    defaultNetstreamDriverKeyFile="%(folder)s/server.key")
module(load="imudp")
module(load="imtcp")
input(type="imudp" address="127.0.0.1" port="%(udp)d")
input(type="imtcp" address="127.0.0.1" port="%(tcp)d")
input(type="imtcp" address="127.0.0.1" port="%(tls)d" streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="anon")
template(name="all" type="string" string="%%jsonmesg%%\\n")
action(type="omfile" file="%(folder)s/out" template="all")
"""

    def __init__(self, folder):
        self.folder, self.process = folder, None
        self._certificates()
        self.ports = {}
        held = [socket.socket(type=kind) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM, socket.SOCK_STREAM)]
        for name, one in zip(("udp", "tcp", "tls"), held):
            one.bind(("127.0.0.1", 0))
            self.ports[name] = one.getsockname()[1]
        for one in held:
            one.close()
        with open(folder + "/rsyslog.conf", "w", encoding="utf-8") as file:
            file.write(self.CONF % dict(self.ports, folder=folder))
        self.start()

    def _openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], check=True, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _certificates(self):
        new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
        for name in ("ca", "other"):
            self._openssl(*new, "-x509", "-subj", "/CN=" + name, "-keyout", name + ".key", "-out", name + ".crt")
        self._openssl(*new, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", "server.key", "-out", "server.csr")
        self._openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-days", "2", "-copy_extensions", "copy",
                      "-out", "server.crt")

    def start(self):
        self.process = subprocess.Popen(["rsyslogd", "-n", "-iNONE", "-f", self.folder + "/rsyslog.conf"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 20
        for name in ("tcp", "tls"):
            while True:
                try:
                    socket.create_connection(("127.0.0.1", self.ports[name]), 5).close()
                    break
                except OSError:
                    if time.monotonic() > until:
                        raise
                    time.sleep(0.05)

    def address(self, kind, host="127.0.0.1"):
        return "%s://%s:%d" % (kind, host, self.ports[kind])

    def file(self, name):
        with open(os.path.join(self.folder, name), encoding="utf-8", errors="surrogateescape") as file:
            return file.read()

    def got(self):
        """What has come, as dictionaries; a line that is being written is left out."""
        try:
            lines = self.file("out").split("\n")[:-1]
        except OSError:
            return []
        return [json.loads(line) for line in lines]

    def kill(self):
        self.process.kill()
        self.process.wait()

    def signal(self, number):
        self.process.send_signal(number)
