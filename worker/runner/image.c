/* Images of registries: a task waits here, without a slot, until its own is unpacked on this node. Each
 * revision's image is looked up once, each digest fetched once, however many wait: a thread asks database
 * and registry, then the engine unpacks. */
#include "worker/runner/inside.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/tree.h"
#include "model/image_ref.h"
#include "store/attempt_store.h"
#include "worker/image/image_fetch.h"
#include "worker/launcher/launch_request.h"
#include "worker/store_thread.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { THREADS = 8, THREADS_OF_PROJECT = 3, PAUSE_LEAST_S = 1, PAUSE_MOST_S = 60, NOTE_BYTES = 400 };

/* In this order; a step that fails for a while is done again. */
enum image_step { IMAGE_RESOLVE, IMAGE_PULL, IMAGE_UNPACK, IMAGE_READY };

struct image_entry {
	struct image_entry *next;
	struct runner *runner;
	const struct engine_class *engine;
	struct id project, code;
	int64_t revision;
	char *image;
	enum image_step step;
	bool is_asked;    /* a thread or the engine works on the step */
	bool has_thread, waits; /* waits: for a thread */
	uint32_t thread;
	unsigned char digest[SHA256_BYTES];
	int64_t tries;
	int64_t follow_tag_s, fresh_until_us; /* of one that follows its tag: then it is looked up again */
	struct loop_timer again;
};

struct image_room {
	struct store_pool *pool;
	struct image_entry *first;
	atomic_bool stop;
	bool is_busy[THREADS];
};

/* --- the table ------------------------------------------------------------------------------------------- */

bool job_is_of_daemon(const struct job *j)
{
	return j->engine && j->engine->kind != LAUNCH_ENGINE_OCI;
}

struct str image_known_as(const struct job *j, struct str image)
{
	static const char scheme[] = "docker://";

	if (job_is_of_daemon(j) && str_starts(image, scheme))
		return str_bytes(image.p + sizeof scheme - 1, image.n - (sizeof scheme - 1));
	return image;
}

static bool wants(const struct job *j, const struct image_entry *e)
{
	struct str image;

	return j->engine == e->engine && package_image(j, &image) && id_equal(&j->claim.code_id, &e->code) && j->claim.revision == e->revision &&
	       str_is(image, e->image);
}

static struct image_entry *find(const struct job *j)
{
	struct image_entry *e = j->runner->images->first;

	while (e && !wants(j, e))
		e = e->next;
	return e;
}

static struct image_entry *add(struct job *j, struct str image)
{
	struct image_entry *e = calloc(1, sizeof *e);

	if (!e || !(e->image = strndup(image.p, image.n)))
		abort();
	e->runner = j->runner;
	e->engine = j->engine;
	if (job_is_of_daemon(j)) {
		e->step = IMAGE_UNPACK;
		crypt_sha256(image_known_as(j, image), e->digest);
		e->digest[0] ^= j->engine->kind; /* two daemons may be asked for the same name */
	}
	e->project = j->claim.project_id;
	e->code = j->claim.code_id;
	e->revision = j->claim.revision;
	e->follow_tag_s = j->claim.follow_tag_s;
	e->next = j->runner->images->first;
	j->runner->images->first = e;
	return e;
}

static void drop(struct image_entry *e)
{
	struct image_entry **p = &e->runner->images->first;

	while (*p != e)
		p = &(*p)->next;
	*p = e->next;
	loop_stop(e->runner->loop, &e->again);
	free(e->image);
	free(e);
}

/* --- what a waiting task is told -------------------------------------------------------------------------- */

struct note_work {
	struct store_work w;
	struct node_claim who;
	unsigned char session[16];
	struct attempt_key key;
	char text[NOTE_BYTES];
};

static enum err note_run(struct store_work *w, struct db *tasks, struct db *logs)
{
	struct note_work *n = (struct note_work *)w;

	(void)logs;
	return attempt_store_waits(tasks, &w->cx, &n->who, &n->key.task, n->key.attempt, str_of(n->text));
}

static void note_done(void *arg, struct store_work *w)
{
	(void)arg;
	store_work_free(w); /* one that is not stored only says less */
}

static void note(struct job *j, const char *text)
{
	struct runner *r = j->runner;
	struct note_work *n = store_work_new(sizeof *n);

	n->w.run = note_run;
	n->w.done = note_done;
	memcpy(n->session, r->held.session, sizeof n->session);
	n->who = r->held.who;
	n->who.session = str_bytes(n->session, sizeof n->session);
	n->key = j->key;
	snprintf(n->text, sizeof n->text, "%s", text);
	store_pool_add(r->store, STORE_MOVE, 0, &n->w);
}

/* --- the end of a step -------------------------------------------------------------------------------------- */

