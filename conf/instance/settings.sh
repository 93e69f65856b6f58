# shellcheck shell=bash
# The files that the instance's programs read, written anew at each start from what is known then.

random_hex() { # BYTES
	od -An -v -N"$1" -tx1 /dev/urandom | tr -d ' \n'
}

# File modes say who may read: root writes, the instance's group reads.
own() { # MODE FILE...
	local mode=$1

	shift
	chown "0:$uid" -- "$@" && chmod "$mode" -- "$@"
}

make_folders() {
	local folder

	mkdir -p "$VAR"/{app,conf,log,mariadb,nginx,node,uploads} "$run"/{s,pid,var} && ln -sfn "$VAR" "$run/link" && ln -sfn var/app "$run/app" || return
	chmod 755 "$VAR" "$run" "$run/pid"
	own 0750 "$VAR/conf"
	own 0755 "$VAR/log"
	for folder in "$VAR/mariadb" "$VAR/nginx" "$VAR/uploads" "$run/s"; do
		[[ $(stat -c %u "$folder") == "$uid" ]] || chown -R "$uid:$uid" "$folder" || return
	done
	chmod 700 "$VAR/mariadb" "$VAR/nginx" "$VAR/uploads" && chmod 711 "$run/s"
}

# A copy with modes of its own: the clone may be closed to other users and be rebuilt meanwhile.
copy_programs() {
	rm -rf "$home/app" && mkdir -p "$home/app/bin" || return
	cp -- "$O"/bin/stoker* "$home/app/bin/" || return
	cp -R -- "$top/sql" "$top/www" "$home/app/" || return
	chmod -R u=rwX,go=rX "$home/app"
}

make_passwords() {
	local account

	for account in admin api worker; do
		[[ -s $home/conf/$account.password ]] && continue
		install -m 0600 /dev/null "$home/conf/$account.password" || return
		random_hex 24 >"$home/conf/$account.password"
	done
	own 0600 "$home/conf/admin.password"
	own 0640 "$home/conf/api.password" "$home/conf/worker.password"
}

# Seals registry logins in the database: without it they are lost.
make_key() {
	[[ -s $home/conf/secrets.key ]] && return
	install -m 0600 /dev/null "$home/conf/secrets.key" && random_hex 32 >"$home/conf/secrets.key"
}

fill() { # TEMPLATE: replaces @NAME@ by the value of the variable NAME of the caller
	local name text

	text=$(cat "$1") || return
	for name in $(grep -o '@[A-Z_]*@' "$1" | sort -u | tr -d @); do
		text=${text//"@$name@"/${!name}}
	done
	printf '%s\n' "$text"
}

# shellcheck disable=SC2034 # the names are used by the templates
write_database_settings() {
	local DATA=$home/mariadb SOCKET=$run/s/db.sock POOL=${STOKER_INSTANCE_POOL:-128M}

	rm -f "$home/conf/accounts.sql" # an earlier version left the passwords there
	fill "$top/conf/mariadb/private.cnf.in" >"$home/conf/mariadb.cnf" && own 0640 "$home/conf/mariadb.cnf"
}

# As the database's root, through a pipe: the statements hold every password, the admin's too, and
# the programs' own user reads no file with that.
# shellcheck disable=SC2034 # the names are used by the template
make_accounts() {
	local ADMIN_PASSWORD API_PASSWORD WORKER_PASSWORD

	ADMIN_PASSWORD=$(cat "$home/conf/admin.password") && API_PASSWORD=$(cat "$home/conf/api.password") &&
		WORKER_PASSWORD=$(cat "$home/conf/worker.password") || return
	fill "$top/conf/mariadb/accounts.sql.in" |
		mariadb --no-defaults -u root -S "$run/s/db.sock" >>"$home/log/migrate.log" 2>&1 {lock}>&-
}

# ACCOUNT, the short name of VAR: the admin's file goes through a link, which a person can follow
# from outside the instance's mount namespace too.
stoker_conf() {
	cat <<-END
		# Written by conf/instance.sh at each start; changes here do not last.
		[database]
		socket = $run/s/db.sock
		name = stoker
		user = stoker_$1
		password_file = $2/conf/$1.password

		[logs]
		socket = $run/s/db.sock
		name = stoker_logs
		user = stoker_$1
		password_file = $2/conf/$1.password

		[node]
		dir = $2/node
		cgroup = stoker-$hash

		[secrets]
		key_file = $2/conf/secrets.key

		[api]
		socket = $run/s/api.sock
		www = $2/app/www
		upload_dir = $2/uploads

		[tail]
		socket = $run/s/tail.sock
	END
}

write_stoker_settings() {
	make_key && own 0640 "$home/conf/secrets.key" || return
	stoker_conf api "$home" >"$home/conf/api.conf"
	{
		stoker_conf worker "$home"
		printf '\n[runner]\nuser = %s\n' "$uid"
		printf '\n[courier]\nallow_private = yes\n'
	} >"$home/conf/worker.conf"
	stoker_conf admin "$run/link" >"$home/conf/admin.conf"
	own 0640 "$home/conf/api.conf" "$home/conf/worker.conf"
	own 0600 "$home/conf/admin.conf"
}

# A listener that is no process of this instance: what a killed keeper left is ended by the next.
port_is_anothers() {
	local own line pid

	own=" $(instance_processes | cut -d' ' -f1 | tr '\n' ' ')"
	while read -r line; do
		for pid in $(grep -o 'pid=[0-9]*' <<<"$line"); do
			[[ $own == *" ${pid#pid=} "* ]] && continue 2
		done
		return 0
	done < <(ss -Hltnp "sport = :$1")
	return 1
}

port_is_taken() {
	[[ -n $(ss -Hltn "sport = :$1") ]]
}

# Below the range from which the kernel takes ports for outgoing connections.
free_port() {
	local try port

	for ((try = 0; try < 100; try++)); do
		port=$((10000 + RANDOM % 22000))
		port_is_taken "$port" || break
	done
	printf %s "$port"
}

# shellcheck disable=SC2034 # the names are used by the template
write_web_settings() { # PORT
	local PORT=$1 RUN=$run STATIC=$home/app/www TEMP=$home/nginx

	# nginx looks for included files beside the file that it was started with
	fill "$top/conf/nginx/stoker.conf.in" >"$home/conf/nginx.conf" &&
		cp "$top"/conf/nginx/stoker_{params,http,server} "$home/conf/" &&
		own 0640 "$home/conf/nginx.conf" "$home"/conf/stoker_*
}
