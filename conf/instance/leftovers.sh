# shellcheck shell=bash
# What an instance that was killed leaves behind, and how it is found.
#
# Its processes are those that have its private mount /run/stoker-<hash>/var: nobody else can, so
# no stale pid is ever trusted. Monitors live in namespaces copied from it and have it too.

# Prints "PID NAME" for each process of ours in the instance's mounts; the keeper's are not.
instance_processes() {
	local pid name

	grep -lsF " $home " /proc/[0-9]*/mountinfo | while IFS=/ read -r _ _ pid _; do
		name=$(cat "/proc/$pid/comm" 2>/dev/null) || continue
		case $name in
			mariadbd | nginx | stoker-*) printf '%s %s\n' "$pid" "$name" ;;
		esac
	done
}

has_processes() { # NAME...
	local pid name

	while read -r pid name; do
		[[ " $* " == *" $name "* ]] && return 0
	done < <(instance_processes)
	return 1
}

signal_processes() { # SIGNAL NAME...
	local signal=$1 pid name

	shift
	while read -r pid name; do
		[[ " $* " == *" $name "* ]] && kill -"$signal" "$pid" 2>/dev/null
	done < <(instance_processes)
}

# Names are cut by the kernel at 15 bytes: stoker-schedule is none, but stoker-launcher just fits.
OURS=(nginx stoker-api stoker-tail stoker-worker stoker-launcher mariadbd)

# Ends what an earlier keeper left running. Jobs and their monitors are spared: the next runner
# adopts them. The database is asked first, so that it has not to recover.
sweep_roles() {
	local until=$((SECONDS + 20))

	has_processes "${OURS[@]}" || return 1
	signal_processes KILL nginx stoker-api stoker-tail stoker-worker stoker-launcher
	signal_processes TERM mariadbd
	signal_processes CONT mariadbd
	while has_processes "${OURS[@]}"; do
		((SECONDS < until)) || signal_processes KILL "${OURS[@]}"
		sleep 0.05
	done
}

node_cgroups() {
	find /sys/fs/cgroup -depth -type d \( -name "stoker-$hash" -o -path "*/stoker-$hash/*" \) 2>/dev/null
}

# Kills every process in the node's cgroup and in the monitors, then removes the cgroup.
sweep_jobs() {
	local folder try

	signal_processes KILL stoker-monitor
	for ((try = 0; try < 100; try++)); do
		while read -r folder; do
			xargs -r kill -KILL <"$folder/cgroup.procs"
			rmdir "$folder"
		done < <(node_cgroups) 2>/dev/null
		[[ -z $(node_cgroups) ]] && return
		sleep 0.05
	done
}

# For `down` without a keeper: nothing may be left. False if there was nothing.
sweep_all() {
	local found=1

	sweep_roles && found=0
	[[ -e $run || -n $(node_cgroups) ]] && found=0
	has_processes stoker-monitor && found=0
	sweep_jobs
	rm -rf -- "$run"
	return $found
}
