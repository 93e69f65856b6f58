"""Images made by hand and a registry of our own, for tests: nothing is fetched from elsewhere."""
import hashlib
import http.client
import http.server
import io
import json
import os
import socket
import subprocess
import tarfile
import threading

import harness

OCI = "application/vnd.oci.image."


def layer(entries):
    """A tar: {path: bytes, None for a folder, ("link", target)}, or {path: (content, {field: value})}."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path, content in entries.items():
            fields = {}
            if isinstance(content, tuple) and isinstance(content[1], dict):
                content, fields = content
            entry = tarfile.TarInfo(path)
            entry.mode = 0o755
            if content is None:
                entry.type = tarfile.DIRTYPE
            elif isinstance(content, tuple):
                entry.type, entry.linkname = tarfile.SYMTYPE, content[1]
            else:
                entry.size = len(content)
            for name, value in fields.items():
                setattr(entry, name, value)
            tar.addfile(entry, io.BytesIO(content) if isinstance(content, bytes) else None)
    return out.getvalue()


def busybox(*applets):
    with open("/bin/busybox", "rb") as file:
        entries = {"bin": None, "bin/busybox": file.read(), "tmp": (None, {"mode": 0o1777})}
    entries.update({"bin/" + name: ("link", "busybox") for name in applets})
    return entries


class Layout:
    """An OCI layout in a folder, with one image for each tag."""

    def __init__(self, folder):
        self.folder, self.manifests = folder, []
        os.makedirs(os.path.join(folder, "blobs", "sha256"))
        with open(os.path.join(folder, "oci-layout"), "w") as file:
            file.write('{"imageLayoutVersion":"1.0.0"}')

    def blob(self, data, kind):
        digest = hashlib.sha256(data).hexdigest()
        with open(os.path.join(self.folder, "blobs", "sha256", digest), "wb") as file:
            file.write(data)
        return {"mediaType": OCI + kind, "digest": "sha256:" + digest, "size": len(data)}

    def add(self, tag, layers, **config):
        """The digest of the new image's manifest."""
        blobs = [self.blob(data, "layer.v1.tar") for data in layers]
        whole = {"architecture": "amd64", "os": "linux", "config": config,
                 "rootfs": {"type": "layers", "diff_ids": [blob["digest"] for blob in blobs]}}
        manifest = {"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json", "layers": blobs,
                    "config": self.blob(json.dumps(whole).encode(), "config.v1+json")}
        entry = self.blob(json.dumps(manifest).encode(), "manifest.v1+json")
        self.manifests.append(dict(entry, annotations={"org.opencontainers.image.ref.name": tag}))
        with open(os.path.join(self.folder, "index.json"), "w") as file:
            json.dump({"schemaVersion": 2, "manifests": self.manifests}, file)
        return entry["digest"]


def skopeo(*arguments):
    done = subprocess.run(["skopeo", "--insecure-policy", *arguments], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    if done.returncode != 0:
        raise AssertionError("skopeo %s: %s" % (" ".join(arguments), done.stdout))
    return done.stdout


class Registry:
    """docker-registry on a free port of the loopback; `more` is added to its configuration."""

    def __init__(self, folder, more=None):
        os.makedirs(folder, exist_ok=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.host = "127.0.0.1:%d" % free.getsockname()[1]
        config = {"version": 0.1, "log": {"accesslog": {"disabled": True}, "level": "error"},
                  "storage": {"filesystem": {"rootdirectory": folder}}, "http": {"addr": self.host}}
        for key, value in (more or {}).items():
            config[key] = dict(config.get(key, {}), **value)
        path = os.path.join(folder, "config.yml")
        with open(path, "w") as file:
            json.dump(config, file)  # which is YAML too
        self.process = subprocess.Popen(["docker-registry", "serve", path], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        harness.wait_for(self.answers, 20, "the registry to listen")

    def answers(self):
        host, port = self.host.split(":")
        try:
            socket.create_connection((host, int(port)), 1).close()
        except OSError:
            return False
        return True

    def close(self):
        self.process.terminate()
        self.process.wait()


class Front(http.server.ThreadingHTTPServer):
    """Stands before a registry, and has its moods: `moods` maps a part of a path to a function of the
    handler and the answer's body, which returns the body, or None when it has answered itself."""

    daemon_threads = True

    def __init__(self, registry):
        super().__init__(("127.0.0.1", 0), FrontHandler)
        self.registry, self.moods, self.seen = registry.host, {}, []
        self.host = "127.0.0.1:%d" % self.server_port
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()


class FrontHandler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        self.server.seen.append(self.path)
        asked = http.client.HTTPConnection(self.server.registry, timeout=30)
        asked.putrequest(self.command, self.path)
        for name, value in self.headers.items():  # Accept comes several times
            if name.lower() not in ("host", "accept-encoding"):
                asked.putheader(name, value)
        asked.endheaders()
        reply = asked.getresponse()
        body = reply.read()
        for part, mood in list(self.server.moods.items()):
            if part in self.path and body is not None:
                body = mood(self, body)
        if body is None:
            return
        self.send_response(reply.status)
        for name, value in reply.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "date"):
                self.send_header(name, value)
        self.send_header("Content-Length", reply.getheader("Content-Length", str(len(body)))
                         if self.command == "HEAD" else str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = answer

    def log_message(self, *_):
        pass


def refuse(status, words):
    """A mood: an error of the registry."""
    def mood(handler, _body):
        handler.send_response(status)
        text = json.dumps({"errors": [{"code": "TOOMANYREQUESTS" if status == 429 else "UNKNOWN", "message": words}]}).encode()
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)
    return mood
