#pragma once
#include "cli/cli.h"

/* What the doctor finds: one line a check. */
enum finding_verdict { FINDING_OK, FINDING_WARN, FINDING_FAIL };

struct finding {
	enum finding_verdict verdict;
	const char *name, *sentence;
};
struct findings {
	struct ctx *cx;
	struct finding list[64];
	size_t n;
};

void finding_add(struct findings *f, enum finding_verdict verdict, const char *name, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* The worst of all. */
enum finding_verdict finding_worst(const struct findings *f);

struct settings;
/* The database, its tables, the nodes that are alive. */
void doctor_database(struct cli *c, const struct settings *set, struct findings *f);
/* Each of several database servers, and whether they are one cluster in good order. */
void doctor_galera(const struct settings *set, struct findings *f);
/* This machine: kernel, cgroups, runtimes, packages, files. */
void doctor_host(const struct settings *set, struct findings *f);
/* Which limit of the kernel is short for as many jobs at once as this node has slots. */
void doctor_slots(const struct settings *set, struct findings *f);
/* The number that a file of /proc holds; -1 if there is none. */
int64_t number_in_file(const char *path);
