#include "store/db_place.h"

#include "base/clock.h"
#include "base/crypt.h"
#include "store/db_connect.h"

enum { PASSED_OVER_US = 5000000, AWAY_LEAST_US = 5000000, AWAY_MOST_US = 60000000, NOT_PREPARED = 1047 };

/* What one look for a server needs. */
struct search {
	const struct settings_database *set;
	const char *servers[DB_SERVERS_MOST];
	size_t n;
	int wait_s;
	unsigned number; /* MariaDB's, of the last one that failed */
};

static struct search search_of(struct ctx *cx, const struct settings_database *set, int wait_s)
{
	struct search s = { .set = set, .wait_s = wait_s };

	s.n = db_servers(cx, set, s.servers);
	return s;
}

void db_place_init(struct db_place *p, const struct settings_database *set)
{
	auto_ctx cx = { 0 };
	struct search s = search_of(&cx, set, 0);
	uint32_t random;

	*p = (struct db_place){ 0 };
	if (!set->spread || s.n < 2)
		return;
	crypt_random(&random, sizeof random);
	p->home = random % s.n;
}

/* One of several servers gets less time: the next one has to answer within the caller's patience, too. */
static unsigned patience(const struct search *s)
{
	return s->n > 1 || s->wait_s < 2 ? 1 : 2;
}

/* A connection to the server at a place of the list, if it stands as well as that. *stands is set. */
static MYSQL *dial(struct search *s, struct ctx *cx, size_t place, enum db_standing least, enum db_standing *stands)
{
	MYSQL *my = db_dial(cx, s->set, s->servers[place], patience(s), (unsigned)s->wait_s, &s->number);

	*stands = DB_SILENT;
	if (!my)
		return NULL;
	*stands = s->n > 1 ? db_standing(my) : DB_SYNCED;
	if (*stands >= least)
		return my;
	mysql_close(my);
	s->number = NOT_PREPARED;
	err_set(cx, ERR_BUSY, "the database does not answer: its server %s has no part in the cluster now",
	        s->servers[place]);
	return NULL;
}

static MYSQL *settle_at(struct db_place *p, MYSQL *my, size_t place)
{
	p->at = place;
	p->away_us = AWAY_LEAST_US;
	p->back_us = clock_boot_us() + p->away_us;
	return my;
}

static MYSQL *connect_any(struct db_place *p, struct ctx *cx, struct search *s)
{
	size_t first = clock_boot_us() < p->first_until_us ? p->first : p->home, behind = s->n;
	enum db_standing stands;
	MYSQL *my;

	for (size_t i = 0; i < s->n; i++) {
		size_t place = (first + i) % s->n;

		if ((my = dial(s, cx, place, DB_SYNCED, &stands)))
			return settle_at(p, my, place);
		if (cx->err == ERR_INTERNAL)
			return NULL;
		if (stands == DB_BEHIND && behind == s->n)
			behind = place;
	}
	if (behind < s->n && (my = dial(s, cx, behind, DB_BEHIND, &stands)))
		return settle_at(p, my, behind);
	return NULL;
}

MYSQL *db_place_connect(struct db_place *p, struct ctx *cx, const struct settings_database *set, int wait_s,
                        unsigned *number)
{
	struct search s = search_of(cx, set, wait_s);
	MYSQL *my = NULL;

	if (*set->socket)
		my = db_dial(cx, set, NULL, patience(&s), (unsigned)wait_s, &s.number);
	else if (!s.n)
		err_set(cx, ERR_BUSY, "neither database.socket nor database.host is set");
	else
		my = connect_any(p, cx, &s);
	*number = s.number;
	return my;
}

void db_place_pass_over(struct db_place *p)
{
	p->first = p->at + 1;
	p->first_until_us = clock_boot_us() + PASSED_OVER_US;
}

bool db_place_may_go_home(const struct db_place *p)
{
	return p->at != p->home && clock_boot_us() > p->back_us;
}

MYSQL *db_place_home(struct db_place *p, struct ctx *cx, const struct settings_database *set, int wait_s)
{
	struct search s = search_of(cx, set, wait_s);
	enum db_standing stands;
	MYSQL *my = dial(&s, cx, p->home, DB_SYNCED, &stands);

	if (my)
		return settle_at(p, my, p->home);
	cx->err = OK;
	p->away_us = p->away_us * 2 < AWAY_MOST_US ? p->away_us * 2 : AWAY_MOST_US;
	p->back_us = clock_boot_us() + p->away_us;
	return NULL;
}
