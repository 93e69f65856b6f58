#include "store/schema_store.h"

#include "base/buf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const struct sql NEWEST = { "SELECT version, oldest_program FROM `schema` ORDER BY version DESC LIMIT 1", "" };
static const struct sql ADD = { "INSERT INTO `schema` (version, oldest_program, at) VALUES (?, ?, NOW(6))", "ii" };

static const char TABLE[] = "CREATE TABLE IF NOT EXISTS `schema` (version INT NOT NULL PRIMARY KEY,"
                            " oldest_program INT NOT NULL, at DATETIME(6) NOT NULL)";

enum { EMPTY_QUERY = 1065, NO_SUCH_TABLE = 1146, NO_ACCOUNT = 1133, MAY_NOT_MAKE_ACCOUNT = 1410, LOCK_WAIT = 1205, LOCK_TRIES = 30, FILE_MOST = 4 << 20 };

enum err schema_store_check(struct db *db, struct ctx *cx)
{
	struct rows r;
	enum err e = db_query(db, cx, &NEWEST, NULL, 0, &r);

	if (e != OK && db_errno(db) != NO_SUCH_TABLE)
		return e;
	if (e != OK || !r.n || val_int(&row(&r, 0)[0]) < SCHEMA_VERSION)
		return err_set(cx, ERR_BUSY, "the database has schema %lld and this program needs %d: run 'stoker admin migrate'",
		               e == OK && r.n ? (long long)val_int(&row(&r, 0)[0]) : 0LL, SCHEMA_VERSION);
	if (val_int(&row(&r, 0)[1]) > SCHEMA_VERSION)
		return err_set(cx, ERR_BUSY, "the database's schema wants programs of version %lld or newer, this one is %d: upgrade it",
		               (long long)val_int(&row(&r, 0)[1]), SCHEMA_VERSION);
	return OK;
}

struct migration {
	int version;
	bool logs, rights; /* rights: rights*.sql, which have no number and are applied each time */
	char path[512];
};

static int by_version(const void *a, const void *b)
{
	const struct migration *x = a, *y = b;

	return x->version != y->version ? x->version - y->version : (int)x->logs - (int)y->logs;
}

static bool parse_name(const char *name, struct migration *m)
{
	struct str s = str_of(name);
	int64_t version;

	if (s.n < 10 || s.p[4] != '_' || !str_int(str_bytes(s.p, 4), &version) || strcmp(s.p + s.n - 4, ".sql") != 0)
		return false;
	m->version = (int)version;
	m->logs = s.n > 9 && strcmp(s.p + s.n - 9, ".logs.sql") == 0;
	return true;
}

static enum err list_files(struct ctx *cx, const char *folder, struct migration **out, size_t *n)
{
	enum { MOST = 1000 };
	DIR *d = opendir(folder);
	struct dirent *entry;

	if (!d)
		return err_errno(cx, "open folder %s", folder);
	*out = arena_array(&cx->arena, MOST, sizeof **out);
	*n = 0;
	while (*n < MOST && (entry = readdir(d))) {
		if (!parse_name(entry->d_name, &(*out)[*n]))
			continue;
		snprintf((*out)[*n].path, sizeof(*out)[*n].path, "%s/%s", folder, entry->d_name);
		++*n;
	}
	closedir(d);
	qsort(*out, *n, sizeof **out, by_version);
	if (!*n)
		return err_set(cx, ERR_INPUT, "no migrations in %s", folder);
	return OK;
}

static enum err read_file(struct ctx *cx, const char *path, struct str *out)
{
	auto_buf b = { .ceiling = FILE_MOST };
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *room;
	ssize_t n = 1;

	if (fd < 0)
		return err_errno(cx, "open %s", path);
	while (n > 0 && (room = buf_room(&b, 65536))) {
		n = read(fd, room, 65536);
		b.n += n > 0 ? (size_t)n : 0;
	}
	close(fd);
	if (n < 0 || b.full)
		return err_set(cx, ERR_INPUT, "read %s: unreadable or too large", path);
	*out = str_bytes(arena_copy(&cx->arena, b.p, b.n), b.n);
	return OK;
}

/* Waits for a metadata lock are short, so that nobody queues behind us; then we try again. */
static enum err run_statement(struct db *db, struct ctx *cx, struct str statement)
{
	struct timespec rest = { 0, 200000000 };
	enum err e = OK;

