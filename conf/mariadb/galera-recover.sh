#!/usr/bin/env bash
# Brings a Galera cluster back of which every node is down. Whoever knows the most has to begin: a node
# that knows less would begin without what others had accepted.
#
#   galera-recover.sh cluster HOST...     all of it, by ssh from one machine, all nodes named
#   galera-recover.sh position            here: UUID:NUMBER of the last transaction that this node has
#   galera-recover.sh choose NAME=UUID:NUMBER...    which of them is to begin
#   galera-recover.sh allow               here: this node may begin a cluster
#   galera-recover.sh state               here: how the running node stands: STATE SIZE
#
# By hand: stop MariaDB everywhere; `position` on each node; `choose`; `allow` and galera_new_cluster on
# that one; then `systemctl start mariadb` on the others. Debian's unit recovers the position before each
# start (galera_recovery); a unit of one's own has to, too: mariadbd --wsrep-recover, then
# --wsrep-start-position. Without it a crashed node may call itself synced and stay behind for good.
#
# From the environment: GALERA_CNF (a defaults file instead of Debian's), REMOTE (runs a command on a
# host, default ssh), START_FIRST and START (default galera_new_cluster and systemctl start mariadb),
# PATIENCE (seconds for a node to come up, default 300).
set -uo pipefail
REMOTE=${REMOTE:-ssh}
START_FIRST=${START_FIRST:-galera_new_cluster}
START=${START:-systemctl start mariadb}
PATIENCE=${PATIENCE:-300}

fail() {
	printf 'galera-recover: %s\n' "$1" >&2
	exit 1
}

defaults() {
	[[ -n ${GALERA_CNF:-} ]] && printf '%s\n' "--defaults-file=$GALERA_CNF"
}

setting() { # NAME: as mariadbd will read it, the last one counts
	local -a file

	mapfile -t file < <(defaults)
	my_print_defaults "${file[@]}" mysqld server mariadb mariadbd mariadbd-10.11 galera |
		sed -n "s/^--${1//_/[-_]}=//p" | tail -n 1
}

data_folder() {
	local folder

	folder=$(setting datadir)
	printf %s "${folder:-/var/lib/mysql}"
}

# The file says it after a clean stop; after a crash it says -1, and InnoDB's log knows.
position() {
	local data saved uuid number said found
	local -a file user=()

	data=$(data_folder)
	[[ -r $data/grastate.dat ]] || fail "there is no $data/grastate.dat: this was no node of a cluster"
	saved=$data/grastate.dat
	uuid=$(sed -n 's/^uuid: *//p' "$saved")
	number=$(sed -n 's/^seqno: *//p' "$saved")
	if [[ $number =~ ^[0-9]+$ ]]; then
		printf '%s:%s\n' "$uuid" "$number"
		return
	fi
	mapfile -t file < <(defaults)
	((EUID == 0)) && user=(setpriv --reuid="$(stat -c %u "$data")" --regid="$(stat -c %g "$data")" --clear-groups --)
	said=$("${user[@]}" mariadbd "${file[@]}" --wsrep-recover --disable-log-error 2>&1)
	found=$(sed -n 's/.*Recovered position: *//p' <<<"$said")
	[[ $found =~ ^[0-9a-f-]{36}:[0-9]+$ ]] || fail "cannot recover the position in $data (does MariaDB still run?): $(tail -n 1 <<<"$said")"
	printf '%s\n' "$found"
}

choose() { # NAME=UUID:NUMBER...
	local pair name uuid number best='' most=-1 history=''

	(($#)) || fail "choose needs NAME=UUID:NUMBER, one a node"
	for pair in "$@"; do
		[[ $pair =~ ^([^=]+)=([0-9a-f-]{36}):([0-9]+)$ ]] || fail "\"$pair\" is no NAME=UUID:NUMBER: without its position no node can be chosen"
		name=${BASH_REMATCH[1]} uuid=${BASH_REMATCH[2]} number=${BASH_REMATCH[3]}
		[[ -z $history || $uuid == "$history" ]] || fail "$name has another history ($uuid) than the others ($history): two clusters were begun, and only people can say which one counts"
		history=$uuid
		((number > most)) && most=$number best=$name
	done
	printf '%s\n' "$best"
}

allow() {
	local data

	data=$(data_folder)
	[[ -w $data/grastate.dat ]] || fail "cannot write $data/grastate.dat"
	sed -i.before 's/^safe_to_bootstrap:.*/safe_to_bootstrap: 1/' "$data/grastate.dat" &&
		chown --reference="$data/grastate.dat.before" "$data/grastate.dat" && rm -f "$data/grastate.dat.before"
}

state() {
	local socket

	socket=$(setting socket)
	mariadb --no-defaults -u root ${socket:+-S "$socket"} --connect-timeout=3 -N -B \
		-e "SHOW STATUS WHERE Variable_name IN ('wsrep_cluster_size', 'wsrep_local_state_comment')" 2>/dev/null |
		cut -f 2 | tr '\n' ' '
}

on() { # HOST SUBCOMMAND
	# shellcheck disable=SC2086 # REMOTE may have arguments
	$REMOTE "$1" "$(realpath "$0")" "$2"
}

await() { # HOST STATE
	local until=$((SECONDS + PATIENCE)) said=

	while said=$(on "$1" state); [[ $said != "$2 "* ]]; do
		((SECONDS < until)) || fail "$1 is not up after $PATIENCE s, it says \"$said\": see its error log"
		sleep 0.5
	done
}

cluster() { # HOST...
	local host first place
	local -a places=()

	(($# > 1)) || fail "name all nodes of the cluster: galera-recover.sh cluster HOST HOST HOST"
	for host in "$@"; do
		[[ -z $(on "$host" state) ]] || fail "$host runs: stop all nodes first, or start only those that are down"
		place=$(on "$host" position) || fail "$host does not say how much it knows: it may know the most; mend it first"
		echo "$host knows $place"
		places+=("$host=$place")
	done
	first=$(choose "${places[@]}") || exit 1
	echo "$first begins"
	on "$first" allow || fail "$first may not begin"
	# shellcheck disable=SC2086 # commands with arguments
	$REMOTE "$first" $START_FIRST || fail "$first does not start: see its error log"
	await "$first" "Synced 1"
	for host in "$@"; do
		[[ $host == "$first" ]] && continue
		# shellcheck disable=SC2086
		$REMOTE "$host" $START || fail "$host does not start: see its error log"
	done
	for host in "$@"; do
		await "$host" "Synced $#"
	done
	echo "all $# nodes are synced"
}

case ${1:-} in
	position | allow | state) "$1" ;;
	choose | cluster) "$@" ;;
	*) fail "usage: galera-recover.sh cluster HOST... | position | choose NAME=UUID:NUMBER... | allow | state" ;;
esac
