#include "store/verify_laws.h"

#include <stdlib.h>

#include "base/crypt.h"
#include "base/json.h"

/* --- I14: a key and its task ------------------------------------------------------------------------------- */

static const struct sql KEYS = {
	"SELECT project_id, `key`, answer FROM idempotency WHERE (project_id > ? OR (project_id = ? AND `key` > ?))"
	" ORDER BY project_id, `key` LIMIT ?", "sssi" };
static const struct sql TASK_OF_PROJECT = { "SELECT 1 FROM task WHERE id = ? AND project_id = ?", "ss" };

/* One task that a key answers with. */
struct key_task {
	struct id task, project;
	unsigned char key[32];
};
struct key_tasks {
	struct key_task *list;
	size_t n, room;
};

static void key_tasks_release(struct key_tasks *k)
{
	free(k->list);
}

static void key_tasks_add(struct key_tasks *k, struct key_task one)
{
	if (k->n == k->room) {
		k->room = k->room ? 2 * k->room : 256;
		k->list = reallocarray(k->list, k->room, sizeof *k->list);
		if (!k->list)
			abort();
	}
	k->list[k->n++] = one;
}

static const char *key_name(struct ctx *cx, const struct key_task *k)
{
	char text[2 * sizeof k->key + 1];

	hex_format(k->key, sizeof k->key, text);
	text[2 * sizeof k->key] = 0;
	return arena_printf(&cx->arena, "key %.16s of project %s", text, id_format(&k->project).s);
}

/* The ids that an answer names: {"tasks": [{"id": …}]}, the wire's form since the first version. */
static enum err ids_of_answer(struct ctx *cx, struct str answer, struct key_task like, struct key_tasks *out)
{
	static const struct json_limits LIMITS = { 8, 1 << 20 };
	auto_json *j = NULL;
	json_t *tasks = NULL, *one;
	size_t i;

	TRY(json_read(cx, answer, LIMITS, &j));
	TRY(json_get_array(cx, j, "tasks", &tasks));
	json_array_foreach (tasks, i, one) {
		struct str id = STR_LIT("");

		TRY(json_get_text(cx, one, "id", &id));
		if (id_parse(id, &like.task))
			key_tasks_add(out, like);
	}
	return OK;
}

static enum err check_key(struct db *db, struct ctx *cx, struct verify *v, const struct val *row_of_key, struct key_tasks *all)
{
	struct key_task like = { .project = val_id(&row_of_key[0]) };
	struct key_tasks mine = { 0 };
	struct str key = val_str(&row_of_key[1]);
	enum err e = OK;

	memcpy(like.key, key.p, key.n < sizeof like.key ? key.n : sizeof like.key);
	if (ids_of_answer(cx, val_str(&row_of_key[2]), like, &mine) != OK)
		verify_tell(v, "I14", "a kept answer can be read", str_of(key_name(cx, &like)));
	for (size_t i = 0; i < mine.n && e == OK; i++) {
		struct rows r;

		e = db_query(db, cx, &TASK_OF_PROJECT, VALS(v_id(&mine.list[i].task), v_id(&like.project)), &r);
		if (e == OK && !r.n)
			verify_tell(v, "I14", "the tasks that a key answers with are there",
			     str_of(arena_printf(&cx->arena, "task %s, %s", id_format(&mine.list[i].task).s, key_name(cx, &like))));
		key_tasks_add(all, mine.list[i]);
	}
	key_tasks_release(&mine);
	return e;
}

static int by_task(const void *a, const void *b)
{
	return memcmp(&((const struct key_task *)a)->task, &((const struct key_task *)b)->task, sizeof(struct id));
}

/* A hundred keys behind `at`, which moves on; *more = there were as many. */
static enum err check_keys(struct db *db, struct ctx *cx, struct verify *v, struct key_task *at, struct key_tasks *all, bool *more)
{
	enum { AT_ONCE = 100 };
	struct str key = str_bytes(at->key, sizeof at->key);
	struct rows r;

	TRY(db_query(db, cx, &KEYS, VALS(v_id(&at->project), v_id(&at->project), v_s(key), v_i(AT_ONCE)), &r));
	for (size_t i = 0; i < r.n; i++)
		TRY(check_key(db, cx, v, row(&r, i), all));
	*more = r.n == AT_ONCE;
	if (r.n) {
		at->project = val_id(&row(&r, r.n - 1)[0]);
		memcpy(at->key, val_str(&row(&r, r.n - 1)[1]).p, sizeof at->key);
	}
	return OK;
}

/* At most a day's keys are kept, so their ids fit into memory. */
enum err verify_keys(struct db *db, struct ctx *cx, struct verify *v)
{
	__attribute__((cleanup(key_tasks_release))) struct key_tasks all = { 0 };
	struct key_task at = { .key = { 0 } };
	bool more = true;

	while (more) {
		auto_ctx own = { 0 };
		enum err e = check_keys(db, &own, v, &at, &all, &more);

		if (e != OK)
			return err_set(cx, e, "%s", own.message);
	}
	if (all.n)
		qsort(all.list, all.n, sizeof *all.list, by_task);
	for (size_t i = 1; i < all.n; i++)
		if (id_equal(&all.list[i].task, &all.list[i - 1].task))
			verify_tell(v, "I14", "a task answers one key",
			            str_of(arena_printf(&cx->arena, "task %s, %s and %s", id_format(&all.list[i].task).s,
			                                key_name(cx, &all.list[i - 1]), key_name(cx, &all.list[i]))));
	return OK;
}
