#include "worker/monitor/swarm_api.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault_point.h"
#include "worker/monitor/engine_http.h"
#include "worker/monitor/engine_json.h"
#include "worker/monitor/init_link.h"
#include "worker/monitor/init_orders.h"
#include "worker/monitor/swarm_frame.h"

enum { ASK_MS = 30000, TRIES = 10, PAUSE_MS = 200, CONFIG_BYTES_MAX = 1000 * 1024, SCALE_TRIES = 5, LABEL_MAX = 4608 };
#define LABEL_FILTER "?filters=%7B%22label%22%3A%5B%22stoker.task%3D"
#define LABEL_FILTER_END "%22%5D%7D"

static int ask(struct swarm_api *s, const char *method, const char *target, const char *body, size_t n)
{
	const struct engine_question q = { .socket = s->socket, .method = method, .target = target, .body = body,
		                           .length = n, .timeout_ms = ASK_MS };

	return engine_ask(&q, s->answer, sizeof s->answer);
}

static int get(struct swarm_api *s, const char *before, const char *what, const char *behind)
{
	char target[256];

	snprintf(target, sizeof target, "%s%s%s", before, what, behind);
	return ask(s, "GET", target, NULL, 0);
}

/* Asks until there is an answer, since what is asked for may be asked for again. */
static int ask_until(struct swarm_api *s, const char *target, const char *body, size_t n)
{
	int status = -1;

	for (int i = 0; i < TRIES && status < 0; i++) {
		if (i)
			poll(NULL, 0, PAUSE_MS);
		status = ask(s, "POST", target, body, n);
	}
	return status;
}

static void take_id(const struct swarm_api *s, char out[SWARM_ID_MAX])
{
	engine_json_text(engine_json_find(s->answer, "ID"), out, SWARM_ID_MAX);
	if (strspn(out, "0123456789abcdefghijklmnopqrstuvwxyz") != strlen(out))
		out[0] = '\0';
}

/* Made by this node for this attempt? Then it is ours, and only the answer was lost. */
static bool has_our_labels(const struct swarm_api *s)
{
	static const char *const keys[] = { "stoker.node", "stoker.attempt" };
	const char *labels = engine_json_find(engine_json_find(s->answer, "Spec"), "Labels");
	char ours[LABEL_MAX], theirs[LABEL_MAX];

	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		engine_json_text(engine_json_find(s->labels, keys[i]), ours, sizeof ours);
		engine_json_text(engine_json_find(labels, keys[i]), theirs, sizeof theirs);
		if (!*ours || strcmp(ours, theirs) != 0)
			return false;
	}
	return true;
}

/* 201 if it is there now and is ours; the id in out. */
static int make(struct swarm_api *s, const char *target, const char *inspect, const char *name, const char *body, size_t n,
                char out[SWARM_ID_MAX])
{
	char taken[512];
	int status = ask_until(s, target, body, n);

	if (status == 409) {
		engine_message(s->answer, taken, sizeof taken);
		if (get(s, inspect, name, "") != 200 || !has_our_labels(s)) {
			snprintf(s->answer, sizeof s->answer, "%s", taken);
			return 409;
		}
		status = 201;
	}
	out[0] = '\0';
	if (status == 201 || status == 200)
		take_id(s, out);
	return *out ? 201 : status;
}

/* --- config and secrets -------------------------------------------------------------------------------- */

static char *read_whole(int fd, size_t *n)
{
	char path[32], *bytes = malloc(CONFIG_BYTES_MAX);
	int own;
	ssize_t got = 0;

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd); /* ours may be without the right to read */
	own = open(path, O_RDONLY | O_CLOEXEC);
	for (*n = 0; bytes && own >= 0 && *n < CONFIG_BYTES_MAX; *n += (size_t)got) {
		got = read(own, bytes + *n, CONFIG_BYTES_MAX - *n);
		if (got <= 0)
			break;
	}
	close(own);
	return bytes;
}

/* {"Name": …, "Labels": …, "Data": base64}; the caller frees. */
static char *data_body(const char *name, const char *labels, size_t labels_n, const uint8_t *p, size_t n, size_t *length)
{
	size_t room = labels_n + n / 3 * 4 + 256;
	char *body = malloc(room), *at;

	if (!body)
		return NULL;
	at = body + snprintf(body, room, "{\"Name\":\"%s\",\"Labels\":%.*s,\"Data\":\"", name, (int)labels_n, labels);
	at += base64_encode(p, n, at);
	*at++ = '"';
	*at++ = '}';
	*length = (size_t)(at - body);
	return body;
}

