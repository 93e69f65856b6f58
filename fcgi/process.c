#include "fcgi/process.h"

#include "fcgi/auth.h"
#include "fcgi/doorbell.h"
#include "fcgi/page/page.h"
#include "fcgi/quota.h"
#include "fcgi/targets.h"

void process_open(struct process *p, const struct settings *set)
{
	*p = (struct process){ .set = set };
	p->db = db_new(set, DB_TASKS, DB_WAIT_API_S);
	p->logs = db_new(set, DB_LOGS, DB_WAIT_API_S);
	p->tokens = token_cache_new();
	p->targets = targets_new();
	p->quota = quota_new();
	p->bells = doorbells_new();
}

void process_close(struct process *p)
{
	db_free(p->db);
	db_free(p->logs);
	token_cache_free(p->tokens);
	page_kit_free(p->pages);
	targets_free(p->targets);
	quota_free(p->quota);
	doorbells_free(p->bells);
}