static void wake_others(struct runner *r, const unsigned char *digest);

/* How those that wait for it go on; `e` is gone if it did not work, and leaves its digest to others that want it. */
static void settle(struct image_entry *e, enum err err, const char *why)
{
	struct runner *r = e->runner;
	unsigned char digest[SHA256_BYTES];
	struct job *next;

	for (struct job *j = r->jobs; j; j = next) {
		next = j->next;
		if (j->stage != JOB_PULLING || !wants(j, e))
			continue;
		j->image_asked = true;
		if (err == OK)
			j->stage = JOB_CLAIMED;
		else if (err == ERR_INTERNAL)
			launch_without(j, err, why);
		else
			launch_refused(j, CAUSE_IMAGE, why);
	}
	if (err) {
		memcpy(digest, e->digest, sizeof digest);
		drop(e);
		wake_others(r, digest);
	}
	launch_next(r);
	runner_look_at_end(r);
}

static void begin(struct image_entry *e);

static void on_again(void *arg)
{
	begin(arg);
}

/* The registry wants to be left alone: ever longer, and not all nodes at once. */
static void try_later(struct image_entry *e, const char *why)
{
	struct runner *r = e->runner;
	int64_t pause_s = e->tries > 6 ? PAUSE_MOST_S : PAUSE_LEAST_S << (e->tries ? e->tries - 1 : 0);
	uint32_t random;
	char text[NOTE_BYTES];

	if (pause_s > PAUSE_MOST_S)
		pause_s = PAUSE_MOST_S;
	crypt_random(&random, sizeof random);
	snprintf(text, sizeof text, "waits for its image: %.360s", why);
	for (struct job *j = r->jobs; j; j = j->next)
		if (j->stage == JOB_PULLING && wants(j, e))
			note(j, text);
	loop_start(r->loop, &e->again, pause_s * SECOND_US / 2 + (int64_t)(random % (uint32_t)(pause_s * SECOND_US)), on_again, e);
}

static void failed(struct image_entry *e, enum err err, const char *why)
{
	char text[NOTE_BYTES];

	snprintf(text, sizeof text, "%s", why);
	if (err != ERR_BUSY) /* another node asks */
		log_warn("image_failed", "image=%s try=%lld why=\"%s\"", e->image, (long long)e->tries + 1, text);
	if (err == ERR_LIMIT) /* the registry's; of the database there is always another try */
		e->tries++;
	if (err == ERR_INPUT || err == ERR_INTERNAL || e->tries >= e->runner->set->images.tries)
		settle(e, err, text);
	else
		try_later(e, text);
}

/* --- the steps ------------------------------------------------------------------------------------------------ */

/* What was asked at that time holds for so long. */
static void stays_fresh(struct image_entry *e, int64_t asked_us, int64_t seconds)
{
	e->fresh_until_us = seconds < INT64_MAX / SECOND_US / 2 ? asked_us + seconds * SECOND_US : INT64_MAX;
}

struct image_work {
	struct store_work w;
	struct runner *runner;
	struct image_entry *entry; /* lives as long as it is asked */
	struct image_wish wish;
	enum image_step step;
	unsigned char digest[SHA256_BYTES];
	int64_t asked_us, fresh_s;
};

/* A registry that hangs keeps its thread as long as it likes: nobody waits behind it, and one project's keep a few. */
static bool find_thread(const struct image_entry *e, uint32_t *thread)
{
	const struct image_room *m = e->runner->images;
	size_t of_project = 0;

	for (const struct image_entry *o = m->first; o; o = o->next)
		of_project += o->has_thread && id_equal(&o->project, &e->project);
	*thread = 0;
	while (*thread < THREADS && m->is_busy[*thread])
		++*thread;
	return *thread < THREADS && of_project < THREADS_OF_PROJECT;
}

static void hold_thread(struct image_entry *e, bool holds)
{
	e->has_thread = e->is_asked = e->runner->images->is_busy[e->thread] = holds;
}

/* Those that find a thread now; the oldest first. */
static void serve_waiting(struct runner *r)
{
	struct image_entry *oldest;
	uint32_t thread;

	do {
		oldest = NULL;
		for (struct image_entry *e = r->images->first; e; e = e->next)
			if (e->waits && find_thread(e, &thread))
				oldest = e;
		if (oldest) {
			oldest->waits = false;
			begin(oldest);
		}
	} while (oldest);
}

static enum err image_run(struct store_work *w, struct db *tasks, struct db *logs)
{
	struct image_work *i = (struct image_work *)w;
	const struct image_source_of from = { tasks, i->runner->set, &i->runner->images->stop };

	(void)logs;
	if (i->step == IMAGE_RESOLVE)
		return image_resolve(&w->cx, &from, &i->wish, i->digest, &i->fresh_s);
	return image_pull(&w->cx, &from, &i->wish, i->digest);
}

