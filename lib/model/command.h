#pragma once
#include "base/ctx.h"

/* What a job runs (IronWorker 9.4): the image's entry point, then the code's command or else the
 * image's own words. A command with characters that mean something to a shell runs as
 * `sh -c COMMAND`; any other is split at blanks. */
enum { COMMAND_WORDS_MOST = 1024 };

/* True if `command` needs a shell: it holds one of | & ; < > ( ) $ ` \ " ' * ? [ ] # ~ = ! { } or a
 * line end. */
bool command_needs_shell(struct str command);

/* The words of a command: views or literals in an array of the arena; none for a blank command.
 * ERR_INPUT: more than COMMAND_WORDS_MOST, or a NUL byte. */
enum err command_words(struct ctx *cx, struct str command, struct str **words, size_t *n);

/* A code's field `command`, as far as it can be judged before it runs: command_words would take it and,
 * where a shell reads it, its quotes are closed. Not judged: what nests quotes ($(…), `…`, ${…}, $'…',
 * here-documents); there the shell has the last word. ERR_INPUT names the field. */
enum err command_check(struct ctx *cx, struct str command);

/* entrypoint + (command's words, or cmd when the command is blank). ERR_INPUT when that is nothing:
 * "the image names no program and the code no command". */
enum err command_argv(struct ctx *cx, const struct str *entrypoint, size_t entrypoint_n,
                      const struct str *cmd, size_t cmd_n, struct str command, struct str **argv, size_t *argc);