/* One for all jobs of this version of Stoker: its name tells its bytes. */
int swarm_make_config(struct swarm_api *s, int init)
{
	static const char labels[] = "{\"stoker.init\":\"1\"}";
	size_t n, length;
	char *bytes, *body;
	int status = get(s, "/configs/", s->config_name, "");

	if (status == 404) {
		bytes = read_whole(init, &n);
		body = bytes ? data_body(s->config_name, labels, sizeof labels - 1, (uint8_t *)bytes, n, &length) : NULL;
		status = body ? ask_until(s, "/configs/create", body, length) : -ENOMEM;
		free(bytes);
		free(body);
		if (status == 409) /* another job was quicker */
			status = get(s, "/configs/", s->config_name, "");
	}
	if (status == 200 || status == 201)
		take_id(s, s->config);
	return *s->config ? 201 : status;
}

static void add_reference(struct swarm_api *s, const char *id, const char *name)
{
	size_t n = strlen(s->secrets);

	snprintf(s->secrets + n, sizeof s->secrets - n,
	         "%s{\"SecretID\":\"%s\",\"SecretName\":\"%s\",\"File\":{\"Name\":\"" INIT_ORDERS_PATH "%u\",\"UID\":\"0\",\"GID\":\"0\",\"Mode\":256}}",
	         n ? "," : "", id, name, s->secret_count);
}

static int make_secret(struct swarm_api *s, const uint8_t *p, size_t n)
{
	char name[64], id[SWARM_ID_MAX];
	size_t length;
	char *body;
	int status;

	snprintf(name, sizeof name, "%s-%u", s->name, s->secret_count);
	body = data_body(name, s->labels, s->labels_n, p, n, &length);
	if (!body)
		return -ENOMEM;
	status = make(s, "/secrets/create", "/secrets/", name, body, length, id);
	free(body);
	if (status == 201) {
		add_reference(s, id, name);
		s->secret_count++;
	}
	return status;
}

int swarm_make_secrets(struct swarm_api *s, const uint8_t *orders, size_t n)
{
	int status = 201;

	s->secrets[0] = '\0';
	for (size_t at = 0; at < n && status == 201; at += INIT_ORDERS_PIECE)
		status = make_secret(s, orders + at, n - at < INIT_ORDERS_PIECE ? n - at : INIT_ORDERS_PIECE);
	return status;
}

/* --- the service ------------------------------------------------------------------------------------------ */

/* The launcher's text with what is known by now; its length. */
static size_t render(struct swarm_api *s, int replicas, bool is_over)
{
	char config[256], number[8], constraints[sizeof s->passed + 2], secrets[sizeof s->secrets + 2];
	const struct {
		const char *what, *with;
	} words[] = { { "\"@config\"", config }, { "\"@secrets\"", secrets }, { "\"@replicas\"", number },
		      { "\"@constraints\"", constraints } };
	const char *from = s->service;
	size_t n = 0;

	snprintf(number, sizeof number, "%d", replicas);
	snprintf(secrets, sizeof secrets, "[%s]", s->secrets);
	snprintf(constraints, sizeof constraints, "[%s]", is_over ? "\"node.id==none\"" : s->passed);
	snprintf(config, sizeof config, "[{\"ConfigID\":\"%s\",\"ConfigName\":\"%s\",\"File\":{\"Name\":\"" INIT_PATH
	         "\",\"UID\":\"0\",\"GID\":\"0\",\"Mode\":365}}]", s->config, s->config_name);
	while (*from && n < sizeof s->body - 1) {
		const char *with = NULL;

		for (size_t i = 0; *from == '"' && i < sizeof words / sizeof words[0] && !with; i++)
			if (strncmp(from, words[i].what, strlen(words[i].what)) == 0) {
				with = words[i].with;
				from += strlen(words[i].what);
			}
		if (!with)
			s->body[n++] = *from++;
		else
			n += (size_t)snprintf(s->body + n, sizeof s->body - n, "%s", with);
	}
	return n < sizeof s->body ? n : 0;
}

int swarm_make_service(struct swarm_api *s)
{
	size_t n = render(s, 0, false);
	int status = n ? make(s, "/services/create", "/services/", s->name, s->body, n, s->id) : -ENOSPC;

	FAULT_POINT("container", "after_create");
	return status;
}

/* To the same twice is once. Somebody else's change, and an answer that was lost, let it be tried again. */
int swarm_scale(struct swarm_api *s, bool is_over)
{
	int status = -1;

	for (int i = 0; i < SCALE_TRIES && status != 200; i++) {
		char target[128];

		status = get(s, "/services/", s->id, "");
		if (status != 200)
			return status;
		snprintf(target, sizeof target, "/services/%s/update?version=%lld", s->id,
		         (long long)engine_json_number(engine_json_find(engine_json_find(s->answer, "Version"), "Index")));
		status = ask(s, "POST", target, s->body, render(s, 1, is_over));
		if (status >= 0 && !strstr(s->answer, "out of sequence"))
			return status;
		poll(NULL, 0, PAUSE_MS);
	}
	return status;
}

