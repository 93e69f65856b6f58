#pragma once
#include <stdbool.h>
#include <sys/types.h>

/* Programs of others that a monitor needs for moments. */

/* In the child, before exec: no signal is blocked, and it dies with us. */
void tool_begin(void);

/* Waits for a child, at most 10 s; then it is killed. True if it ended with 0; else errno is EIO. */
bool tool_ended_well(pid_t pid);
