#include "model/schedule_keys.h"

#include <ctype.h>

enum { KEY_BYTES = 40, SHORT_BYTES = 4 };

/* ironworker-api.md 6.1 and 12: without a meaning for us. */
static const char *const OF_CLIENTS[] = {
	"name", "sync", "delay_type", "max_concurrency", "wait", "options", "api_version", "oauth", "token", "schedule_id",
	"encryptionKey", "encryptionKeyFile", "encryption_key", "encryption_key_file", "payload_file", "class_name", "access_key",
	NULL,
};
/* What schedule_to_json says besides the fields. */
static const char *const OF_ANSWERS[] = {
	"id", "project_id", "code_id", "status", "created_at", "updated_at", "next_start", "last_run_time", "run_count", "error_count",
	"payload_size", "msg", "paused", "code_paused", "paused_at", "paused_by", "pause_reason", "resumed_at", "resumed_by",
	"resume_reason", NULL,
};
static const char *const WHEN[] = { "start_at", "delay", "run_every", "cron", NULL };

static bool is_among(const char *const *names, const char *key)
{
	while (*names && strcmp(*names, key) != 0)
		names++;
	return *names != NULL;
}

static const struct schedule_key *find(const struct schedule_key *keys, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(keys[i].name, key) == 0)
			return &keys[i];
	return NULL;
}

/* "timeZone", "time-zone" and "time_zone" are one word; what is longer than any field is cut. */
static size_t fold(const char *key, char out[KEY_BYTES])
{
	size_t n = 0;

	for (; *key && n < KEY_BYTES - 1; key++)
		if (*key != '_' && *key != '-' && *key != ' ')
			out[n++] = (char)tolower((unsigned char)*key);
	out[n] = 0;
	return n;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* How many letters have to be changed, left out or put in (Levenshtein), a row of the table at a time. */
static size_t distance(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
	size_t row[KEY_BYTES];

	for (size_t k = 0; k <= b_bytes; k++)
		row[k] = k;
	for (size_t i = 1; i <= a_bytes; i++) {
		size_t corner = row[0];

		row[0] = i;
		for (size_t k = 1; k <= b_bytes; k++) {
			size_t changed = corner + (a[i - 1] != b[k - 1]);

			corner = row[k];
			row[k] = least(changed, least(row[k], row[k - 1]) + 1);
		}
	}
	return row[b_bytes];
}

/* How far the key is from a field that may be meant by it; SIZE_MAX = too far. */
static size_t likeness(const char *key, const struct schedule_key *field)
{
	char a[KEY_BYTES], b[KEY_BYTES];
	size_t a_bytes = fold(key, a), b_bytes = fold(field->name, b);
	size_t d = distance(a, a_bytes, b, b_bytes);

	if (a_bytes > 2 && d <= (b_bytes > SHORT_BYTES ? 2 : 1))
		return d;
	return field->is_ours && strncmp(a, b, b_bytes) == 0 ? d : SIZE_MAX;
}

static const char *most_like(const char *key, const struct schedule_key *keys, size_t n)
{
	size_t best = SIZE_MAX;
	const char *name = NULL;

	for (size_t i = 0; i < n; i++) {
		size_t d = likeness(key, &keys[i]);

		if (d < best) {
			best = d;
			name = keys[i].name;
		}
	}
	return name;
}

static enum err refuse(struct ctx *cx, const char *key, const char *like)
{
	return err_set(cx, ERR_INPUT, "field %s: is not known here%s%s%s", key, like ? ": did you mean " : "", like ? like : "",
	               like ? "?" : "");
}

/* Is it one of ours, or does IronWorker's own kind of schedule say when it runs? */
static bool is_ironworkers(const json_t *j, const struct schedule_key *keys, size_t n)
{
	bool says_when = false;
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)j, key, value) {
		const struct schedule_key *field = find(keys, n, key);

		if (field && field->is_ours && !json_is_null(value))
			return false;
		says_when = says_when || (is_among(WHEN, key) && !json_is_null(value));
	}
	return says_when;
}

enum err schedule_keys_check(struct ctx *cx, const json_t *j, const struct schedule_key *keys, size_t n, const char **ignored)
{
	const char *key;
	json_t *value;

	*ignored = NULL;
	json_object_foreach((json_t *)(uintptr_t)j, key, value) {
		if (find(keys, n, key) || is_among(OF_CLIENTS, key) || is_among(OF_ANSWERS, key))
			continue;
		if (most_like(key, keys, n) || !is_ironworkers(j, keys, n))
			return refuse(cx, key, most_like(key, keys, n));
		*ignored = *ignored ? *ignored : key;
	}
	return OK;
}
