#pragma once
#include <stdint.h>

/* The law of order (design.md 6): what is due starts in order of its rank, one number. A level of
 * priority is a head start of so many seconds, so that higher ones go first and nothing starves.
 * The trigger that queues computes the same in SQL (sql/0001_tables.sql); a test compares both.
 * Times in microseconds since 1970. */
static inline int64_t rank_at(int64_t due_us, int64_t priority, int64_t head_start_s)
{
	return due_us - priority * head_start_s * 1000000;
}
