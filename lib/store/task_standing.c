#include "store/task_row.h"

#define TEN "?, ?, ?, ?, ?, ?, ?, ?, ?, ?"
#define FIFTY TEN ", " TEN ", " TEN ", " TEN ", " TEN
#define TEN_TYPES "ssssssssss"
#define FIFTY_TYPES TEN_TYPES TEN_TYPES TEN_TYPES TEN_TYPES TEN_TYPES
#define FIVE(x, between) x between x between x between x between x

enum { AT_ONCE = 500 };
static const struct sql STANDING = {
	"SELECT id, state, changes FROM task FORCE INDEX (PRIMARY) WHERE id IN (" FIVE(FIFTY, ", ") ", " FIVE(FIFTY, ", ")
	") ORDER BY id",
	FIVE(FIFTY_TYPES, "") FIVE(FIFTY_TYPES, "") };

static enum err read_piece(struct db *db, struct ctx *cx, const struct id *ids, size_t n, struct task_standing *out,
                           size_t *found)
{
	struct val v[AT_ONCE];
	struct rows r;

	for (size_t i = 0; i < AT_ONCE; i++)
		v[i] = v_id(&ids[i < n ? i : 0]); /* the server looks an id that is named again up once */
	TRY(db_query(db, cx, &STANDING, v, AT_ONCE, &r));
	for (size_t i = 0; i < r.n; i++) {
		struct task_standing *s = &out[(*found)++];

		*s = (struct task_standing){ .id = val_id(&row(&r, i)[0]), .changes = val_int(&row(&r, i)[2]) };
		task_state_parse(val_str(&row(&r, i)[1]), &s->state);
	}
	return OK;
}

enum err task_store_standing(struct db *db, struct ctx *cx, const struct id *ids, size_t n, struct task_standing *out,
                             size_t *found)
{
	*found = 0;
	for (size_t at = 0; at < n; at += AT_ONCE)
		TRY(read_piece(db, cx, ids + at, n - at < AT_ONCE ? n - at : AT_ONCE, out, found));
	return OK;
}

enum err task_store_some(struct db *db, struct ctx *cx, const struct id *project, const struct id *ids, size_t n,
                         struct task *out, size_t *found)
{
	return task_rows_read(db, cx, project, ids, n, PAYLOAD_NONE, out, found);
}
