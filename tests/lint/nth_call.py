#!/usr/bin/env python3
"""Names each function of lib/store that changes something by more than one statement and has no row in the table of
tests/store/test_nth_call.c. What is only ever called inside lib/store is a part of those functions."""
import glob
import re

CALL = re.compile(r"\b([a-z_]\w*)(?=\()")
FUNCTION = re.compile(r"^((?:static |const |inline )*[a-z_]+ (?:[a-z_]+ )?\**)(\w+)\([^;{]*?\)\n\{\n(.*?)^\}", re.S | re.M)


# Not to be tried so: why
EXEMPT = {"log_store_partitions": "each ALTER TABLE commits by itself"}


def read(path):
    with open(path) as file:
        return file.read()


def functions():
    """{(file, name): body}, {public name: key}; without the floor's own ground."""
    bodies, public = {}, {}
    for path in sorted(glob.glob("lib/store/*.c")):
        if path.endswith(("/db.c", "/txn.c")):
            continue
        for found in FUNCTION.finditer(read(path)):
            bodies[path, found[2]] = found[3]
            if "static" not in found[1]:
                public[found[2]] = (path, found[2])
    return bodies, public


def changes(key, bodies, public, above=()):
    """How many statements that change something it can send; a transaction counts as two."""
    body = bodies[key]
    n = len(re.findall(r"\bdb_exec(?:_array)?\(", body)) + 2 * len(re.findall(r"\btxn_run\(", body))
    for name in set(CALL.findall(body)) | {word for word in re.findall(r"\w+_work\b", body)}:
        below = (key[0], name) if (key[0], name) in bodies else public.get(name)
        if below and below != key and below not in above:
            n += changes(below, bodies, public, above + (key,))
    return n


def main():
    bodies, public = functions()
    outside = "".join(read(path) for top in ("fcgi", "worker", "cli", "tests/store")
                      for path in glob.glob(top + "/**/*.c", recursive=True))
    called = set(CALL.findall(outside))
    tried = set(re.findall(r'^\t\{ "(\w+)", ', read("tests/store/test_nth_call.c"), re.M))
    for name, key in sorted(public.items()):
        if name in called and name not in tried and name not in EXEMPT and not name.startswith("schema_store_") and changes(key, bodies, public) > 1:
            print("%s: %s" % key)
    for name in sorted(tried - set(public)):
        print("tests/store/test_nth_call.c: there is no %s" % name)


if __name__ == "__main__":
    main()
