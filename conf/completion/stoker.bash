# bash completion for stoker: source it, or put it into /usr/share/bash-completion/completions/stoker.
# Commands and options come from the program's own help, so this file never lags behind.
# shellcheck shell=bash

# The words of all commands, one command a line.
_stoker_commands() {
	"$1" --help 2>/dev/null | sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z ]*[a-z]\).*/\1/p'
}

# The next word of the commands that begin with the words given.
_stoker_next_words() { # PROGRAM "WORDS "
	_stoker_commands "$1" | awk -v front="$2" 'index($0 " ", front) == 1 {
		rest = substr($0, length(front) + 1)
		split(rest, word, " ")
		if (word[1] != "") print word[1]
	}'
}

_stoker_options() { # PROGRAM WORDS...
	"$@" --help 2>/dev/null | grep -oE '(^|[ ,])--?[a-z][a-z-]*' | tr -d ' ,'
}

_stoker() {
	local program=${COMP_WORDS[0]} word=${COMP_WORDS[COMP_CWORD]} front='' i next
	local -a command=()

	for ((i = 1; i < COMP_CWORD; i++)); do
		next=$(_stoker_next_words "$program" "$front")
		[[ $'\n'$next$'\n' == *$'\n'${COMP_WORDS[i]}$'\n'* ]] || break
		command+=("${COMP_WORDS[i]}")
		front+="${COMP_WORDS[i]} "
	done
	if [[ $word == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_stoker_options "$program" "${command[@]}")" -- "$word")
	elif ((i == COMP_CWORD)) && next=$(_stoker_next_words "$program" "$front") && [[ -n $next ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$next" -- "$word")
	else
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
	fi
}

complete -o filenames -F _stoker stoker
