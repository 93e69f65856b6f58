#include "worker/image/image_fetch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "base/tree.h"
#include "model/image_ref.h"
#include "store/code_store.h"
#include "store/credential_store.h"
#include "worker/image/image_cache.h"
#include "worker/image/skopeo.h"

static const int64_t BYTES_MOST = INT64_C(16) << 30;
enum { LOGIN_NAME = 48 };

bool image_is_unpacked(const unsigned char digest[SHA256_BYTES])
{
	char hex[2 * SHA256_BYTES + 1], path[128];

	hex_format(digest, SHA256_BYTES, hex);
	snprintf(path, sizeof path, "images/sha256-%s/rootfs", hex);
	return access(path, F_OK) == 0;
}

bool image_is_fetched(struct str name)
{
	unsigned char digest[SHA256_BYTES];
	char hex[2 * SHA256_BYTES + 1], path[128];

	if (!str_starts(name, "sha256:") || !hex_parse(str_bytes(name.p + 7, name.n - 7), digest, sizeof digest))
		return false;
	hex_format(digest, sizeof digest, hex);
	snprintf(path, sizeof path, "images/sha256-%s/" IMAGE_FETCHED, hex);
	return access(path, F_OK) == 0;
}

/* --- logins -------------------------------------------------------------------------------------------- */

/* The spellings under which people register a login. */
static enum err find_login(struct ctx *cx, const struct image_source_of *from, const struct image_wish *wish,
                           struct str server, struct str *login)
{
	const bool is_hub = str_is(server, "docker.io");
	const char *const names[] = {
		arena_printf(&cx->arena, STR_FMT, STR_ARG(server)), arena_printf(&cx->arena, "https://" STR_FMT, STR_ARG(server)),
		arena_printf(&cx->arena, "https://" STR_FMT "/v1/", STR_ARG(server)),
		is_hub ? "" : NULL, is_hub ? "https://index.docker.io/v1/" : NULL,
	};
	struct seal_key key;
	enum err e;

	*login = (struct str){ 0 };
	if (!*from->set->secrets.key_file)
		return OK;
	TRY(seal_key_read(cx, from->set->secrets.key_file, &key));
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (!names[i])
			continue;
		e = credential_store_get(from->db, cx, &wish->project, &key, str_of(names[i]), login);
		if (e != ERR_NOT_FOUND)
			return e;
	}
	*login = (struct str){ 0 };
	return OK;
}

/* As ~/.docker/config.json has it. */
static enum err login_text(struct ctx *cx, struct str server, struct str login, struct str *out)
{
	auto_json *j = NULL, *file = NULL;
	struct str user = { 0 }, password = { 0 };
	struct str both;
	char *auth;

	TRY(json_read(cx, login, (struct json_limits){ 4, 64 }, &j));
	TRY(json_get_text(cx, j, "username", &user));
	TRY(json_get_text(cx, j, "password", &password));
	both = str_of(arena_printf(&cx->arena, STR_FMT ":" STR_FMT, STR_ARG(user), STR_ARG(password)));
	auth = base64_format(&cx->arena, both.p, both.n);
	file = json_pack("{s:{s:{s:s}}}", "auths", str_c(&cx->arena, server), "auth", auth);
	*out = json_write(&cx->arena, file);
	return OK;
}

/* *path is "" without a login; else a file that only we can read, to be removed. */
static enum err put_login(struct ctx *cx, const struct image_source_of *from, const struct image_wish *wish,
                          struct str server, char path[LOGIN_NAME])
{
	struct str login, text;
	int fd;

	path[0] = '\0';
	TRY(find_login(cx, from, wish, server, &login));
	if (!login.n)
		return OK;
	TRY(login_text(cx, server, login, &text));
	snprintf(path, LOGIN_NAME, IMAGE_PULLS "/login-XXXXXX");
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0 || write(fd, text.p, text.n) != (ssize_t)text.n || close(fd))
		return err_errno(cx, "keep the registry's login for skopeo");
	return OK;
}

static void remove_login(char (*path)[LOGIN_NAME])
{
	if ((*path)[0])
		unlink(*path);
}
#define auto_login __attribute__((cleanup(remove_login))) char

/* --- asking --------------------------------------------------------------------------------------------- */

static bool is_listed(struct str list, struct str server)
{
	struct str one;

	while (str_cut(&list, ',', &one))
		if (str_equal(str_trim(one), server))
			return true;
	return false;
}

static struct skopeo_ask ask_of(const struct image_source_of *from, const struct image_ref *ref, const char *login)
{
	return (struct skopeo_ask){
		.login = *login ? login : NULL, .cert_dir = from->set->images.cert_dir,
		.is_plain = is_listed(str_of(from->set->images.plain_http), ref->server),
		.bytes_most = BYTES_MOST, .seconds_most = from->set->images.fetch_s, .stop = from->stop,
	};
}

static enum err parse(struct ctx *cx, const struct image_wish *wish, struct image_ref *ref)
{
	if (image_ref_parse(wish->image, ref))
		return OK;
	return err_set(cx, ERR_INPUT, "the image " STR_FMT " is none of a registry", STR_ARG(wish->image));
}

static enum err ask_registry(struct ctx *cx, const struct image_source_of *from, const struct image_wish *wish,
                             const struct image_ref *ref, unsigned char digest[SHA256_BYTES])
{
	auto_login login[LOGIN_NAME] = "";
	struct skopeo_ask ask;

	TRY(put_login(cx, from, wish, ref->server, login));
	ask = ask_of(from, ref, login);
	ask.source = str_c(&cx->arena, wish->image);
	return skopeo_digest(cx, &ask, digest);
}

