#pragma once
#include "store/db.h"

/* A datagram that wakes a runner early. A lost one costs a poll interval, a forged one only shortens
 * a wait (design.md 6). Notes are made while a request is served and rung when its answer is out. */
struct doorbells;

struct doorbells *doorbells_new(void);
void doorbells_free(struct doorbells *bells);
/* Something became due in this cluster. */
void doorbells_note(struct doorbells *bells, int64_t cluster_id);
/* This node has something to stop: "address:port"; "" = nobody. */
void doorbells_note_address(struct doorbells *bells, struct str address);
/* Rings what was noted: at most two live nodes with free slots a cluster, whom it asks the database
 * for at most once a second. Never waits for the network; errors cost nothing. */
void doorbells_ring(struct doorbells *bells, struct db *db, struct ctx *cx);
