#!/usr/bin/env bash
# Runs every test program, several at a time, and counts single test cases:
#   build/tests/*/test_*     C, by floor (Check)
#   tests/faults/test_*.py   storms of faults over whole instances
#   tests/flow/test_*.py     whole instances (python3's unittest, nothing else)
#   tests/fuzz/fuzz_*.c      parsers of foreign bytes, for seconds (libFuzzer; make fuzz runs them long)
#   tests/escape/test_*.py   hostile jobs in them
#   tests/engine/test_*.py   the contract of engines, once for each, with daemons of their own
# At the end it says how long the programs of each room took.
# tests/run.sh NAME ... runs the programs whose name contains one of the words. STOKER_TEST_JOBS
# sets how many run at once.
#
# All that tests make lies in one folder, STOKER_TEST_TMP; at the end nothing of it may be left:
# no process, no mount, no cgroup, no file.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
O=${O:-build}
SECONDS_MAX=${STOKER_TEST_SECONDS:-240}
FUZZ_O=build-fuzz

# --- one program (called by xargs) ------------------------------------------------------------------

run_program() { # PROGRAM, with its output in $results/NAME
	case $1 in
		*.py) python3 -B tests/support/run_program.py "$1" $((SECONDS_MAX - 15)) ;;
		*/fuzz_*) tests/fuzz/fuzz.sh --short "$1" ;;
		*) "$1" ;;
	esac
}

