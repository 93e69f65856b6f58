#include "store/relaxation_store.h"

static const struct sql SET = {
	"INSERT INTO relaxation (code_id, set_at, items, word, set_by)"
	" SELECT c.id, NOW(6), (IFNULL((SELECT r.items FROM relaxation r WHERE r.code_id = c.id"
	" ORDER BY r.set_at DESC LIMIT 1), 0) | ?) & ~?, ?, ? FROM code c WHERE c.project_id = ? AND c.name = ?", "iissss" };
static const struct sql LIST = {
	"SELECT p.name, c.name, r.word, r.set_by, r.set_at FROM relaxation r JOIN code c ON c.id = r.code_id"
	" LEFT JOIN project p ON p.id = IFNULL(c.deleted_from, c.project_id) ORDER BY r.set_at DESC LIMIT 1000", "" };

static const char *word_of(enum relaxation item)
{
#define X(name, word) word,
	static const char *const words[] = { RELAXATIONS(X) };
#undef X
	return words[item];
}

enum err relaxation_store_set(struct db *db, struct ctx *cx, const struct id *project, struct str code,
                              enum relaxation item, bool is_on, struct str by)
{
	int64_t bit = relax_bit(item);
	const char *word = arena_printf(&cx->arena, "%s%s", is_on ? "" : "-", word_of(item));

	TRY(db_exec(db, cx, &SET, VALS(v_i(is_on ? bit : 0), v_i(is_on ? 0 : bit), v_z(word), v_s(by), v_id(project), v_s(code))));
	if (db_changed(db) != 1)
		return err_set(cx, ERR_NOT_FOUND, "code '" STR_FMT "' is not registered in this project", STR_ARG(code));
	return OK;
}

enum err relaxation_store_list(struct db *db, struct ctx *cx, struct relaxation_change **out, size_t *n)
{
	struct rows r;

	TRY(db_query(db, cx, &LIST, NULL, 0, &r));
	*out = arena_array(&cx->arena, r.n + 1, sizeof **out);
	*n = r.n;
	for (size_t i = 0; i < r.n; i++) {
		const struct val *v = row(&r, i);

		(*out)[i] = (struct relaxation_change){ .project = v[0].type == VAL_NULL ? STR_LIT("") : val_str(&v[0]),
			                                .code = val_str(&v[1]), .word = val_str(&v[2]),
			                                .by = val_str(&v[3]), .at = val_time(&v[4]) };
	}
	return OK;
}
