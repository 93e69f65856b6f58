#pragma once
#include "fcgi/reply.h"

/* Projects on the wire (ironworker-api.md 7). */
enum err project_api_list(struct request *rq, struct reply *rp);
/* PATCH: payload_keys. */
enum err project_api_change(struct request *rq, struct reply *rp);
enum err project_api_get(struct request *rq, struct reply *rp);
/* A registry login, as docker login makes it; never shown again. */
enum err project_api_credentials(struct request *rq, struct reply *rp);
