#include "store/credential_store.h"

#include "base/buf.h"

static const struct sql PUT = {
	"INSERT INTO credential (project_id, server, sealed) VALUES (?, ?, ?)"
	" ON DUPLICATE KEY UPDATE sealed = VALUES(sealed), created_at = NOW(6)", "sss" };
static const struct sql GET = { "SELECT sealed FROM credential WHERE project_id = ? AND server = ?", "ss" };

/* A row moved to another project or server cannot be opened. */
static struct str where(struct ctx *cx, const struct id *project, struct str server)
{
	struct id_text id = id_format(project);
	const char *text = arena_printf(&cx->arena, "credential %s " STR_FMT, id.s, STR_ARG(server));

	return str_of(text);
}

enum err credential_store_put(struct db *db, struct ctx *cx, const struct id *project, const struct seal_key *key,
                              struct str server, struct str login)
{
	struct str sealed = seal(cx, key, where(cx, project, server), login);

	return db_exec(db, cx, &PUT, VALS(v_id(project), v_s(server), v_s(sealed)));
}

enum err credential_store_get(struct db *db, struct ctx *cx, const struct id *project, const struct seal_key *key,
                              struct str server, struct str *login)
{
	struct rows r;

	TRY(db_query(db, cx, &GET, VALS(v_id(project), v_s(server)), &r));
	if (!r.n)
		return err_set(cx, ERR_NOT_FOUND, "there is no login for that registry in this project");
	return unseal(cx, key, where(cx, project, server), val_str(&row(&r, 0)[0]), login);
}
