# shellcheck shell=bash
# The keeper: starts the programs in order, starts again what dies, stops all of it in order.
# It runs inside the instance's mount namespace and holds the lock.

declare -A started_at=() backoff_of=() due_at=()
ended_by= # set by the traps

# In seconds: nginx lets requests end, the api too, the runner its jobs' grace
# (30 s at most, [node] stop_grace_s) and then tell their ends, MariaDB its pages.
TAIL_STOP=6 NGINX_STOP=6 API_STOP=8 RUNNER_STOP=${STOKER_RUNNER_STOP:-45} DATABASE_STOP=30

role_command() { # ROLE: sets the array command
	mapfile -t command < <(unprivileged)
	case $1 in
		mariadb) command+=(mariadbd --defaults-file="$home/conf/mariadb.cnf") ;;
		nginx)
			((port < 1024)) && mapfile -t command < <(unprivileged net_bind_service)
			command+=(nginx -e stderr -p "$home/nginx/" -c "$home/conf/nginx.conf")
			;;
		api) command+=("$home/app/bin/stoker-api" -c "$home/conf/api.conf") ;;
		tail) command+=("$home/app/bin/stoker-tail" -c "$home/conf/api.conf") ;;
		# it starts the launcher as root, then drops to [runner] user by itself
		runner) command=("$home/app/bin/stoker-worker" runner -c "$home/conf/worker.conf") ;;
		*) command+=("$home/app/bin/stoker-worker" "$1" -c "$home/conf/worker.conf") ;;
	esac
}

start() { # ROLE
	local -a command

	role_command "$1"
	started_at[$1]=$SECONDS
	spawn "$1" "${command[@]}"
}

# The way out on any failure; the trap on EXIT stops what was started.
give_up() {
	[[ -n $ended_by ]] && say "stopped while it was starting" || complain "$1"
	exit 1
}

# --- the database --------------------------------------------------------------------------------

make_database() {
	local log=$home/log/mariadb.log
	local -a drop

	[[ -d $home/mariadb/mysql ]] && return
	mapfile -t drop < <(unprivileged)
	rm -rf "$home/mariadb.new" && mkdir "$home/mariadb.new" && chown "$uid:$uid" "$home/mariadb.new" || return
	# a tmpdir of its own: a mariadbd that starts removes every temporary table that it finds there
	(cd / && exec "${drop[@]}" mariadb-install-db --no-defaults --datadir="$home/mariadb.new" \
		--tmpdir="$home/mariadb.new" \
		--auth-root-authentication-method=socket --auth-root-socket-user=root --skip-test-db \
		--innodb-log-file-size=96M) >>"$log" 2>&1 {lock}>&- || return
	# half a database never has the name of a whole one
	rm -rf "$home/mariadb" && mv "$home/mariadb.new" "$home/mariadb" && chmod 700 "$home/mariadb"
}

database_answers() {
	[[ -S $run/s/db.sock ]] && mariadb-admin --no-defaults -s -u root -S "$run/s/db.sock" ping >/dev/null 2>&1
}

start_database() {
	make_database || give_up "cannot make the database in $VAR/mariadb: $(last_words mariadb)"
	write_database_settings || give_up "cannot write the database's settings to $VAR/conf"
	start mariadb
	await mariadb 60 database_answers
	make_accounts || give_up "cannot make the database's accounts: $(last_words migrate)"
	"$home/app/bin/stoker" admin -c "$home/conf/admin.conf" migrate >>"$home/log/migrate.log" 2>&1 ||
		give_up "cannot bring the database's tables up to date: $(last_words migrate)"
}

# --- the web server -------------------------------------------------------------------------------

web_answers() {
	curl -fsS -m 2 -o /dev/null "http://127.0.0.1:$port/healthz" 2>/dev/null
}

# An answer on the port may be another instance's, while our nginx still tries to bind.
web_is_ours() {
	[[ $(ss -Hltnp "sport = :$port") == *"pid=${pid_of[nginx]},"* ]]
}

web_is_ours_or_dead() {
	web_is_ours || ! is_alive nginx
}

platform_answers() {
	is_alive api || give_up_dead api
	web_answers
}

# With PORT=0 somebody may take the port between the look and the bind: then the next one.
start_web() {
	local try

	for ((try = 0; try < 20; try++)); do
		((PORT)) && port=$PORT || port=$(free_port)
		write_web_settings "$port" || give_up "cannot write the web server's settings to $VAR/conf"
		start nginx
		await api 15 web_is_ours_or_dead
		is_alive nginx && break
		tail -n 3 "$home/log/nginx.log" | grep -q 'Address already in use' || break
		((PORT)) && give_up "port $PORT is taken by another program: choose one with PORT=..., 0 takes any free one"
	done
	await nginx 15 platform_answers
	printf '%s\n' "$port" >"$run/port"
}

# Tests name the process that the instance is for: without it nobody would ever stop it.
is_orphaned() {
	[[ -n ${STOKER_THROWAWAY:-} && ! -e /proc/$STOKER_THROWAWAY ]]
}

