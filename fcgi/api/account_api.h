#pragma once
#include "fcgi/reply.h"

/* IronAuth's paths (ironworker-api.md 7): /1/authentication, /1/users, /1/tokens, /1/projects. */
enum err account_api_check(struct request *rq, struct reply *rp);
enum err account_api_sign_in(struct request *rq, struct reply *rp);
enum err account_api_add_token(struct request *rq, struct reply *rp);
enum err account_api_end_token(struct request *rq, struct reply *rp);
enum err account_api_users(struct request *rq, struct reply *rp);
enum err account_api_add_user(struct request *rq, struct reply *rp);
enum err account_api_user(struct request *rq, struct reply *rp);
enum err account_api_change_user(struct request *rq, struct reply *rp);
enum err account_api_end_user(struct request *rq, struct reply *rp);
enum err account_api_add_project(struct request *rq, struct reply *rp);
enum err account_api_end_project(struct request *rq, struct reply *rp);
enum err account_api_members(struct request *rq, struct reply *rp);
enum err account_api_share(struct request *rq, struct reply *rp);
enum err account_api_unshare(struct request *rq, struct reply *rp);
