# shellcheck shell=bash
# Processes of the instance: who they are, starting one, waiting for one, ending one.

# In the order of their start; they stop in the order of keeper.sh.
ROLES=(mariadb api tail runner scheduler courier nginx)
declare -A pid_of=() # of the roles that this keeper started and has not seen end

# Field 22 of /proc/PID/stat: pid and start time name a process, a pid alone may be reused.
start_time() {
	local stat

	stat=$(cat "/proc/$1/stat" 2>/dev/null) || return
	stat=${stat##*) }
	# shellcheck disable=SC2086 # the fields are what is wanted
	set -- $stat
	printf %s "${20}"
}

same_process() {
	[[ -n ${2:-} && $(start_time "$1") == "$2" ]]
}

# Programs see a plain world: no lock, no input, the signals as they are by default (a shell's
# background children ignore SIGINT), and a session of their own, so that Ctrl-C reaches the keeper
# alone.
spawn() { # ROLE COMMAND...
	local role=$1

	shift
	printf '%(%FT%TZ)T keeper starts %s\n' -1 "$role" >>"$home/log/$role.log"
	env --default-signal=INT,QUIT,PIPE --chdir=/ setsid "$@" \
		>>"$home/log/$role.log" 2>&1 </dev/null {lock}>&- {told}>&- {never}>&- &
	pid_of[$role]=$!
	printf '%s %s\n' "$!" "$(start_time "$!")" >"$run/pid/$role"
}

unprivileged() { # [CAPABILITY that it keeps]
	printf '%s\n' setpriv --reuid="$uid" --regid="$uid" --clear-groups --no-new-privs
	printf '%s\n' ${1:+--inh-caps="+$1" --ambient-caps="+$1"} --
}

is_alive() {
	[[ -n ${pid_of[$1]:-} ]] && kill -0 "${pid_of[$1]}" 2>/dev/null
}

# What the role said last since it was started, for the one sentence that a person gets. The launcher
# writes to the runner's log and says "stop" after the runner has said why.
last_words() {
	local line

	line=$(awk '/ keeper starts / { line = ""; next } /^$/ || / stoker-launcher.* stop / { next } { line = $0 }
		END { print line }' "$home/log/$1.log" 2>/dev/null)
	printf '%s' "${line:-(it said nothing)}"
}

give_up_dead() { # ROLE
	wait "${pid_of[$1]}" 2>/dev/null
	give_up "$1 ended at its start with status $?: $(last_words "$1")"
}

# Runs a check every 50 ms until it holds; fails with a sentence when the role dies or time is up.
await() { # ROLE SECONDS CHECK...
	local role=$1 until=$((SECONDS + $2)) seconds=$2

	shift 2
	until "$@"; do
		[[ -z $ended_by ]] && ! is_orphaned || give_up "asked to stop while it was starting"
		is_alive "$role" || give_up_dead "$role"
		((SECONDS < until)) || give_up "$role was not ready within $seconds s: $(last_words "$role")"
		sleep 0.05
	done
}

# Asks, waits, and at last does not ask.
end_role() { # ROLE SIGNAL SECONDS
	local role=$1 until=$((SECONDS + $3)) asked=$SECONDS pid=${pid_of[$1]:-}

	[[ -n $pid ]] || return 0
	kill -"$2" "$pid" 2>/dev/null
	while kill -0 "$pid" 2>/dev/null; do
		# nginx that is still starting may not have heard
		if [[ $role == nginx ]] && ((SECONDS > asked)); then
			kill -"$2" "$pid" 2>/dev/null
			asked=$SECONDS
		fi
		if ((SECONDS >= until)); then
			complain "$role did not stop within $3 s and is killed"
			kill -KILL "$pid" 2>/dev/null
			wait "$pid" 2>/dev/null
			break
		fi
		sleep 0.02
	done
	unset "pid_of[$role]"
	rm -f "$run/pid/$role"
}