bool swarm_pass_over(struct swarm_api *s, const char *node)
{
	size_t n = strlen(s->passed);
	int more = snprintf(s->passed + n, sizeof s->passed - n, "%s\"node.id!=%s\"", n ? "," : "", node);

	if ((size_t)more < sizeof s->passed - n)
		return true;
	s->passed[n] = '\0';
	return false;
}

static int remove_named(struct swarm_api *s, const char *kind, const char *name)
{
	char target[128];
	int status;

	snprintf(target, sizeof target, "/%s/%s", kind, name);
	status = ask(s, "DELETE", target, NULL, 0);
	return status == 404 ? 200 : status;
}

int swarm_remove(struct swarm_api *s)
{
	char name[64];
	int status = *s->id ? remove_named(s, "services", s->id) : 200;

	for (unsigned i = 0; i < s->secret_count && status == 200; i++) {
		snprintf(name, sizeof name, "%s-%u", s->name, i);
		remove_named(s, "secrets", name);
	}
	return status;
}

/* --- who else is there -------------------------------------------------------------------------------------- */

/* The number behind the last '-', 0 if there is none. */
static unsigned long attempt_number(const char *attempt)
{
	const char *dash = strrchr(attempt, '-');

	return dash ? strtoul(dash + 1, NULL, 10) : 0;
}

int swarm_remove_older(struct swarm_api *s, bool *newer)
{
	char ids[SWARM_TASKS_MAX][SWARM_ID_MAX], attempt[64];
	const char *one;
	size_t n = 0;
	int status = get(s, "/services" LABEL_FILTER, s->task, LABEL_FILTER_END);

	*newer = false;
	if (status != 200)
		return status;
	for (one = engine_json_first(s->answer); one && n < SWARM_TASKS_MAX; one = engine_json_next(one)) {
		const char *labels = engine_json_find(engine_json_find(one, "Spec"), "Labels");

		engine_json_text(engine_json_find(labels, "stoker.attempt"), attempt, sizeof attempt);
		engine_json_text(engine_json_find(one, "ID"), ids[n], SWARM_ID_MAX);
		*newer = *newer || attempt_number(attempt) > attempt_number(s->attempt);
		n += strcmp(ids[n], s->id) != 0 && attempt_number(attempt) <= attempt_number(s->attempt);
	}
	for (size_t i = 0; i < n && status == 200; i++)
		status = remove_named(s, "services", ids[i]);
	return status;
}

static bool is_final(const char *state)
{
	static const char *const finals[] = { "complete", "shutdown", "failed", "rejected", "remove", "orphaned" };

	for (size_t i = 0; i < sizeof finals / sizeof finals[0]; i++)
		if (strcmp(state, finals[i]) == 0)
			return true;
	return false;
}

static void read_task(const struct swarm_api *s, const char *json, struct swarm_task *t)
{
	const char *status = engine_json_find(json, "Status"), *container = engine_json_find(status, "ContainerStatus");
	char service[SWARM_ID_MAX];

	engine_json_text(engine_json_find(json, "ServiceID"), service, sizeof service);
	engine_json_text(engine_json_find(json, "NodeID"), t->node, sizeof t->node);
	engine_json_text(engine_json_find(status, "State"), t->state, sizeof t->state);
	engine_json_text(engine_json_find(status, "Err"), t->why, sizeof t->why);
	engine_json_text(engine_json_find(container, "ContainerID"), t->container, sizeof t->container);
	t->exit_code = (int)engine_json_number(engine_json_find(container, "ExitCode"));
	t->is_ours = strcmp(service, s->id) == 0;
	t->is_alive = *t->node && !is_final(t->state); /* without a node it is a plan */
}

int swarm_tasks(struct swarm_api *s, struct swarm_task *out, size_t *n)
{
	int status = get(s, "/tasks" LABEL_FILTER, s->task, LABEL_FILTER_END);

	*n = 0;
	if (status != 200)
		return status;
	for (const char *one = engine_json_first(s->answer); one && *n < SWARM_TASKS_MAX; one = engine_json_next(one))
		read_task(s, one, &out[(*n)++]);
	return status;
}

int swarm_node_is_down(struct swarm_api *s, const char *node, bool *is_down, char *name, size_t room)
{
	char state[16];
	int status = get(s, "/nodes/", node, "");

	*is_down = false;
	if (status != 200)
		return status;
	engine_json_text(engine_json_find(engine_json_find(s->answer, "Status"), "State"), state, sizeof state);
	engine_json_text(engine_json_find(engine_json_find(s->answer, "Description"), "Hostname"), name, room);
	*is_down = strcmp(state, "down") == 0;
	return status;
}

int swarm_signal_here(struct swarm_api *s, const struct swarm_task *task, const char *signal)
{
	char target[160];

	if (strspn(task->container, "0123456789abcdef") != 64 || task->container[64])
		return 404;
	snprintf(target, sizeof target, "/containers/%s/kill?signal=%s", task->container, signal);
	return ask(s, "POST", target, NULL, 0);
}
