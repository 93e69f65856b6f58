#!/usr/bin/env bash
# A private Stoker on this machine: MariaDB, nginx, stoker-api and stoker-worker with its roles.
#
#   conf/instance.sh run      in the foreground, until Ctrl-C
#   conf/instance.sh up       the same in the background; returns when it is ready
#   conf/instance.sh down     stops it, jobs with their grace
#   conf/instance.sh status   what runs; exit status 3 when nothing does
#
# From the environment: VAR (data, default ./var), PORT (default 8080; 0: any free one), O (the
# build folder), STOKER_UID (who runs what needs no root, default 63210), STOKER_DEMO (image: no demo
# code and task; no: no image either), STOKER_THROWAWAY (a process: when it ends, the instance ends
# and VAR is removed), and STOKER_<SECTION>_<KEY> for any key of the configuration.
#
# Everything runs in a mount namespace of its own, where VAR is also /run/stoker-<hash of its
# path>/var: paths stay short, closed folders above VAR do not matter, and no mount is ever seen
# outside. On the host there are only VAR, the run folder and the node's cgroup; the last two go.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
top=${here%/*}
VAR=$(realpath -m -- "${VAR:-$top/var}")
PORT=${PORT:-8080}
O=${O:-build}
[[ $O == /* ]] || O=$top/$O
uid=${STOKER_UID:-63210}
hash=$(printf %s "$VAR" | sha256sum)
hash=${hash:0:8}
run=/run/stoker-$hash
home=$run/var # VAR as the instance's own processes see it
export VAR PORT O

# shellcheck source=conf/instance/process.sh
. "$here/instance/process.sh"
# shellcheck source=conf/instance/leftovers.sh
. "$here/instance/leftovers.sh"
# shellcheck source=conf/instance/settings.sh
. "$here/instance/settings.sh"
# shellcheck source=conf/instance/keeper.sh
. "$here/instance/keeper.sh"
# shellcheck source=conf/instance/demo.sh
. "$here/instance/demo.sh"

say() {
	printf '%s\n' "$*"
}

complain() {
	printf 'stoker: %s\n' "$*" >&2
}

need_root() {
	((EUID == 0)) && return
	complain "$1 needs root (containers, and user ids of its own): try it with sudo"
	exit 1
}

# The lock is the instance: whoever holds it may start, stop and clean up. Sets $lock.
take_lock() {
	if ! mkdir -p -- "$VAR" || ! exec {lock}>>"$VAR/lock"; then
		complain "cannot write to $VAR"
		exit 1
	fi
	flock -n "$lock" && return
	complain "an instance already runs on $VAR: $(conf_line), stop it with make down"
	exit 1
}

conf_line() {
	local port

	if port=$(cat "$run/port" 2>/dev/null); then
		printf 'http://127.0.0.1:%s' "$port"
	else
		printf 'it is starting or stopping'
	fi
}

check_machine() {
	local program free

	for program in mariadbd mariadb-install-db nginx setpriv unshare flock ss curl busybox; do
		command -v "$program" >/dev/null && continue
		complain "the program $program is missing: run make deps"
		exit 1
	done
	for program in stoker stoker-api stoker-worker stoker-launcher stoker-monitor stoker-init; do
		[[ -x $O/bin/$program ]] && continue
		complain "$O/bin/$program is missing: run make"
		exit 1
	done
	free=$(df --output=avail -m -- "$VAR" | tail -n 1)
	((free >= ${STOKER_FREE_MB:-300})) && return
	complain "only ${free# } MB are free for $VAR, a database and its logs need ${STOKER_FREE_MB:-300}"
	exit 1
}

enter() {
	need_root "starting an instance"
	take_lock
	check_machine
	# the new shell inherits the descriptor: the lock has no gap
	STOKER_LOCK=$lock exec unshare --mount --propagation slave -- "$BASH" "$here/instance.sh" keep
}

command_up() {
	local out keeper

	need_root "starting an instance"
	mkdir -p -- "$VAR/log" || exit 1
	out=$VAR/log/instance.log
	: >"$out"
	setsid "$here/instance.sh" run >"$out" 2>&1 </dev/null &
	keeper=$!
	trap 'kill -TERM $keeper; wait $keeper; exit 130' INT TERM
	while kill -0 "$keeper" 2>/dev/null; do
		# in this order: the new keeper removes an old ready before it writes its pid
		[[ $(cat "$run/pid/keeper" 2>/dev/null) == "$keeper "* && -e $run/ready ]] && break
		sleep 0.05
	done
	cat -- "$out"
	kill -0 "$keeper" 2>/dev/null && return
	wait "$keeper"
	exit 1
}

command_down() {
	local pid

	need_root "stopping an instance"
	if [[ ! -e $VAR/lock ]] || flock -n "$VAR/lock" true; then
		take_lock
		sweep_all && say "leftovers of a killed instance are gone"
		say "nothing runs on $VAR"
		return
	fi
	read -r pid _ <"$run/pid/keeper" 2>/dev/null || pid=
	if [[ -z $pid ]] || ! kill -TERM "$pid"; then
		complain "$VAR is locked, but by no instance that could be stopped: fuser $VAR/lock tells by whom"
		exit 1
	fi
	if ! flock -w 120 "$VAR/lock" true; then
		complain "the instance on $VAR did not stop within 120 s: see $VAR/log/instance.log"
		exit 1
	fi
	say "stopped"
}

command_status() {
	local role pid start

	if [[ ! -e $VAR/lock ]] || flock -n "$VAR/lock" true; then
		say "nothing runs on $VAR"
		exit 3
	fi
	for role in keeper "${ROLES[@]}"; do
		if read -r pid start <"$run/pid/$role" && same_process "$pid" "$start"; then
			printf '%-10s pid %s\n' "$role" "$pid"
		else
			printf '%-10s down\n' "$role"
		fi
	done 2>/dev/null
	say "$(conf_line)/ui"
	if curl -fsS -m 5 -o /dev/null "$(conf_line)/readyz" 2>/dev/null; then
		say "ready"
	else
		say "not ready"
		exit 1
	fi
}

case ${1:-} in
	run) enter ;;
	keep) keep ;;
	up) command_up ;;
	down) command_down ;;
	status) command_status ;;
	*)
		complain "usage: conf/instance.sh run|up|down|status"
		exit 2
		;;
esac
