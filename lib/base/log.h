#pragma once

/* The programs' own log: one line an event on stderr, `event key=value …`, with journald's <N>
 * priority in front when stderr is the journal ($JOURNAL_STREAM), else an ISO time.
 * Control bytes and bytes over 0x7e in the finished line are written as \xNN, so nothing that came
 * from outside can forge a line. Write free text as key="%s". Never pass secrets. */
void log_info(const char *event, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_warn(const char *event, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_error(const char *event, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Name of the program, put into each line; call once at start with a string that stays. */
void log_name(const char *program);
