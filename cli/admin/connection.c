#include "cli/admin/connection.h"

#include "store/project_store.h"
#include "store/schema_store.h"

enum { WAIT_S = 30 }; /* a person waits; DDL takes its time */

enum err admin_open_any(struct cli *c, struct admin *out)
{
	TRY(settings_of(c, &out->set));
	out->db = db_new(&out->set, DB_TASKS, WAIT_S);
	out->logs = db_new(&out->set, DB_LOGS, WAIT_S);
	return db_open(out->db, &c->cx);
}

enum err admin_open(struct cli *c, struct admin *out)
{
	TRY(admin_open_any(c, out));
	return schema_store_check(out->db, &c->cx);
}

void admin_close(struct admin *a)
{
	db_free(a->db);
	db_free(a->logs);
}

enum err admin_project(struct cli *c, struct db *db, const char *id_or_name, struct project *out)
{
	struct id id;
	enum err e = ERR_NOT_FOUND;

	if (id_parse(str_of(id_or_name), &id))
		e = project_store_get(db, &c->cx, &id, out);
	if (e == ERR_NOT_FOUND)
		e = project_store_find(db, &c->cx, str_of(id_or_name), out);
	return e == ERR_NOT_FOUND ? err_set(&c->cx, e, "there is no project '%s'", id_or_name) : e;
}
