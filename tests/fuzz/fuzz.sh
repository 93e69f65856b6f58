#!/usr/bin/env bash
# Runs the fuzz targets of tests/fuzz (built by make fuzz-built; libFuzzer, ASan, UBSan, leaks).
#
#   tests/fuzz/fuzz.sh                  every target: a million inputs or ten minutes
#   tests/fuzz/fuzz.sh --short PROGRAM  one of them for the seconds that it gets in make check
#
# The corpus of a target, tests/fuzz/corpus/NAME, is only read. An input that breaks something is
# printed in base64 and, by make fuzz, kept as crash-… in build-fuzz: mend the product, and put the
# case into a unit test.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
BUILT=build-fuzz
INPUTS=1000000 SECONDS_EACH=600

run_target() { # PROGRAM ARTIFACTS LIMIT...
	local program=$1 artifacts=$2 name=${1##*/fuzz_} fresh status
	shift 2

	fresh=$(mktemp -d "${STOKER_TEST_TMP:-/tmp}/fuzz-XXXXXX") || return 1
	"$program" -timeout=10 -rss_limit_mb=1024 -max_len=4096 -use_value_profile=1 -artifact_prefix="$artifacts" "$@" \
		"$fresh" "tests/fuzz/corpus/$name" 2>&1 | grep -vE '^#[0-9]+\s|^\s+NEW_FUNC|# Uses: |Recommended dictionary'
	status=${PIPESTATUS[0]}
	rm -rf "$fresh"
	return "$status"
}

case ${1:-} in
	--short) # what is found stays in the output: a test leaves no file
		case $2 in
			*_cron | *_crontab | *_envelope | *_headers | *_mask | *_output | *_request | *_zone) seconds=5 ;;
			*) seconds=20 ;;
		esac
		# the same inputs each time: a build is judged by itself, not by luck; make fuzz tries new ones
		run_target "$2" "${STOKER_TEST_TMP:-/tmp}/fuzz-found-" -seed=1 -max_total_time="$seconds"
		status=$?
		rm -f "${STOKER_TEST_TMP:-/tmp}"/fuzz-found-*
		exit "$status"
		;;
	--whole)
		output=$(run_target "$2" "$BUILT/" -runs="$INPUTS" -max_total_time="$SECONDS_EACH")
		status=$?
		((status)) && printf '%s\n' "$output"
		printf '%-4s %-20s %s\n' "$( ((status)) && echo FAIL || echo ok)" "${2##*/}" "$(grep '^Done ' <<<"$output")"
		exit "$status"
		;;
	*) printf '%s\n' "$BUILT"/tests/fuzz/fuzz_*[a-z0-9] | grep -v '\.' |
		xargs -P "$(nproc)" -n 1 "${BASH_SOURCE[0]}" --whole ;;
esac
