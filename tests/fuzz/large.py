#!/usr/bin/env python3
"""large.py TARGET FOLDER: puts seeds into the folder that are larger than the windows through which the target's parser
reads (64 KiB), and than what lies in tests/fuzz/corpus; none for a parser of short texts. libFuzzer goes on from them."""
import io
import json
import os
import random
import sys
import zipfile

SIZE = 100000
dice = random.Random(1)


def multipart():
    """Files full of what looks like the end of one, which stands across the window's end too."""
    for name, end, filling in (("crlf", b"\r\n", b"x" * 61), ("lf", b"\n", b"\r\n--fuz"), ("binary", b"\r\n", dice.randbytes(997))):
        file = (filling + end + b"--7712") * (SIZE // (len(filling) + 8))
        yield name, end.join([b"--77120", b'Content-Disposition: form-data; name="data"', b"", b'{"name":"x"}', b"--77120",
                              b'Content-Disposition: form-data; name="file"; filename="x.zip"', b"", file, b"--77120--", b""])


def of_json():
    tasks = [{"code_name": "x", "payload": "\u00e9\\\"\n" * 600} for _ in range(12)]
    yield "tasks", json.dumps({"tasks": tasks}).encode()
    yield "latin1", json.dumps({"tasks": tasks}, ensure_ascii=False).encode("latin-1")
    yield "one", json.dumps({"name": "x", "image": "busybox", "command": "\t" * (SIZE // 2)}).encode()


def of_zip():
    text = bytes(range(256)) * 16
    for name, entries in (("stored", {"a": (dice.randbytes(SIZE), zipfile.ZIP_STORED)}),
                          ("deflated", {"a": (text * 50, zipfile.ZIP_DEFLATED), "b": (dice.randbytes(SIZE // 2), zipfile.ZIP_DEFLATED)}),
                          ("many", {"folder/%s/%d" % ("n" * 90, i): (b"", zipfile.ZIP_STORED) for i in range(300)})):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as file:
            for path, (content, method) in entries.items():
                file.writestr(zipfile.ZipInfo(path), content, method)
        yield name, out.getvalue()


SEEDS = {"multipart": multipart, "json": of_json, "zip": of_zip, "unzip": of_zip}

target, folder = sys.argv[1:]
for seed, data in SEEDS[target]() if target in SEEDS else ():
    with open(os.path.join(folder, "large-" + seed), "wb") as out_file:
        out_file.write(data)
