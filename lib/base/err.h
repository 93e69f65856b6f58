#pragma once
/* Errors are values: a kind, and in the ctx a sentence for people (lower case, no full stop). */
enum err {
	OK = 0,
	ERR_INPUT,     /* 400: the caller's words are wrong; the sentence names the field */
	ERR_AUTH,      /* 401: no token, or one we do not know */
	ERR_FORBIDDEN, /* 403: known, but may not */
	ERR_NOT_FOUND, /* 404: also for what belongs to another project */
	ERR_METHOD,    /* 405 */
	ERR_REQUIRED,  /* 406: a required field is missing (IronWorker's status for it) */
	ERR_CONFLICT,  /* 409: somebody else decided meanwhile */
	ERR_TOO_LARGE, /* 413 */
	ERR_MISMATCH,  /* 422: the same key as before, with other words */
	ERR_LIMIT,     /* 429: the caller's own limit */
	ERR_INTERNAL,  /* 500: our bug or a broken machine */
	ERR_BUSY,      /* 503 with Retry-After: ours to mend, nothing was done */
	ERR_UNSURE,    /* 502: ours to mend, and nobody can say whether it was done */
};

/* Passes an error up; the sentence is in the ctx already. */
#define TRY(x)                            \
	do {                              \
		enum err try_err_ = (x);  \
		if (try_err_ != OK)       \
			return try_err_;  \
	} while (0)