static void image_done(void *arg, struct store_work *w)
{
	struct image_work *i = (struct image_work *)w;
	struct image_entry *e = i->entry;

	(void)arg;
	hold_thread(e, false);
	if (atomic_load(&i->runner->images->stop)) {
		store_work_free(w);
		return;
	}
	if (w->err) {
		failed(e, w->err, w->cx.message);
	} else {
		memcpy(e->digest, i->digest, sizeof e->digest);
		if (i->step == IMAGE_RESOLVE)
			stays_fresh(e, i->asked_us, i->fresh_s);
		e->step = i->step == IMAGE_RESOLVE ? IMAGE_PULL : IMAGE_UNPACK;
		begin(e);
	}
	serve_waiting(i->runner);
	store_work_free(w);
}

static void ask_thread(struct image_entry *e)
{
	struct image_work *i;

	e->waits = !find_thread(e, &e->thread);
	if (e->waits)
		return;
	hold_thread(e, true);
	i = store_work_new(sizeof *i);
	i->w.run = image_run;
	i->w.done = image_done;
	i->runner = e->runner;
	i->entry = e;
	i->step = e->step;
	i->asked_us = clock_boot_us();
	i->wish = (struct image_wish){ .project = e->project, .code = e->code, .revision = e->revision,
		                       .image = str_of(arena_text(&i->w.cx.arena, e->image)),
		                       .follow_tag_s = e->follow_tag_s };
	memcpy(i->digest, e->digest, sizeof i->digest);
	store_pool_add(e->runner->images->pool, STORE_ANY, e->thread, &i->w);
}

/* One that hangs is waited for by its own alone: another project may have the same bytes from a server that does not. */
static bool is_same_source(const struct image_entry *a, const struct image_entry *b)
{
	struct image_ref x, y;

	return id_equal(&a->project, &b->project) ||
	       (image_ref_parse(str_of(a->image), &x) && image_ref_parse(str_of(b->image), &y) && str_equal(x.server, y.server));
}

/* Another revision's, of the same digest, that is being fetched or unpacked: its end is ours too. */
static bool is_under_way(const struct image_entry *e, enum image_step from)
{
	for (const struct image_entry *o = e->runner->images->first; o; o = o->next)
		if (o != e && (o->is_asked || loop_is_waiting(&o->again)) && o->step >= from && o->step <= IMAGE_UNPACK &&
		    memcmp(o->digest, e->digest, sizeof e->digest) == 0 && (o->step == IMAGE_UNPACK || is_same_source(o, e)))
			return true;
	return false;
}

/* Those that left the fetching to one that has ended now. */
static void wake_others(struct runner *r, const unsigned char *digest)
{
	struct image_entry *next;

	for (struct image_entry *o = r->images->first; o; o = next) {
		next = o->next;
		if (o->step == IMAGE_PULL && !o->is_asked && !loop_is_waiting(&o->again) &&
		    memcmp(o->digest, digest, SHA256_BYTES) == 0)
			begin(o);
	}
}

/* No thread needs to wait for the answer: it comes as that of unpacking does. */
static void ask_daemon(struct image_entry *e)
{
	struct str name = str_of(e->image);
	auto_ctx cx = { 0 };

	if (str_starts(name, "docker://"))
		name = str_bytes(name.p + 9, name.n - 9);
	e->is_asked = true;
	stays_fresh(e, clock_boot_us(), e->follow_tag_s);
	if (e->engine->fetch(e->runner->host, &cx, name, e->digest) != OK) {
		e->is_asked = false;
		failed(e, ERR_INTERNAL, cx.message);
	}
}

static void begin(struct image_entry *e)
{
	auto_ctx cx = { 0 };

	if (e->engine->kind != LAUNCH_ENGINE_OCI) {
		ask_daemon(e);
		return;
	}
	if (e->step != IMAGE_RESOLVE && image_is_unpacked(e->digest)) {
		e->step = IMAGE_READY;
		settle(e, OK, "");
	} else if (e->step == IMAGE_UNPACK && is_under_way(e, IMAGE_UNPACK)) {
		e->step = IMAGE_PULL; /* done, when that one's end wakes it */
	} else if (e->step == IMAGE_UNPACK) {
		e->is_asked = true;
		e->engine->fetch(e->runner->host, &cx, str_of(e->image), e->digest);
	} else if (e->step == IMAGE_RESOLVE || !is_under_way(e, IMAGE_PULL)) {
		ask_thread(e);
	}
}

