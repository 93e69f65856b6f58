#!/usr/bin/env bash
# A private Stoker on this machine: MariaDB, nginx, stoker-api, stoker-tail and stoker-worker with its roles.
#
#   conf/instance.sh run      in the foreground, until Ctrl-C
#   conf/instance.sh up       the same in the background; returns when it is ready
#   conf/instance.sh down     stops it, jobs with their grace
#   conf/instance.sh status   what runs; exit status 3 when nothing does, 1 when it is not ready or was killed
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

told=2 # where complaints go; the keeper moves bash's own words elsewhere
complain() {
	printf 'stoker: %s\n' "$*" >&"$told"
}

need_root() {
	((EUID == 0)) && return
	complain "$1 needs root (containers, and user ids of its own): try it with sudo"
	exit 1
}

check_port() {
	if [[ ! $PORT =~ ^[0-9]{1,5}$ ]] || ((10#$PORT > 65535)); then
		complain "PORT is \"$PORT\", but a port is a number up to 65535, and 0 takes any free one"
		exit 1
	fi
	PORT=$((10#$PORT))
}

# The lock is the instance: whoever holds it may start, stop and clean up. Sets $lock; up has taken
# it for the run that it starts.
take_lock() {
	[[ -n ${STOKER_LOCK:-} ]] && lock=$STOKER_LOCK && return
	if ! mkdir -p -- "$VAR" || ! exec {lock}>>"$VAR/lock"; then
		complain "cannot write to $VAR"
		exit 1
	fi
	# not -n: status and down look at the lock by taking it, for a moment
	flock -w 1 "$lock" && return
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
	for program in stoker stoker-api stoker-tail stoker-worker stoker-launcher stoker-monitor stoker-init stoker-unpack stoker-layers; do
		[[ -x $O/bin/$program ]] && continue
		complain "$O/bin/$program is missing: run make"
		exit 1
	done
	free=$(($(df --output=avail -m -- "$VAR" | tail -n 1)))
	((free >= ${STOKER_FREE_MB:-300})) && return
	complain "only $free MB are free for $VAR, a database and its logs need ${STOKER_FREE_MB:-300}"
	exit 1
}

enter() {
	need_root "starting an instance"
	check_port
	take_lock
	check_machine
	# the shell that starts it may have sourced stoker.env: a token is no business of the programs
	unset "${!IRON_@}"
	# the new shell inherits the descriptor: the lock has no gap
	STOKER_LOCK=$lock exec unshare --mount --propagation slave -- "$BASH" "$here/instance.sh" keep
}

# Nobody but root reads it; a new start goes on where the last one ended.
open_log() { # FILE
	(umask 077 && : >>"$1") && chmod 0600 -- "$1" || return
	(($(stat -c %s -- "$1") > 10000000)) || return 0
	mv -- "$1" "$1.1" && (umask 077 && : >"$1")
}

command_up() {
	local out keeper before

	need_root "starting an instance"
	check_port
	take_lock
	out=$VAR/log/instance.log
	mkdir -p -- "$VAR/log" && open_log "$out" || exit 1
	before=$(stat -c %s -- "$out")
	STOKER_LOCK=$lock STOKER_UP=yes setsid "$here/instance.sh" run >>"$out" 2>&1 </dev/null &
	keeper=$!
	trap 'kill -TERM $keeper; wait $keeper; exit 130' INT TERM
	while kill -0 "$keeper" 2>/dev/null; do
		# in this order: the new keeper removes an old ready before it writes its pid
		[[ $(cat "$run/pid/keeper" 2>/dev/null) == "$keeper "* && -e $run/ready ]] && break
		sleep 0.05
	done
	tail -c +$((before + 1)) -- "$out"
	kill -0 "$keeper" 2>/dev/null && say_where "$VAR/stoker.env" "$(cat "$run/port")" && return
	wait "$keeper"
	exit 1
}

is_unlocked() {
	[[ ! -e $VAR/lock ]] || flock -n "$VAR/lock" true
}

# Sends TERM to the keeper. While it starts it may not have said yet who it is, and what an earlier
# one has written is no process of ours any more.
ask_keeper() {
	local pid start until=$((SECONDS + 30))

	while ! is_unlocked; do
		if read -r pid start <"$run/pid/keeper" && same_process "$pid" "$start"; then
			kill -TERM "$pid" && return
		fi 2>/dev/null
		if ((SECONDS >= until)); then
			complain "$VAR is locked, but by no instance that could be stopped: fuser $VAR/lock tells by whom"
			exit 1
		fi
		sleep 0.05
	done
	# it has ended by itself meanwhile
}

command_down() {
	need_root "stopping an instance"
	if is_unlocked; then
		take_lock
		sweep_all && say "leftovers of a killed instance are gone"
		say "nothing runs on $VAR"
		return
	fi
	ask_keeper
	if ! flock -w 120 "$VAR/lock" true; then
		complain "the instance on $VAR did not stop within 120 s: see $VAR/log/instance.log"
		exit 1
	fi
	say "stopped"
}

# What a killed keeper left behind still works, but nobody starts again what dies.
status_of_leftovers() {
	local found

	found=$(instance_processes | awk '{ print $2 " " $1 }' | sort | sed 's/^/  /')
	if [[ -z $found ]]; then
		say "nothing runs on $VAR"
		exit 3
	fi
	say "no instance runs on $VAR, but one that was killed left these processes:"
	say "$found"
	say "make up (or run) takes over from them, make down ends them and their jobs"
	exit 1
}

command_status() {
	local role pid start

	is_unlocked && status_of_leftovers
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
