"""Clocks that tests turn: a program that runs under one of them takes its wall clock from there (libfaketime). Its
monotonic clocks stay as they are, and so does everybody else's time.

    clock = clocks.Clock(folder)
    Instance(env=clock.as_database())      # the database's own clock: what NOW(6) says
    subprocess.Popen(clock.command(words)) # a host's clock: that of one program
    clock.turn(-3600)
"""
import os
import sysconfig

LIBRARY = "/usr/lib/%s/faketime/libfaketimeMT.so.1" % sysconfig.get_config_var("MULTIARCH")
SEEN_S = 1  # whole seconds; so long after a turn everybody has seen it


class Clock:
    def __init__(self, folder, offset=0):
        os.makedirs(folder, exist_ok=True)
        os.chmod(folder, 0o755)
        self.folder, self.file = folder, os.path.join(folder, "offset")
        self.turn(offset)

    def turn(self, offset):
        """So many seconds ahead of the machine's clock, from at most SEEN_S seconds from now on."""
        self.offset = offset
        with open(self.file + ".new", "w") as file:
            file.write("%+d\n" % offset)
        os.chmod(self.file + ".new", 0o644)
        os.rename(self.file + ".new", self.file)

    def settings(self):
        return ["LD_PRELOAD=" + LIBRARY, "FAKETIME_TIMESTAMP_FILE=" + self.file, "FAKETIME_CACHE_DURATION=%d" % SEEN_S,
                "FAKETIME_DONT_FAKE_MONOTONIC=1",
                # a build with ASan wants to be loaded first; make check-asan runs schedulers under these clocks, too
                "ASAN_OPTIONS=" + ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0"]))]

    def command(self, words):
        return ["env", *self.settings(), *words]

    def as_database(self):
        """For the environment of an instance: its mariadbd runs under this clock."""
        program = os.path.join(self.folder, "mariadbd")
        with open(program, "w") as file:
            file.write("#!/bin/sh\nexec env %s /usr/sbin/mariadbd \"$@\"\n" % " ".join(self.settings()))
        os.chmod(program, 0o755)
        return {"PATH": self.folder + ":" + os.environ["PATH"]}
