#pragma once
#include "fcgi/request.h"

/* Prefer: wait=N (RFC 7240): the client would rather have its answer late than come back for it. */
enum { PREFER_WAIT_MOST_S = 60 };
/* The seconds it asks for, cut to the most; -1 when it does not, or says nonsense, which is to be ignored. */
int prefer_wait_s(const struct request *rq);