	for (int try = 0; try < LOCK_TRIES; try++) {
		e = db_script(db, cx, statement);
		if (e != OK && db_errno(db) == EMPTY_QUERY)
			return OK; /* a comment alone */
		if (e == OK || db_errno(db) != LOCK_WAIT)
			return e;
		nanosleep(&rest, NULL);
	}
	return e;
}

/* A grant to an account that this server does not have is none. */
static bool names_no_account(const struct db *db)
{
	return db_errno(db) == NO_ACCOUNT || db_errno(db) == MAY_NOT_MAKE_ACCOUNT;
}

/* rights.sql names the accounts of this machine; those of the same names that come from anywhere get the same. */
static struct str for_any_host(struct ctx *cx, struct str statement)
{
	static const char LOCAL[] = "@localhost";
	auto_buf b = { 0 };
	size_t at;

	while ((at = str_find(statement, LOCAL)) != (size_t)-1) {
		buf_str(&b, str_bytes(statement.p, at));
		buf_text(&b, "@'%'");
		statement = str_bytes(statement.p + at + sizeof LOCAL - 1, statement.n - at - (sizeof LOCAL - 1));
	}
	if (!b.n)
		return STR_LIT("");
	buf_str(&b, statement);
	return str_bytes(arena_copy(&cx->arena, b.p, b.n), b.n);
}

static enum err grant_one(struct db *db, struct ctx *cx, struct str statement)
{
	struct str both[] = { statement, for_any_host(cx, statement) };

	for (size_t i = 0; i < sizeof both / sizeof *both && both[i].n; i++)
		if (run_statement(db, cx, both[i]) != OK && !names_no_account(db))
			return cx->err;
	return OK;
}

/* Files are split at lines that are exactly ";;". */
static enum err run_file(struct db *db, struct ctx *cx, const struct migration *m, int64_t *oldest_program)
{
	struct str text, statement;
	size_t at, mark;

	TRY(read_file(cx, m->path, &text));
	mark = str_find(text, "-- oldest_program:");
	*oldest_program = m->version;
	if (mark != (size_t)-1) {
		struct str rest = { text.p + mark + 18, text.n - mark - 18 }, line;

		if (!str_cut(&rest, '\n', &line) || !str_int(str_trim(line), oldest_program))
			return err_set(cx, ERR_INPUT, "%s: oldest_program is no number", m->path);
	}
	while (text.n) {
		at = str_find(text, "\n;;\n");
		statement = at == (size_t)-1 ? text : str_bytes(text.p, at);
		text = at == (size_t)-1 ? str_bytes(text.p + text.n, 0) : str_bytes(text.p + at + 4, text.n - at - 4);
		if (!str_trim(statement).n)
			continue;
		if ((m->rights ? grant_one(db, cx, str_trim(statement)) : run_statement(db, cx, str_trim(statement))) != OK)
			return err_wrap(cx, "%s", m->path);
	}
	return OK;
}

static enum err migrate_one(struct db *db, struct ctx *cx, const struct migration *files, size_t n, bool logs, int *applied)
{
	static const char SET_UP[] = "SET SESSION lock_wait_timeout=1, max_statement_time=0";
	int64_t version, oldest;
	struct rows r;

	TRY(db_script(db, cx, STR_LIT(SET_UP)));
	TRY(db_script(db, cx, STR_LIT(TABLE)));
	TRY(db_query(db, cx, &NEWEST, NULL, 0, &r));
	version = r.n ? val_int(&row(&r, 0)[0]) : 0;
	for (size_t i = 0; i < n; i++) {
		if (files[i].logs != logs || files[i].version <= version)
			continue;
		TRY(run_file(db, cx, &files[i], &oldest));
		TRY(db_exec(db, cx, &ADD, VALS(v_i(files[i].version), v_i(oldest))));
		++*applied;
	}
	return OK;
}

static enum err grant(struct db *db, struct ctx *cx, const char *folder, const char *name)
{
	struct migration rights = { .rights = true };
	int64_t oldest;

	snprintf(rights.path, sizeof rights.path, "%s/%s", folder, name);
	return access(rights.path, F_OK) == 0 ? run_file(db, cx, &rights, &oldest) : OK;
}

enum err schema_store_migrate(struct db *db, struct db *logs, struct ctx *cx, const char *folder, int *applied)
{
	struct migration *files = NULL;
	size_t n = 0;

	*applied = 0;
	TRY(list_files(cx, folder, &files, &n));
	TRY(migrate_one(db, cx, files, n, false, applied));
	TRY(migrate_one(logs, cx, files, n, true, applied));
	TRY(grant(db, cx, folder, "rights.sql"));
	return grant(logs, cx, folder, "rights.logs.sql");
}