/* What a registry refuses (the tag is gone) is no longer what it meant; one that is away has not changed its mind. */
static enum err look_again(struct ctx *cx, const struct image_source_of *from, const struct image_wish *wish,
                           const struct image_ref *ref, struct followed *f)
{
	unsigned char now[SHA256_BYTES];
	enum err e = ask_registry(cx, from, wish, ref, now);

	if (e == ERR_LIMIT && f->is_known) {
		log_warn("tag_not_looked_up", "image=" STR_FMT " why=\"%s\"", STR_ARG(wish->image), cx->message);
		return OK;
	}
	if (e == ERR_INPUT || (e && !f->is_known)) { /* others need not wait for our answer */
		char why[sizeof cx->message];

		snprintf(why, sizeof why, "%s", cx->message);
		TRY(code_store_forget(from->db, cx, &wish->code, wish->revision));
		return err_set(cx, e, "%s", why);
	}
	TRY(e);
	memcpy(f->digest, now, sizeof now);
	return code_store_follow(from->db, cx, &wish->code, wish->revision, now);
}

/* Another node's look may not have its answer yet: the database is asked again soon, then ever more seldom. */
static int64_t stays_known_s(int64_t every_s, int64_t age_s)
{
	int64_t rest_s = every_s - age_s, soon_s = age_s < 1 ? 1 : age_s;

	return rest_s < soon_s ? rest_s : soon_s;
}

static enum err resolve_followed(struct ctx *cx, const struct image_source_of *from, const struct image_wish *wish,
                                 const struct image_ref *ref, unsigned char digest[SHA256_BYTES], int64_t *fresh_s)
{
	struct followed f;

	TRY(code_store_followed(from->db, cx, &wish->code, wish->revision, wish->follow_tag_s, &f));
	if (!f.is_due && !f.is_known)
		return err_set(cx, ERR_BUSY, "another node asks the registry what " STR_FMT " means", STR_ARG(wish->image));
	if (f.is_due)
		TRY(look_again(cx, from, wish, ref, &f));
	memcpy(digest, f.digest, SHA256_BYTES);
	*fresh_s = f.is_due ? wish->follow_tag_s : stays_known_s(wish->follow_tag_s, f.age_s);
	return OK;
}

enum err image_resolve(struct ctx *cx, const struct image_source_of *from, const struct image_wish *wish,
                       unsigned char digest[SHA256_BYTES], int64_t *fresh_s)
{
	struct image_ref ref;
	enum err e = ERR_NOT_FOUND;

	*fresh_s = INT64_MAX;
	TRY(parse(cx, wish, &ref));
	if (wish->revision && wish->follow_tag_s && !ref.has_digest)
		return resolve_followed(cx, from, wish, &ref, digest, fresh_s);
	if (wish->revision)
		e = code_store_digest(from->db, cx, &wish->code, wish->revision, digest);
	if (e != ERR_NOT_FOUND)
		return e;
	TRY(ask_registry(cx, from, wish, &ref, digest)); /* of a digest, too: may the project have what is on this node? */
	if (ref.has_digest && memcmp(digest, ref.digest, SHA256_BYTES) != 0)
		return err_set(cx, ERR_INPUT, "the registry has another digest for " STR_FMT, STR_ARG(wish->image));
	return wish->revision ? code_store_fix_digest(from->db, cx, &wish->code, wish->revision, digest) : OK;
}

/* --- fetching --------------------------------------------------------------------------------------------- */

/* Whoever unpacks them is nobody on this host; no one else can enter IMAGE_PULLS. */
static enum err open_to_unpacker(struct ctx *cx, const char *folder)
{
	DIR *list = opendir(folder);
	struct dirent *d;
	bool done = list && fchmod(dirfd(list), 0755) == 0;

	while (done && (d = readdir(list)))
		done = d->d_name[0] == '.' || fchmodat(dirfd(list), d->d_name, 0644, 0) == 0;
	if (list)
		closedir(list);
	return done ? OK : err_errno(cx, "open what skopeo fetched");
}

static enum err copy_layers(struct ctx *cx, const struct image_source_of *from, const struct image_wish *wish,
                            const struct image_ref *ref, const char *hex, const char *folder)
{
	auto_login login[LOGIN_NAME] = "";
	struct skopeo_ask ask;

	TRY(put_login(cx, from, wish, ref->server, login));
	ask = ask_of(from, ref, login);
	ask.source = arena_printf(&cx->arena, "docker://" STR_FMT "@sha256:%s", STR_ARG(ref->repository), hex);
	ask.folder = folder;
	TRY(skopeo_copy(cx, &ask));
	return open_to_unpacker(cx, folder);
}

enum err image_pull(struct ctx *cx, const struct image_source_of *from, const struct image_wish *wish,
                    const unsigned char digest[SHA256_BYTES])
{
	char hex[2 * SHA256_BYTES + 1];
	const char *there, *coming;
	struct image_ref ref;
	enum err e;

	hex_format(digest, SHA256_BYTES, hex);
	there = arena_printf(&cx->arena, IMAGE_PULLS "/%s", hex);
	coming = arena_printf(&cx->arena, IMAGE_PULLS "/tmp-%s-%s-%lld", hex, id_format(&wish->code).s, (long long)wish->revision);
	if (image_is_unpacked(digest) || access(there, F_OK) == 0)
		return OK;
	TRY(parse(cx, wish, &ref));
	tree_remove(AT_FDCWD, coming);
	e = copy_layers(cx, from, wish, &ref, hex, coming);
	if (!e && !image_is_unpacked(digest) && rename(coming, there) && errno != EEXIST && errno != ENOTEMPTY)
		e = err_errno(cx, "put the image's layers in place");
	tree_remove(AT_FDCWD, coming);
	return e;
}