/* A daemon that is away, or hangs, is waited for: tasks that want it stay queued, and hold no slot. */
static void heard_of_daemon(struct image_entry *e, enum engine_result how, const char *why)
{
	char text[NOTE_BYTES];

	if (how == ENGINE_DONE) {
		e->step = IMAGE_READY;
		e->tries = 0;
		settle(e, OK, "");
		return;
	}
	if (how == ENGINE_FAILED) {
		failed(e, ERR_INPUT, why);
		return;
	}
	snprintf(text, sizeof text, "%s: %.300s", e->engine->name, why);
	log_warn("engine_away", "image=%s why=\"%s\"", e->image, text);
	e->tries++;
	try_later(e, text);
}

void image_mistrust(struct job *j, const char *why)
{
	struct image_entry *e = find(j);

	if (!e || e->step != IMAGE_READY)
		return;
	e->step = IMAGE_UNPACK;
	e->tries++;
	try_later(e, why);
}

void image_unpacked(struct runner *r, const unsigned char digest[12], enum engine_result how, const char *why)
{
	unsigned char whole[SHA256_BYTES];
	struct image_entry *e = r->images->first;

	while (e && !(e->step == IMAGE_UNPACK && e->is_asked && memcmp(e->digest, digest, 12) == 0))
		e = e->next;
	if (!e)
		return;
	memcpy(whole, e->digest, sizeof whole);
	e->is_asked = false;
	if (e->engine->kind != LAUNCH_ENGINE_OCI) {
		heard_of_daemon(e, how, why);
		return;
	}
	if (how == ENGINE_DONE) {
		log_info("image_fetched", "image=%s", e->image);
		begin(e);
	} else {
		e->step = IMAGE_PULL;
		failed(e, how == ENGINE_FAILED ? ERR_INPUT : ERR_INTERNAL, why);
	}
	wake_others(r, whole);
}

/* --- asked by the launch ---------------------------------------------------------------------------------------- */

/* Its tag may mean another image by now. What was found while the job waited is new enough for it, however long
 * fetching took then. */
static bool is_stale(const struct job *j, const struct image_entry *e)
{
	return j->claim.follow_tag_s && !j->image_asked && clock_boot_us() >= e->fresh_until_us;
}

static bool is_ready(struct job *j, const struct image_entry *e)
{
	if (e->step != IMAGE_READY || is_stale(j, e))
		return false;
	if (job_is_of_daemon(j))
		return true;
	if (!image_is_unpacked(e->digest))
		return false;
	memcpy(j->pulled, "sha256:", 7);
	hex_format(e->digest, sizeof e->digest, j->pulled + 7);
	return true;
}

/* From the step that must be done again: it was ready, but its tag is to be looked up, or somebody removed it. */
static void begin_again(struct image_entry *e, bool is_looked_up)
{
	e->tries = 0;
	if (e->engine->kind != LAUNCH_ENGINE_OCI)
		e->step = IMAGE_UNPACK;
	else
		e->step = is_looked_up ? IMAGE_RESOLVE : IMAGE_PULL;
	begin(e);
}

bool image_is_there(struct job *j)
{
	struct image_entry *e;
	struct str image;

	if (*j->pulled || !package_image(j, &image) || (!job_is_of_daemon(j) && !image_ref_is(image)))
		return true;
	e = find(j);
	if (e && is_ready(j, e))
		return true;
	j->stage = JOB_PULLING;
	slot_give(j);
	note(j, "waits for its image, which its node fetches");
	claim_slot_freed(j->runner);
	if (!e) {
		begin(add(j, image));
		return false;
	}
	e->follow_tag_s = j->claim.follow_tag_s;
	if (e->step == IMAGE_READY)
		begin_again(e, is_stale(j, e));
	return false;
}

/* --- life -------------------------------------------------------------------------------------------------------- */

enum err images_open(struct ctx *cx, struct runner *r)
{
	r->images = calloc(1, sizeof *r->images);
	if (!r->images)
		abort();
	tree_remove(AT_FDCWD, IMAGE_PULLS); /* what an earlier runner left half done */
	if (mkdir(IMAGE_PULLS, 0700) && errno != EEXIST)
		return err_errno(cx, "make the folder for images that are fetched");
	r->images->pool = store_pool_new(r->loop, r->set, THREADS, r);
	return r->images->pool ? OK : err_errno(cx, "start the threads for images");
}

void images_stop(struct runner *r)
{
	if (!r->images)
		return;
	atomic_store(&r->images->stop, true);
	for (struct image_entry *e = r->images->first; e; e = e->next)
		loop_stop(r->loop, &e->again);
}

bool images_are_busy(const struct runner *r)
{
	return r->images && r->images->pool && store_pool_open(r->images->pool) > 0;
}

void images_close(struct runner *r)
{
	if (!r->images)
		return;
	if (r->images->pool)
		store_pool_free(r->images->pool);
	while (r->images->first)
		drop(r->images->first);
	free(r->images);
}