platform_is_ready() {
	local role

	for role in "${ROLES[@]}"; do
		is_alive "$role" || give_up_dead "$role"
	done
	curl -fsS -m 5 -o /dev/null "http://127.0.0.1:$port/readyz" 2>/dev/null
}

# --- start, watch, stop ----------------------------------------------------------------------------

prepare() {
	if ((PORT)) && port_is_anothers "$PORT"; then
		complain "port $PORT is taken by another program: choose one with PORT=..., 0 takes any free one"
		exit 1
	fi
	trap stop_all EXIT
	make_folders || give_up "cannot make the folders in $VAR and $run"
	mount --bind "$VAR" "$home" || give_up "cannot mount $VAR at $home"
	rm -f "$run/ready" "$run/port"
	printf '%s %s\n' "$$" "$(start_time $$)" >"$run/pid/keeper" # from here on down can stop it
	sweep_roles && say "ended what an earlier instance left running"
	rm -f "$run"/s/*
	cut_logs
	copy_programs || give_up "cannot copy the programs to $VAR/app"
	make_passwords && write_stoker_settings || give_up "cannot write the settings to $VAR/conf"
}

cut_logs() {
	local log

	for log in "$home"/log/*.log; do
		[[ $log != */instance.log && $(stat -c %s "$log" 2>/dev/null || echo 0) -gt 10000000 ]] && mv "$log" "$log.1"
	done
}

start_all() {
	prepare_image & # beside the database, which takes longer
	image_job=$!
	start_database
	start api
	start tail
	start runner
	start scheduler
	start courier
	start_web
	await runner 20 platform_is_ready
}

# A role that dies comes back, at once the first time, ever later when it keeps dying.
note_death() { # ROLE STATUS
	local wait=${backoff_of[$1]:-0}

	((SECONDS - started_at[$1] > 30)) && wait=0
	backoff_of[$1]=$((wait ? (wait < 8 ? wait * 2 : 10) : 1))
	[[ $1 == runner ]] && ((wait > 2)) && wait=2 # its jobs die when their lease, 8 s, is over
	[[ $1 == scheduler ]] && ((wait > 1)) && wait=1 # so late are all schedules
	due_at[$1]=$((SECONDS + wait))
	unset "pid_of[$1]"
	rm -f "$run/pid/$1"
	if (($2 > 128)); then # then that is the reason
		complain "$1 was ended by signal $(($2 - 128)), it is started again"
	else
		complain "$1 ended with status $2, it is started again: $(last_words "$1")"
	fi
}

start_due() {
	local role

	for role in "${!due_at[@]}"; do
		((SECONDS >= due_at[$role])) || continue
		unset "due_at[$role]"
		[[ $role == nginx ]] && signal_processes KILL nginx # workers outlive a killed master and hold the port
		start "$role"
	done
}

# No child is waited for that Ctrl-C could end too: a wait that misses it would never return.
watch() {
	local role status

	while [[ -z $ended_by ]] && ! is_orphaned; do
		start_due
		read -r -t 0.2 -u "$never"
		for role in "${!pid_of[@]}"; do
			is_alive "$role" && continue
			wait "${pid_of[$role]}"
			status=$?
			note_death "$role" "$status"
		done
	done
}

# Nobody comes in, what came in ends, jobs get their grace, what they said is stored, then the
# database; after that nothing is left that could write.
stop_all() {
	trap '' INT TERM HUP
	rm -f "$run/ready"
	end_role tail TERM "$TAIL_STOP" # first: nginx lets requests end, and these would wait
	end_role nginx QUIT "$NGINX_STOP"
	end_role api TERM "$API_STOP"
	end_role runner USR1 "$RUNNER_STOP" # the node stops; TERM would leave its jobs to the next runner
	end_role courier TERM 5
	end_role scheduler TERM 5
	end_role mariadb TERM "$DATABASE_STOP"
	sweep_roles
	sweep_jobs
	exec 2>&"$told" # the log is below the mount and would hold it
	umount "$home" 2>/dev/null || umount -l "$home" 2>/dev/null
	# never through a mount: below it is all that the instance knows
	mountpoint -q "$home" || rm -rf --one-file-system -- "$run"
	is_orphaned && rm -rf --one-file-system -- "$VAR"
}

keep() {
	lock=${STOKER_LOCK:?is set by conf/instance.sh run}
	is_up=${STOKER_UP:-}
	unset STOKER_LOCK STOKER_UP
	trap 'ended_by=INT' INT
	trap 'ended_by=TERM' TERM HUP
	prepare
	# bash itself tells of each child that a signal ended; the keeper says it in a sentence of its own
	exec {told}>&2 2>>"$home/log/keeper.log"
	exec {never}<> <(:) # nothing is ever written to it
	start_all
	if [[ -z $ended_by ]]; then
		demo
		# up prints it itself: the token is not for a log
		[[ -n $ended_by || -n $is_up ]] || say_where "$home/stoker.env" "$port"
	fi
	[[ -n $ended_by ]] || : >"$run/ready"
	watch
	say "stopping"
}
