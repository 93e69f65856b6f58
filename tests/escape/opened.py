"""A container that is opened on purpose, so that hostile jobs are known to be able to succeed: the
host's processes, network, ids and every capability, nothing masked, nothing limited; the node's
folder and the cgroups are there, a descriptor leads out of it. Only its mounts and host name are its
own, so that nothing it does stays."""
import json
import os
import shutil
import subprocess

CAPABILITIES = (
    "chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable net_bind_service "
    "net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct "
    "sys_admin sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap "
    "mac_override mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore").split()


def host_capabilities():
    """Names of those that this process has, lower case without cap_."""
    with open("/proc/self/status") as status:
        bits = next(int(line.split()[1], 16) for line in status if line.startswith("CapEff:"))
    return {name for number, name in enumerate(CAPABILITIES) if bits >> number & 1}


def mount(where, what, kind="bind", options=("rbind", "rw")):
    return {"destination": where, "source": what, "type": kind, "options": list(options)}


def spec(arguments, env, binds):
    caps = ["CAP_" + cap.upper() for cap in sorted(host_capabilities())]
    return {
        "ociVersion": "1.0.2",
        "process": {"user": {"uid": 0, "gid": 0}, "args": arguments, "env": ["%s=%s" % item for item in env.items()],
                    "cwd": "/", "noNewPrivileges": False,
                    "capabilities": {which: caps for which in ("bounding", "effective", "permitted")},
                    # a core as small as can be shows that one is written
                    "rlimits": [{"type": "RLIMIT_CORE", "soft": 4096, "hard": 4096}]},
        "root": {"path": "rootfs", "readonly": False},
        "hostname": "opened",
        "mounts": [mount("/proc", "proc", "proc", ()), mount("/sys", "/sys"),
                   mount("/dev", "tmpfs", "tmpfs", ("mode=755", "tmpcopyup")),
                   mount("/dev/shm", "tmpfs", "tmpfs", ("mode=1777",))] + [mount(path, path) for path in binds],
        "linux": {"devices": [{"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11}],
                  "namespaces": [{"type": "mount"}, {"type": "uts"}],
                  "cgroupsPath": "/stoker-escape-%d" % os.getpid(),
                  "resources": {"devices": [{"allow": True, "access": "rwm"}],
                                "cpu": {"realtimeRuntime": 1000, "realtimePeriod": 1000000}}},
    }


def run(folder, rootfs, arguments, env, binds):
    """The output of `arguments` in an opened container of a copy of `rootfs`."""
    bundle = os.path.join(folder, "opened")
    shutil.copytree(rootfs, os.path.join(bundle, "rootfs"), symlinks=True)
    for name in ("host-was-here", "dev/.stoker-init"):
        with open(os.path.join(bundle, "rootfs", name), "w"):
            pass
    with open(os.path.join(bundle, "config.json"), "w") as file:
        json.dump(spec(arguments, env, binds), file)
    leak = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    try:
        # the descriptor that leaks is 3; an own mount namespace takes back whatever the runtime mounts
        done = subprocess.run(["unshare", "-m", "sh", "-c", 'exec runc --root "$1/state" run --preserve-fds 1 '
                               '--bundle "$1" "$2" 3<&%d' % leak, "sh", bundle, "escape-%d" % os.getpid()],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              pass_fds=[leak], timeout=120)
    finally:
        os.close(leak)
    if done.returncode != 0:
        raise AssertionError("the opened container did not run: " + done.stderr + done.stdout[-400:])
    return done.stdout
