#!/usr/bin/env bash
# make lint: what the house demands and a machine can see. Every check prints what it found; the
# script fails when any did. `lint.sh NAME ...` runs only the checks named.
# shellcheck disable=SC2317 # the checks are called by their names
set -uo pipefail
shopt -s lastpipe # report ends pipes, and what it finds must be known here
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
O=${O:-build}
failed=0

# Found lines on stdin, a sentence as the argument: nothing found is good.
report() {
	local found

	found=$(cat)
	if [[ -n $found ]]; then
		printf 'FAIL %s\n%s\n' "$1" "$found" | sed '2,$s/^/     /'
		failed=1
	else
		printf 'ok   %s\n' "$1"
	fi
}

files() { # PATTERN...: what is in the repository or about to be, without what is being deleted
	git ls-files --cached --others --exclude-standard -- "$@" | while read -r file; do
		[[ -f $file ]] && printf '%s\n' "$file"
	done
}

sources() {
	files '*.c' '*.h'
}

# Comments and string contents must not look like calls or includes do.
without_comments() { # FILE: keeps line numbers
	awk '{
		line = $0; out = ""
		while (line != "") {
			if (inside) {
				end = index(line, "*/")
				if (!end) { line = ""; break }
				line = substr(line, end + 2); inside = 0
			} else if (match(line, /\/\*|\/\//)) {
				out = out substr(line, 1, RSTART - 1)
				if (substr(line, RSTART, 2) == "//") { line = ""; break }
				line = substr(line, RSTART + 2); inside = 1
			} else { out = out line; line = "" }
		}
		print out
	}' "$1"
}

# --- rooms and names -------------------------------------------------------------------------------

check_rooms() {
	files | cut -d/ -f1 | sort -u |
		grep -vxE '\..*|Makefile|README\.md|LICENSE|CHANGELOG\.md|fcgi|worker|sql|www|conf|tests|lib|cli|docs' |
		report "rooms: nothing but the given ones and lib, cli, docs at the top"
}

check_names() {
	files | grep -iE '(^|/)[^/]*(util|misc|common|helper)[^/]*$' | report "names: no util, misc, common or helpers"
}

check_words() {
	# written so that this file does not find itself
	files | grep -vE '^(LICENSE|tests/lint/lint\.sh)$' | tr '\n' '\0' |
		xargs -0 grep -InwE 'TOD[O]|FIXM[E]|HAC[K]|XX[X]|wip' | cut -c1-160 | report "words: nothing is left to be done later"
	files | tr '\n' '\0' | xargs -0 grep -InE '(^|[^a-zA-Z0-9._-])/wor[k]/' | cut -c1-160 |
		report "words: no path of the place where it was written"
}

# Two who took the same next number merge without a conflict, and no database starts any more.
check_migrations() {
	files 'sql/[0-9]*.sql' | grep -v '\.logs\.sql$' | grep -oE '/[0-9]{4}' | uniq -d | report "migrations: each has a number of its own"
}

# Each promise names its test, as file:name in backquotes.
check_guarantees() {
	local named file name

	# shellcheck disable=SC2016 # these are Markdown's backquotes
	grep -oE '`test_[a-z_]+\.(c|py):[a-z0-9_]+`' docs/guarantees.md | tr -d '`' | sort -u | while IFS=: read -r file name; do
		named=$(files "tests/*/$file" | head -n 1)
		[[ -n $named ]] && grep -qE "START_TEST\($name\)|def $name\(" "$named" || echo "$file has no test $name"
	done | report "guarantees: each names a test that is there"
	grep -E '^\|' docs/guarantees.md | grep -vE '^\| (promise|---)' | grep -v '`test_' | report "guarantees: none is without a test"
}

# IronWorker's clients keep to 27 rules; each has a test that bears its number.
check_rules() {
	local rule

	for rule in $(seq -w 1 27); do
		files 'tests/*' | tr '\n' '\0' | xargs -0 grep -qE "(def|START_TEST\\()[ ]?test_rule_${rule}_" ||
			echo "rule $rule has no test named test_rule_${rule}_..."
	done | report "rules: each of 1 to 27 has a test bearing its number"
}

