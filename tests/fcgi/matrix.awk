# Names each row of the table of routes that the authorisation matrix lacks, and fails if there is one:
#   awk -f matrix.awk tests/fcgi/test_matrix.c fcgi/routes.c
# Rows are read as C has them, string literals and the names of #define beside each other; one that this
# does not see is still found by the test, which compares the tables themselves.

# "GET " P "/codes" or P "/codes", up to the first comma outside of quotes: one text
function text_of(s,    out, name) {
	for (;;) {
		sub(/^[ \t]+/, "", s)
		if (match(s, /^"[^"]*"/))
			out = out substr(s, 2, RLENGTH - 2)
		else if (match(s, /^[A-Z]+/)) {
			name = substr(s, 1, RLENGTH)
			out = out defined[FILENAME, name]
		} else
			return out
		s = substr(s, RLENGTH + 1)
	}
}

/^#define [A-Z]+ "/ {
	defined[FILENAME, $2] = text_of($3)
}
/^\t\{ "/ {
	lawful[text_of(substr($0, 4))] = 1
}
/^\t(API|PAGE)_ROW\(/ {
	method = substr($0, index($0, "(") + 1)
	path = method
	sub(/,.*/, "", method)
	sub(/^[A-Z]+,/, "", path)
	rows++
	if (!(method " " text_of(path) in lawful)) {
		printf "%s:%d: %s %s: say in tests/fcgi/test_matrix.c who may\n", FILENAME, FNR, method, text_of(path)
		missing = 1
	}
}

END {
	if (!rows)
		print "no row of the table of routes was found"
	exit missing || !rows
}
