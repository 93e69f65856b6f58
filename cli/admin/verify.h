#pragma once
#include "model/settings.h"
#include "store/verify_store.h"

/* I10: what a node has on this machine's disk (job folders of [node] dir, cgroups) belongs to attempts
 * that are under way by the database, but for what is younger than a minute. Nothing is found where
 * no node lives. */
enum err verify_node(struct db *db, struct ctx *cx, const struct settings *set, struct verify *v);
