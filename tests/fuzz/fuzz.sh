#!/usr/bin/env bash
# Runs the fuzz targets of tests/fuzz (built by make fuzz-built; libFuzzer, ASan, UBSan, leaks).
#
#   tests/fuzz/fuzz.sh                  every target: a million inputs or ten minutes
#   tests/fuzz/fuzz.sh --short PROGRAM  one of them for the seconds that it gets in make check
#
# The corpus of a target, tests/fuzz/corpus/NAME, is only read; large.py makes what is too large to be kept. An input that breaks something is
# printed in base64 and, by make fuzz, kept as crash-… in build-fuzz: mend the product, and put the
# case into a unit test.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
BUILT=build-fuzz
INPUTS=1000000 SECONDS_EACH=600

run_with() { # PROGRAM ARTIFACTS FOLDER LENGTH RUNS SECONDS OPTION...
	local program=$1 artifacts=$2 fresh=$3 length=$4 runs=$5 seconds=$6
	shift 6

	"$program" -timeout=10 -rss_limit_mb=1024 -use_value_profile=1 -artifact_prefix="$artifacts" \
		-max_len="$length" -runs="$runs" -max_total_time="$seconds" "$@" \
		"$fresh" "tests/fuzz/corpus/${program##*/fuzz_}" 2>&1 | grep -vE '^#[0-9]+\s|^\s+NEW_FUNC|# Uses: |Recommended dictionary'
	return "${PIPESTATUS[0]}"
}

# What is read through windows of 64 KiB gets a tenth of its inputs, or a quarter of its time, with such as fill more than one.
run_target() { # PROGRAM ARTIFACTS RUNS SECONDS OPTION...
	local program=$1 artifacts=$2 runs=$3 seconds=$4 large=0 fresh status
	shift 4

	case ${program##*/fuzz_} in
		json | multipart | unzip | zip) large=$((seconds / 4)) ;;
	esac
	fresh=$(mktemp -d "${STOKER_TEST_TMP:-/tmp}/fuzz-XXXXXX") || return 1
	run_with "$program" "$artifacts" "$fresh" 4096 "$runs" $((seconds - large)) "$@"
	status=$?
	if ((large && status == 0)); then
		tests/fuzz/large.py "${program##*/fuzz_}" "$fresh" &&
			run_with "$program" "$artifacts" "$fresh" 131072 $((runs < 0 ? runs : runs / 10)) "$large" "$@"
		status=$?
	fi
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
		run_target "$2" "${STOKER_TEST_TMP:-/tmp}/fuzz-found-" -1 "$seconds" -seed=1
		status=$?
		rm -f "${STOKER_TEST_TMP:-/tmp}"/fuzz-found-*
		exit "$status"
		;;
	--whole)
		output=$(run_target "$2" "$BUILT/" "$INPUTS" "$SECONDS_EACH")
		status=$?
		((status)) && printf '%s\n' "$output"
		printf '%-4s %-20s %s\n' "$( ((status)) && echo FAIL || echo ok)" "${2##*/}" "$(grep '^Done ' <<<"$output" | paste -sd ' ')"
		exit "$status"
		;;
	*) printf '%s\n' "$BUILT"/tests/fuzz/fuzz_*[a-z0-9] | grep -v '\.' |
		xargs -P "$(nproc)" -n 1 "${BASH_SOURCE[0]}" --whole ;;
esac
