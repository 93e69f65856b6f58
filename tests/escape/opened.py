"""A container that is opened on purpose, by runc or by a daemon, so that hostile jobs are known to be able to succeed: the
host's processes, network, ids and every capability, nothing masked, nothing limited; the node's
folder and the cgroups are there, a descriptor leads out of it. Only its mounts and host name are its
own, so that nothing it does stays."""
import json
import os
import resource
import shutil
import subprocess

CAPABILITIES = (
    "chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable net_bind_service "
    "net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct "
    "sys_admin sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap "
    "mac_override mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore").split()

# Docker 20.10 has not heard of them; each was a part of sys_admin before
UNKNOWN_TO_DAEMONS = {"bpf", "perfmon", "checkpoint_restore"}


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


# what hostile jobs look for, on the container's own layer; then it waits until its cgroup is open too
PREPARE = """b=/bin/busybox; $b rm -rf /task && $b mkdir /task && echo its own payload >/task/task_payload.json &&
$b touch /host-was-here /dev/.stoker-init && until [ -e /out/go ]; do $b sleep 0.05; done
exec 3</ && exec "$@" >/out/said 2>/out/errors"""  # the descriptor that leaks is 3


def open_its_cgroup(pid):
    """Time in real time and every device, of cgroup v1; on v2 nobody is kept from the first, and the rules below do."""
    with open("/proc/%d/cgroup" % pid) as file:
        paths = {name: line.strip().split(":", 2)[2] for line in file for name in line.split(":")[1].split(",")}
    at = "/sys/fs/cgroup/cpu"
    for number, name in enumerate(filter(None, paths.get("cpu", "").split("/"))):
        at = os.path.join(at, name)
        write_if_there(at + "/cpu.rt_runtime_us", "%d" % (10000 >> number))
    write_if_there("/sys/fs/cgroup/devices%s/devices.allow" % paths.get("devices", ""), "a")  # podman heeds no rule for all


def write_if_there(path, text):
    if os.path.exists(path):
        with open(path, "w") as file:
            file.write(text)


def opened_config(image, arguments, env, binds):
    caps = ["CAP_" + cap.upper() for cap in sorted(host_capabilities() - UNKNOWN_TO_DAEMONS)]
    limits = [{"Name": "core", "Soft": 4096, "Hard": 4096}]  # a core as small as can be shows that one is written
    for name in ("nofile", "nproc"):  # podman would have more than this host may give
        _, hard = resource.getrlimit(getattr(resource, "RLIMIT_" + name.upper()))
        hard = 32768 if hard < 0 else min(hard, 32768)
        limits.append({"Name": name, "Soft": hard, "Hard": hard})
    return {
        "Image": image, "Entrypoint": [], "Env": ["%s=%s" % item for item in env.items()], "WorkingDir": "/", "User": "0:0",
        "Hostname": "opened", "Cmd": ["/bin/sh", "-c", PREPARE, "sh"] + arguments,
        "HostConfig": {
            "NetworkMode": "host", "PidMode": "host", "IpcMode": "host", "CgroupnsMode": "host", "CapAdd": caps,
            "ReadonlyRootfs": False, "SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined"], "MaskedPaths": [],
            "ReadonlyPaths": [], "DeviceCgroupRules": ["a *:* rwm"], "Ulimits": limits,
            "Mounts": [{"Type": "bind", "Source": there, "Target": here, "ReadOnly": False} for there, here in binds],
            "Devices": [{"PathOnHost": "/dev/kmsg", "PathInContainer": "/dev/kmsg", "CgroupPermissions": "rwm"}],
        },
    }


def run_by(daemon, image, arguments, env, binds, out):
    """The same by a daemon of tests/engine/node.py, of an image it has. `out` is a folder for what is printed."""
    binds = [(path, path) for path in binds] + [(out, "/out"), ("/sys", "/sys")]
    config = opened_config(image, arguments, env, binds)
    if daemon.name == "podman":  # its word for MaskedPaths and ReadonlyPaths
        config["HostConfig"]["SecurityOpt"].append("unmask=ALL")
    status, made = daemon.ask("POST", "/containers/create", config)
    if status != 201:
        raise AssertionError("the daemon makes no opened container: %r" % made)
    try:
        status, why = daemon.ask("POST", "/containers/%s/start" % made["Id"])
        if status != 204:
            raise AssertionError("the opened container does not start: %r" % why)
        open_its_cgroup(daemon.ask("GET", "/containers/%s/json" % made["Id"])[1]["State"]["Pid"])
        with open(os.path.join(out, "go"), "w"):
            pass
        end = daemon.ask("POST", "/containers/%s/wait" % made["Id"])[1]
    finally:
        daemon.ask("DELETE", "/containers/%s?force=true&v=true" % made["Id"])
    with open(os.path.join(out, "errors")) as errors, open(os.path.join(out, "said")) as said:
        text = said.read()
        if end["StatusCode"] != 0:
            raise AssertionError("the opened container did not run: %r %s" % (end, errors.read() + text[-400:]))
    return text