# --- floors ----------------------------------------------------------------------------------------------

# Folder, then the folders whose headers it may include ("folder:only" names one header).
FLOORS="
lib/base        base
lib/model       base model
lib/store       base model store
fcgi            base model store fcgi
worker/monitor  worker/monitor worker/launcher/launch_request.h base/fault_point.h
worker/launcher base worker/launcher worker/monitor worker/engine
worker          base model store worker
cli             base model store cli worker/image
"

floor_of() { # FILE: the longest folder of the table that holds it
	awk -v file="$1" 'NF && index(file, $1 "/") == 1 && length($1) > length(best) { best = $1; may = $0 }
		END { sub(/^[^ ]+ +/, "", may); print may }' <<<"$FLOORS"
}

climbing() {
	local file allowed header folder

	sources | grep -E '^(lib|fcgi|worker|cli)/' | while read -r file; do
		allowed=$(floor_of "$file")
		without_comments "$file" | sed -n 's/^[ \t]*#[ \t]*include[ \t]*"\([^"]*\)".*/\1/p' | while read -r header; do
			# without a folder it is a neighbour
			[[ $header == */* ]] || continue
			for folder in $allowed; do
				[[ $header == "$folder" || $header == "$folder"/* ]] && continue 2
			done
			printf '%s includes "%s"\n' "$file" "$header"
		done
	done
}

check_floors() {
	climbing | report "floors: includes go down or stay, programs never include each other"
}

# Each statement of C that prints or appends text with words of SQL in it, over as many lines as it
# takes: "FILE:LINE: FUNCTION: TEXT".
printed_sql() { # FILE
	without_comments "$1" | awk -v file="$1" '
		/^[a-z].*\(/ { name = $0; sub(/\(.*/, "", name); sub(/.*[ *]/, "", name) }
		{ if (text == "") first = FNR; text = text $0 " " }
		/[;{}][ \t]*$/ {
			if (text ~ /(print|cat|join|append|format|buf_)[a-z_]* *\(/ &&
			    text ~ /"[^"]*(SELECT|INSERT|REPLACE|UPDATE|DELETE|ALTER|CREATE|DROP|PARTITION|WHERE|FROM|SET|VALUES)[ "]/) {
				gsub(/[ \t]+/, " ", text); print file ":" first ": " name ": " text
			}
			text = ""
		}'
}

# Values that cannot be bound: days of partitions and the tests' clock, integers all of them.
PRINTS_INTEGERS='^lib/store/(log_store\.c:[0-9]+: (make_ahead|drop_before)|db\.c:[0-9]+: db_set_clock): '

check_sql() {
	local file

	sources | grep -E '^(lib/base|lib/model|fcgi|worker|cli)/' | while read -r file; do
		without_comments "$file" | grep -nE '"[^"]*\b(SELECT .*\bFROM|INSERT (IGNORE )?INTO|REPLACE INTO|UPDATE [a-z_`]+ SET|DELETE FROM|CREATE (TABLE|TRIGGER|VIEW)|ALTER TABLE|DROP TABLE)\b' |
			sed "s|^|$file:|"
	done | report "sql: statements stand in lib/store and sql alone"
	sources | grep '^lib/store/' | while read -r file; do
		printed_sql "$file"
	done | grep -vE "$PRINTS_INTEGERS" | report "sql: no statement is printed together, but for named integers"
}

check_calls() {
	local file

	sources | while read -r file; do
		without_comments "$file" | sed 's/"\([^"\\]\|\\.\)*"/""/g' |
			grep -nE '(^|[^a-zA-Z0-9_>.])(sprintf|vsprintf|strcpy|stpcpy|strcat|atoi|atol|atoll|system|popen|strtok|gets|tmpnam|mktemp|alloca|rand|srand|gmtime|localtime|asctime|ctime) *\(' |
			sed "s|^|$file:|"
	done | report "calls: none that we do not use"
}

# --- what tools see -----------------------------------------------------------------------------------------

check_shell() {
	local file

	files | while read -r file; do
		[[ $(head -c 64 "$file" | head -n 1 | tr -d '\0') =~ ^#!.*(bash|/sh|env\ sh) ]] && printf '%s\0' "$file"
	done | xargs -0 shellcheck -x -f gcc 2>&1 | report "shellcheck"
}

built() { # COMPILER FOLDER: what it warned of; where it failed, how
	local said

	said=$(make --no-print-directory -s -j"$(nproc)" O="$2" CC="$1" all tests-built 2>&1) ||
		{ printf '%s\n' "$said" | tail -n 40 && echo "make ended with a failure" && return; }
	grep 'warning:' <<<"$said"
}

check_compilers() {
	built gcc "$O" | report "gcc without warnings"
	built clang "${O%/}-clang" | report "clang without warnings"
}

check_cppcheck() {
	# tests are checked by running them; the suppressions each have their reason beside them
	cppcheck -q -j"$(nproc)" --std=c11 --enable=warning,performance,portability --inline-suppr \
		--suppressions-list=tests/lint/cppcheck.supp -D_GNU_SOURCE -Ilib -I. \
		--template='{file}:{line}: {severity}: {message} [{id}]' lib fcgi worker cli 2>&1 | report "cppcheck"
}

longest() {
	# shellcheck disable=SC2016 # awk's fields, not the shell's
	sources | grep '\.c$' | tr '\n' '\0' | xargs -0 awk '
		FNR == 1 { open = 0 }
		/^[a-z].*\(/ { name = $0; sub(/\(.*/, "", name); sub(/.*[ *]/, "", name) }
		/^\{/ { open = FNR }
		/^\}/ && open { print FNR - open - 1, FILENAME ":" open, name; open = 0 }' | sort -rn
}

check_functions() {
	echo "     the ten longest functions:"
	longest | head -n 10 | sed 's/^/     /'
	longest | awk '$1 > 60' | report "functions: none above 60 lines"
}

elf_faults() { # BINARY: what is missing of PIE, RELRO, NX, canary
	local all is_static=0

	[[ -e $1 ]] || { echo "$1 is not built" && return; }
	all=$(readelf -hlWd -s "$1" 2>/dev/null)
	grep -q 'INTERP' <<<"$all" || is_static=1
	grep -qE 'GNU_STACK.* RW +0x' <<<"$all" || echo "$1: the stack may be executed"
	grep -q 'GNU_RELRO' <<<"$all" || echo "$1: no RELRO"
	grep -qE '\((RPATH|RUNPATH|TEXTREL)\)' <<<"$all" && echo "$1: has RPATH or TEXTREL"
	grep -q '__stack_chk_fail' <<<"$all" || echo "$1: no stack canaries"
	((is_static)) && return
	grep -qE 'Type: +DYN' <<<"$all" || echo "$1: not position independent"
	grep -qE 'BIND_NOW|Flags:.*NOW' <<<"$all" || echo "$1: RELRO is not full"
}

check_nth_call() {
	python3 -B tests/lint/nth_call.py | report "n-th call: each function of lib/store with more than one change is in the table"
}

check_elf() {
	local file

	for file in "$O"/bin/stoker{,-api,-worker,-launcher,-monitor,-init,-unpack,-layers}; do
		elf_faults "$file"
	done | report "binaries: PIE, full RELRO, NX, canaries (static ones: RELRO, NX, canaries)"
	for file in "$O"/bin/stoker-{api,worker,launcher}; do
		readelf -dW "$file" | grep -q 'NEEDED.*libarchive' && echo "$file links libarchive"
	done | report "binaries: nothing that meets jobs or the network links libarchive"
	# what is loaded of it, one a container: without what only a debugger reads
	size "$O/bin/stoker-monitor" | awk 'NR == 2 && $4 >= 1048576 { print $6 ": " $4 " bytes" }' | report "binaries: the monitor is under 1 MiB"
}

checks=("$@")
(($#)) || checks=(rooms names words migrations guarantees rules floors sql calls shell compilers cppcheck functions nth_call elf)
for check in "${checks[@]}"; do
	"check_$check"
done
exit $failed
