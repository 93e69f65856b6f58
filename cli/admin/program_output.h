#pragma once
#include <stdbool.h>
#include <stddef.h>

/* Runs a program (found by PATH, no shell) and reads the start of what it prints to stdout, at most
 * size - 1 bytes, NUL-terminated. True if it was there and ended with 0; it is killed after 5 s. */
bool program_output(char *const argv[], char *out, size_t size);
