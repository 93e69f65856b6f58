#include "store/callback_store.h"

/* --- registered callbacks ------------------------------------------------------------------------------------ */

#define COLUMNS                                                                                                \
	"SELECT k.id, k.project_id, k.code_id, c.name, k.chosen, k.flags, k.name, k.url, k.paused_at, k.disabled_at," \
	" k.created_at, k.updated_at FROM callback k LEFT JOIN code c ON c.id = k.code_id "
static const struct sql FIND = { COLUMNS "WHERE k.id = ? AND k.project_id = ?", "ss" };

static struct callback from_row(const struct val *v)
{
	return (struct callback){ .id = val_id(&v[0]), .project_id = val_id(&v[1]), .code_id = val_id(&v[2]),
		                  .code_name = val_str(&v[3]), .states = (unsigned)val_int(&v[4]),
		                  .flags = (unsigned)val_int(&v[5]), .name = val_str(&v[6]), .url = val_str(&v[7]),
		                  .paused_at = val_time(&v[8]), .disabled_at = val_time(&v[9]),
		                  .created_at = val_time(&v[10]), .updated_at = val_time(&v[11]) };
}

enum err callback_store_find(struct db *db, struct ctx *cx, const struct id *project, const struct id *id,
                             struct callback *out, bool *found)
{
	struct rows r;

	TRY(db_query(db, cx, &FIND, VALS(v_id(id), v_id(project)), &r));
	*found = r.n > 0;
	if (r.n)
		*out = from_row(row(&r, 0));
	return OK;
}

/* --- keys ------------------------------------------------------------------------------------------------------ */

static const struct sql KEYS = {
	"SELECT sealed, former, former_until > NOW(6) FROM callback_key WHERE owner_id = ?", "s" };
/* In this order: MariaDB assigns from left to right. */
static const struct sql ROTATE = {
	"INSERT INTO callback_key (owner_id, sealed) VALUES (?, ?) ON DUPLICATE KEY UPDATE former = sealed,"
	" former_until = NOW(6) + INTERVAL ? SECOND, sealed = VALUES(sealed), created_at = NOW(6)", "ssi" };

/* A row moved to another owner cannot be opened. */
static struct str where(struct ctx *cx, const struct id *owner)
{
	return str_of(arena_printf(&cx->arena, "callback_key %s", id_format(owner).s));
}

enum err callback_store_keys(struct db *db, struct ctx *cx, const struct seal_key *key, const struct id *owner,
                             struct signature_keys *out)
{
	struct signature_keys keys = { .n = 0 };
	struct rows r;

	TRY(db_query(db, cx, &KEYS, VALS(v_id(owner)), &r));
	if (r.n) {
		const struct val *v = row(&r, 0);

		TRY(unseal(cx, key, where(cx, owner), val_str(&v[0]), &keys.key[keys.n++]));
		if (val_int(&v[2]) && v[1].type != VAL_NULL)
			TRY(unseal(cx, key, where(cx, owner), val_str(&v[1]), &keys.key[keys.n++]));
	}
	*out = keys;
	return OK;
}

enum err callback_store_rotate(struct db *db, struct ctx *cx, const struct seal_key *key, const struct id *owner,
                               struct str secret, int64_t keep_s)
{
	return db_exec(db, cx, &ROTATE, VALS(v_id(owner), v_s(seal(cx, key, where(cx, owner), secret)), v_i(keep_s)));
}