# "PASSED FAILED" from what Check, unittest or libFuzzer said last; a program that said neither has failed.
count_cases() { # OUTPUT STATUS
	awk -v status="$2" '
		/^[0-9]+%: Checks: / { gsub(/[,:]/, ""); all = $3; bad = $5 + $7; said = 1 }
		/^Done [0-9]+ runs in / { all = 1; bad = 0; said = 1 }
		/^Ran [0-9]+ tests? in / { all = $2; bad = 0; said = 1 }
		/^FAILED \(|^OK \(/ {
			line = $0; skipped = 0
			while (match(line, /(failures|errors|skipped|unexpected successes)=[0-9]+/)) {
				split(substr(line, RSTART, RLENGTH), pair, "=")
				if (pair[1] == "skipped") skipped = pair[2]; else bad += pair[2]
				line = substr(line, RSTART + RLENGTH)
			}
			all -= skipped
		}
		END {
			if (!said) { all = 1; bad = 1 }
			if (status != 0 && bad == 0) { all++; bad = 1 }
			if (bad > all) all = bad
			print all - bad, bad
		}' "$1"
}

# What a failed program's output comes to, ahead of all of it: whoever keeps only some of a long record reads this first.
verdict() { # OUTPUT
	grep -E ':[FE]:|^(FAIL|ERROR): |^[A-Za-z.]*(Error|Exception): |^(FAILED|Timeout) |ERROR: .*Sanitizer' "$1" | cut -c1-600 | head -n 12
	echo "its last lines:"
	grep -v 'txn.retry' "$1" | cut -c1-300 | tail -n 30
}

if [[ ${1:-} == --one ]]; then
	name=${2#tests/} name=${name#"$O"/tests/} name=${name#"$FUZZ_O"/tests/}
	output=$STOKER_TEST_RESULTS/${name//\//-}
	began=$EPOCHREALTIME
	timeout -k 20 "$SECONDS_MAX" bash -c "$(declare -f run_program); SECONDS_MAX=$SECONDS_MAX run_program $2" >"$output.out" 2>&1 </dev/null
	status=$?
	read -r passed failed < <(count_cases "$output.out" $status)
	ms=$(((${EPOCHREALTIME/./} - ${began/./}) / 1000))
	printf '%s %s\n' "$passed" "$failed" >"$output.count"
	printf '%s %s\n' "${name%%/*}" "$ms" >"$output.ms"
	printf '%-4s %-34s %4d passed, %d failed  %6d ms\n' "$( ((failed)) && echo FAIL || echo ok)" "$name" "$passed" "$failed" "$ms"
	((failed)) && {
		((status == 124)) && echo "$name did not end within $SECONDS_MAX s"
		verdict "$output.out" | sed 's/^/  ! /'
		sed 's/^/    /' "$output.out"
	}
	exit 0
fi

# --- all of them ---------------------------------------------------------------------------------------

programs() { # the long ones first
	local source

	for source in tests/{engine,faults,flow,escape}/test_*.py; do
		[[ -e $source ]] && printf '%s\n' "$source"
	done
	for source in tests/fuzz/fuzz_*.c; do
		[[ -e $source ]] && printf '%s\n' "$FUZZ_O/${source%.c}"
	done
	for source in tests/{worker,fcgi,store,unit}/test_*.c; do
		[[ -e $source ]] && printf '%s\n' "$O/${source%.c}"
	done
}

wanted() {
	local program word

	while read -r program; do
		(($#)) || printf '%s\n' "$program"
		for word in "$@"; do
			[[ $program == *"$word"* ]] && printf '%s\n' "$program" && break
		done
	done
}

# What the tests left, one a line. Instances are known by the list that the harness keeps.
leftovers() {
	local hash pid name

	grep -lsz "^STOKER_TEST_TMP=$STOKER_TEST_TMP" /proc/[0-9]*/environ | while IFS=/ read -r _ _ pid _; do
		# this script's own children are none
		[[ $pid == "$$" || $(cut -d' ' -f4 "/proc/$pid/stat" 2>/dev/null) == "$$" ]] && continue
		name=$(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline")
		[[ -n $name && $name != "bash tests/run.sh"* ]] && echo "process $pid: $name"
	done
	while read -r hash; do
		grep -ls "/run/stoker-$hash/" /proc/[0-9]*/mountinfo | sed 's/^/process with a mount: /'
		find "/run/stoker-$hash" -maxdepth 0 2>/dev/null | sed 's/^/folder /'
		find /sys/fs/cgroup -depth -type d -name "stoker-$hash" 2>/dev/null | sed 's/^/cgroup /'
	done < <(sort -u "$STOKER_TEST_RESULTS/instances" 2>/dev/null)
	grep -F "$STOKER_TEST_TMP" /proc/self/mountinfo | sed 's/^/mount /'
	find "$STOKER_TEST_TMP" -mindepth 1 -maxdepth 1 | sed 's/^/file /'
}

check_leftovers() {
	local try left

	for ((try = 0; try < 50; try++)); do
		left=$(leftovers)
		[[ -z $left ]] && return 0
		sleep 0.2
	done
	printf 'FAIL the tests left something behind:\n%s\n' "$left"
	return 1
}

STOKER_TEST_RESULTS=$(mktemp -d) && STOKER_TEST_TMP=$(mktemp -d /tmp/stoker-run-XXXXXX) || exit 1
chmod 755 "$STOKER_TEST_TMP" # the instances' own user passes through
export O STOKER_TEST_TMP STOKER_TEST_RESULTS
trap 'rm -rf "$STOKER_TEST_RESULTS" "$STOKER_TEST_TMP"' EXIT
began=$EPOCHREALTIME
programs | wanted "$@" | xargs -r -P "${STOKER_TEST_JOBS:-$(($(nproc) + 1))}" -n 1 bash tests/run.sh --one
check_leftovers
left=$?
total=$(cat "$STOKER_TEST_RESULTS"/*.count 2>/dev/null | awk -v left="$left" \
	'{ p += $1; f += $2 } END { printf "%d passed, %d failed", p + (left == 0), f + (left != 0) }')
ran=$(find "$STOKER_TEST_RESULTS" -name '*.count' | wc -l)
((ran)) || { echo "no test program ran" >&2 && exit 1; }
cat "$STOKER_TEST_RESULTS"/*.ms | awk -v whole="$(((${EPOCHREALTIME/./} - ${began/./}) / 1000))" '
	{ room[$1] += $2; all += $2 }
	END {
		printf "seconds of programs:"
		for (r in room) printf " %s %.0f,", r, room[r] / 1000
		printf " all of them %.0f; several at a time, in %.0f\n", all / 1000, whole / 1000
	}'
printf '%s\n' "$total"
[[ $total == *", 0 failed" ]]
