#!/usr/bin/env python3
"""A door before the database that cuts.  proxy.py LISTEN TARGET, LISTEN a unix socket or ADDRESS:PORT, then words
on its standard input:

    pass          connect whoever comes (as at the start)
    cut           end all connections now
    swallow       take what clients say to the server, but no answer back; then end all connections
    refuse        end all connections and refuse new ones
    hang          keep connections, pass nothing on

It answers each word with a line and ends with its input."""
import os
import selectors
import socket
import sys

PIECE = 65536


class Proxy:
    def __init__(self, listen, target):
        self.target, self.listen = target, listen
        self.peer = {}  # socket: (the other one, is it the server's)
        self.waiting = {}  # socket: bytes that it does not take yet
        self.hangs = False
        self.swallows = False
        self.door = None
        self.select = selectors.DefaultSelector()
        self.open_door()

    def open_door(self):
        if self.door:
            return
        self.forget()
        if self.is_unix():
            self.door = socket.socket(socket.AF_UNIX)
            self.door.bind(self.listen)
            os.chmod(self.listen, 0o666)
        else:
            address, port = self.listen.rsplit(":", 1)
            self.door = socket.create_server((address, int(port)))
        self.door.listen(256)
        self.door.setblocking(False)
        self.select.register(self.door, selectors.EVENT_READ)

    def close_door(self):
        if not self.door:
            return
        self.select.unregister(self.door)
        self.door.close()
        self.forget()
        self.door = None

    def is_unix(self):
        return "/" in self.listen

    def forget(self):
        if self.is_unix() and os.path.exists(self.listen):
            os.unlink(self.listen)

    def accept(self):
        try:
            client, _ = self.door.accept()
        except OSError:
            return
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(self.target)
        except OSError:
            client.close()
            server.close()
            return
        for one, other, is_server in ((client, server, False), (server, client, True)):
            one.setblocking(False)
            self.peer[one] = (other, is_server)
            self.select.register(one, selectors.EVENT_READ)

    def drop(self, one):
        other = self.peer.pop(one, (None, None))[0]
        if other is None:
            return
        self.peer.pop(other, None)
        for end in (one, other):
            self.waiting.pop(end, None)
            if end in self.select.get_map():
                self.select.unregister(end)
            end.close()

    def drop_all(self):
        for one in list(self.peer):
            self.drop(one)

    def watch(self, one):
        """Reads while its peer takes what it says; writes while it has something waiting."""
        other = self.peer[one][0]
        mask = (0 if self.hangs or self.waiting.get(other) else selectors.EVENT_READ) | \
            (selectors.EVENT_WRITE if self.waiting.get(one) else 0)
        known = self.select.get_map().get(one) if one.fileno() >= 0 else None
        if known and not mask:
            self.select.unregister(one)
        elif known and known.events != mask:
            self.select.modify(one, mask)
        elif not known and mask:
            self.select.register(one, mask)

    def send(self, one):
        data = self.waiting.pop(one, b"")
        try:
            sent = one.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.drop(one)
            return
        if sent < len(data):
            self.waiting[one] = data[sent:]
        self.watch(one)
        self.watch(self.peer[one][0])

    def move(self, one):
        other, is_server = self.peer[one]
        try:
            data = one.recv(PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.drop(one)
            return
        if self.swallows and is_server:
            return
        self.waiting[other] = self.waiting.get(other, b"") + data
        self.send(other)

    def obey(self, word):
        self.hangs = word == "hang"
        self.swallows = word == "swallow"
        if word == "refuse":
            self.close_door()
        else:
            self.open_door()
        if word in ("cut", "refuse"):
            self.drop_all()
        for one in list(self.peer):
            if one in self.peer:
                self.watch(one)
        print(word, flush=True)

    def serve(self):
        words = b""
        self.select.register(sys.stdin, selectors.EVENT_READ)
        print("ready", flush=True)
        while True:
            for key, events in self.select.select():
                if key.fileobj is sys.stdin:
                    more = os.read(0, PIECE)
                    if not more:
                        return
                    words += more
                    while b"\n" in words:
                        word, _, words = words.partition(b"\n")
                        self.obey(word.decode())
                elif key.fileobj is self.door:
                    self.accept()
                else:
                    if events & selectors.EVENT_WRITE and key.fileobj in self.peer:
                        self.send(key.fileobj)
                    if events & selectors.EVENT_READ and key.fileobj in self.peer:
                        self.move(key.fileobj)


if __name__ == "__main__":
    proxy = Proxy(sys.argv[1], sys.argv[2])
    try:
        proxy.serve()
    finally:
        proxy.close_door()
