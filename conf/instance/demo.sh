# shellcheck shell=bash
DEMO=${STOKER_DEMO:-yes} # yes, image (no code and no task) or no (only project and token)

# What a person sees first: a project with a token, a code, a task that runs, its log.

stoker() {
	"$home/app/bin/stoker" "$@" {lock}>&- {told}>&-
}

# In a subshell: what the keeper has in its environment, every program would have that it starts later.
as_user() { # COMMAND...
	(
		set -a
		# shellcheck source=/dev/null
		. "$home/stoker.env"
		stoker "$@"
	)
}

# The token goes through a pipe, where no list of processes shows it.
ask() { # PATH below the project
	sed -n 's/^IRON_TOKEN=\(.*\)/header = "Authorization: OAuth \1"/p' "$home/stoker.env" |
		curl -fsS -m 5 -K - "http://127.0.0.1:$port/2/projects/$project/$1" 2>/dev/null
}

json_text() { # KEY: the value of a key whose value is a plain string, from stdin
	sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" | head -n 1
}

# Made once; a later start finds token and project in stoker.env and writes the port anew.
make_project() {
	local project token prefix

	project=$(sed -n 's/^IRON_PROJECT_ID=//p' "$home/stoker.env" 2>/dev/null)
	token=$(sed -n 's/^IRON_TOKEN=//p' "$home/stoker.env" 2>/dev/null)
	if [[ -z $project || -z $token ]]; then
		project=$(stoker admin -c "$home/conf/admin.conf" project create demo --json 2>>"$home/log/demo.log" | json_text id)
		[[ -n $project ]] || return
		token=$(stoker admin -c "$home/conf/admin.conf" token create --project "$project" --role operator \
			--name demo --json 2>>"$home/log/demo.log" | json_text token)
		[[ -n $token ]] || return
	fi
	install -m 0600 /dev/null "$home/stoker.env.new" || return
	{
		printf 'IRON_TOKEN=%s\nIRON_PROJECT_ID=%s\n' "$token" "$project"
		for prefix in IRON IRON_WORKER; do
			printf "${prefix}_%s\n" HOST=127.0.0.1 "PORT=$port" SCHEME=http PROTOCOL=http
		done
	} >"$home/stoker.env.new" && mv "$home/stoker.env.new" "$home/stoker.env"
}

# A root file system of one static program under its many names.
make_image() {
	local root=$home/demo/rootfs name

	[[ -e $home/demo/busybox.tar ]] && return
	rm -rf "$home/demo" && mkdir -p "$root"/{bin,dev,etc,proc,sys,root,tmp} || return
	cp "$(command -v busybox)" "$root/bin/busybox" || return
	for name in $(busybox --list); do
		[[ $name == busybox ]] || ln -s busybox "$root/bin/$name"
	done
	ln -s bin "$root/sbin"
	printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n' >"$root/etc/passwd"
	printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
	chmod 755 "$root" "$root"/* "$root/bin/busybox" && chmod 1777 "$root/tmp"
	tar -C "$root" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf "$home/demo/new.tar" . &&
		mv "$home/demo/new.tar" "$home/demo/busybox.tar" && rm -rf "$root"
}

import_image() {
	[[ -e $home/node/images/names/busybox ]] ||
		stoker image import busybox "$home/demo/busybox.tar" -c "$home/conf/worker.conf" >>"$home/log/demo.log" 2>&1
}

prepare_image() {
	[[ $DEMO == no ]] || { make_image && import_image; }
}

register_code() {
	local command='sh -c "echo hello from $(hostname); cat $PAYLOAD_FILE; echo; sleep 0.2; echo and this went to stderr >&2"'

	[[ -e $home/demo/registered ]] && return
	as_user code register hello --image busybox --command "$command" >>"$home/log/demo.log" 2>&1 &&
		: >"$home/demo/registered"
}

# The states as they are read, on one line. Fails when the task does not end within 30 s.
follow_states() { # TASK
	local state='' seen='' until=$((SECONDS + 30))

	while [[ ! $state =~ ^(complete|error|timeout|cancelled|killed|expired)$ && -z $ended_by ]]; do
		((SECONDS < until)) || { say "" && return 1; }
		state=$(ask "tasks/$1" | json_text state)
		[[ -z $state || $state == "$seen" ]] || printf '%s%s' "${seen:+ -> }" "$state"
		seen=${state:-$seen}
		sleep 0.03
	done
	say ""
}

is_paused() { # CODE
	ask codes | sed 's/{"id":/\n&/g' | grep -F "\"name\":\"$1\"" | grep -q '"paused":true'
}

show_task() {
	local task

	if is_paused hello; then
		say "the code hello is paused, so no task of it is queued"
		return
	fi
	task=$(as_user queue hello --payload 'this is its payload' 2>>"$home/log/demo.log" | tail -n 1)
	if [[ ! $task =~ ^[0-9a-f]{24}$ ]]; then
		complain "cannot queue the demo's task: $(last_words demo)"
		return
	fi
	say "\$ stoker queue hello --payload 'this is its payload'"
	say "$task"
	if ! follow_states "$task"; then
		complain "the demo's task $task has not ended within 30 s: stoker status $task"
		return
	fi
	say "\$ stoker log $task"
	as_user log "$task" 2>&1
}

demo() {
	local project

	make_project || give_up "cannot make the demo project and its token: $(last_words demo)"
	project=$(sed -n 's/^IRON_PROJECT_ID=//p' "$home/stoker.env")
	wait "$image_job" || give_up "cannot make the demo's image: $(last_words demo)"
	[[ $DEMO == yes ]] || return 0
	if ! register_code; then
		complain "cannot register the demo's code: $(last_words demo)"
		return 1
	fi
	show_task
}

say_where() { # ENV-FILE PORT
	say "Dashboard: http://127.0.0.1:$2/ui  token: $(sed -n 's/^IRON_TOKEN=//p' "$1")"
	printf 'Command line: set -a; . %q; set +a; %q queue hello --wait\n' "$VAR/stoker.env" "$O/bin/stoker"
	printf 'Your own image: %q image import NAME FILE.tar -c %q\n' "$O/bin/stoker" "$VAR/conf/admin.conf"
}
