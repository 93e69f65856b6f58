#!/usr/bin/env bash
# conf/deps.sh build|run|test ...: installs what is missing of these lists, nothing else.
#
# Where everything is there it asks dpkg once, needs no network and no root. While it installs, a
# policy-rc.d that answers 101 keeps the packages from starting or restarting any service, and the
# services they would have switched on for the next boot are switched off again: Stoker runs its
# own MariaDB and nginx, the machine's stay as they were.
set -uo pipefail

# The first of a|b is what gets installed, any of them will do; one with a slash is a file (npm
# comes with other builds of nodejs).
declare -A PACKAGES=(
	[build]="gcc make pkg-config libfcgi-dev libmariadb-dev libxml2-dev zlib1g-dev libjansson-dev
		libcurl4-openssl-dev libssl-dev libutf8proc-dev libarchive-dev libseccomp-dev libinih-dev libzip-dev"
	[run]="mariadb-server nginx-light|nginx crun runc skopeo busybox-static iproute2 nftables slirp4netns e2fsprogs util-linux curl tzdata"
	[test]="check libsubunit-dev python3 perl ruby php-cli docker-registry docker.io podman rsyslog rsyslog-openssl apache2-bin chromium clang libclang-rt-dev cppcheck shellcheck git openssl libfaketime galera-4 rsync
		nodejs npm|/usr/bin/npm"
)
POLICY=/usr/sbin/policy-rc.d

fail() {
	printf 'stoker: %s\n' "$1" >&2
	exit 1
}

# The packages of the lists named in the arguments that dpkg does not call installed.
missing() {
	local list entry choice have=" "
	local -a wanted=()

	for list in "$@"; do
		[[ -n ${PACKAGES[$list]:-} ]] || fail "there is no package list '$list': build, run or test"
		# shellcheck disable=SC2206 # the words of the list are what is wanted
		wanted+=(${PACKAGES[$list]})
	done
	# ${Package} is dpkg-query's, not the shell's
	# shellcheck disable=SC2016
	have+=$(dpkg-query -W -f '${Package}=${db:Status-Status} ' "${wanted[@]//|*/}" nginx 2>/dev/null)
	for entry in "${wanted[@]}"; do
		for choice in ${entry//|/ }; do
			[[ $have == *" $choice=installed "* || ($choice == /* && -e $choice) ]] && continue 2
		done
		printf '%s\n' "${entry%%|*}"
	done
}

# What would start at the next boot: units switched on, and links of the older init.
boot_links() {
	find /etc/systemd/system /etc/rc[2-5].d -type l \( -path '*.wants/*' -o -name 'S*' \) 2>/dev/null | sort
}

switch_off_new() {
	local link name

	comm -13 <(printf '%s\n' "$1") <(boot_links) | while read -r link; do
		name=${link##*/}
		case $link in
			/etc/systemd/*) systemctl disable "$name" ;;
			*) update-rc.d "${name#S[0-9][0-9]}" disable ;;
		esac
	done >/dev/null 2>&1
}

put_policy() {
	[[ -e $POLICY ]] && mv "$POLICY" "$POLICY.before-stoker"
	printf '#!/bin/sh\nexit 101\n' >"$POLICY" && chmod 755 "$POLICY"
}

# Also after a run that was killed in between: the file set aside is the machine's own.
restore_policy() {
	rm -f "$POLICY"
	[[ -e $POLICY.before-stoker ]] && mv "$POLICY.before-stoker" "$POLICY"
}

install_packages() {
	local log links

	log=$(mktemp) || fail "cannot make a file in ${TMPDIR:-/tmp}"
	links=$(boot_links)
	[[ -e $POLICY.before-stoker ]] && restore_policy
	trap 'restore_policy; exit 1' INT TERM HUP
	put_policy || fail "cannot write $POLICY"
	export DEBIAN_FRONTEND=noninteractive
	echo "stoker: installing $*"
	{
		apt-get -qq update
		apt-get -qq -y --no-install-recommends install "$@"
	} >"$log" 2>&1 </dev/null
	local status=$?
	restore_policy
	switch_off_new "$links"
	if ((status)); then
		tail -n 15 "$log" >&2
		rm -f "$log"
		fail "apt-get could not install $*: see above"
	fi
	rm -f "$log"
}

main() {
	local -a lacking

	(($#)) || fail "usage: conf/deps.sh build|run|test ..."
	command -v dpkg-query >/dev/null || fail "this is not a Debian system: install what docs/dependencies.md lists"
	mapfile -t lacking < <(missing "$@")
	((${#lacking[@]})) || return 0
	((EUID == 0)) || fail "packages are missing, as root: apt-get install ${lacking[*]}"
	install_packages "${lacking[@]}"
}

main "$@"
