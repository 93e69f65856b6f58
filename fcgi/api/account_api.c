#include "fcgi/api/account_api.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "fcgi/auth.h"
#include "model/password.h"
#include "store/log_destination_store.h"
#include "store/member_store.h"
#include "store/project_store.h"
#include "store/token_store.h"
#include "store/user_store.h"

static const int64_t SIGN_IN_PAUSE_US = 250000, SIGN_IN_LIFE_US = INT64_C(12) * 3600 * 1000000;

static void set_id(json_t *j, const char *key, const struct id *id)
{
	struct id_text text = id_format(id);

	json_object_set_new(j, key, json_string(text.s));
}

static json_t *user_to_json(const struct user *u)
{
	json_t *j = json_object();

	set_id(j, "id", &u->id);
	set_id(j, "user_id", &u->id);
	json_object_set_new(j, "email", json_text(u->name));
	json_object_set_new(j, "name", json_text(u->name));
	json_object_set_new(j, "admin", json_boolean(u->is_admin));
	json_object_set_new(j, "status", json_string(u->disabled_at == TIME_NONE ? "active" : "disabled"));
	json_object_set_new(j, "created_at", json_time(u->created_at));
	return j;
}

/* --- authentication ------------------------------------------------------------------------------ */
/* May the token's holder see the project? 200 or 403. */
enum err account_api_check(struct request *rq, struct reply *rp)
{
	struct str text = { 0 }, token;
	struct id project;

	if (!request_query(rq, "project_id", &text) || !text.n)
		return reply_msg(rp, 200, "Authenticated", NULL);
	if (!id_parse(text, &project) || !auth_token(rq, &token))
		return err_set(&rq->cx, ERR_FORBIDDEN, "this token is not for that project");
	TRY(auth_look_up(rq, token, &project));
	if (rq->who.role == ROLE_NONE)
		return err_set(&rq->cx, ERR_FORBIDDEN, "this token is not for that project");
	return reply_msg(rp, 200, "Authenticated", NULL);
}

static enum err not_them(struct request *rq)
{
	rq->process->sign_in_failed_us = clock_boot_us();
	return err_set(&rq->cx, ERR_AUTH, "email or password is wrong");
}

/* Guessing is slow: after a failure this process hears nobody for a moment. */
static enum err check_password(struct request *rq, struct user *user)
{
	struct str email = { 0 }, password = { 0 };

	TRY(json_get_text(&rq->cx, rq->json, "email", &email));
	TRY(json_get_text(&rq->cx, rq->json, "password", &password));
	if (!email.n || !password.n)
		return err_set(&rq->cx, ERR_REQUIRED, "fields email and password: one is missing");
	if (clock_boot_us() - rq->process->sign_in_failed_us < SIGN_IN_PAUSE_US)
		return err_set(&rq->cx, ERR_LIMIT, "somebody has just failed to sign in: try again");
	*user = (struct user){ .password = STR_LIT("") };
	if (user_store_find(rq->db, &rq->cx, email, user) && rq->cx.err != ERR_NOT_FOUND)
		return rq->cx.err;
	if (!password_fits(password, user->password) || user->disabled_at != TIME_NONE)
		return not_them(rq);
	return OK;
}

/* The user, with a token that lasts half a day. */
enum err account_api_sign_in(struct request *rq, struct reply *rp)
{
	struct token_text token;
	struct user user;
	struct id id;
	json_t *j;

	TRY(check_password(rq, &user));
	TRY(token_store_add(rq->db, &rq->cx, user.name, STR_LIT("signed in"), NULL,
	                    user.is_admin ? ROLE_ADMIN : ROLE_OPERATOR, clock_wall_us() + SIGN_IN_LIFE_US, STR_LIT(""),
	                    &token, &id));
	j = user_to_json(&user);
	json_object_set_new(j, "tokens", json_pack("[{s:s, s:s}]", "id", id_format(&id).s, "token", token.s));
	return reply_json(rp, 200, j);
}

/* --- tokens -------------------------------------------------------------------------------------- */
/* One's own; never more than the token that asks may do. */
enum err account_api_add_token(struct request *rq, struct reply *rp)
{
	struct str name = STR_LIT("api"), role_text = { 0 };
	struct id_text text;
	struct token_text token;
	enum role role = rq->who.role;
	struct id id;

	if (!id_is_zero(&rq->who.project_id))
		return err_set(&rq->cx, ERR_FORBIDDEN, "a token of one project makes no further ones");
	TRY(json_get_text(&rq->cx, rq->json, "name", &name));
	TRY(json_get_text(&rq->cx, rq->json, "role", &role_text));
	if (role_text.n && (!role_parse(role_text, &role) || role == ROLE_NONE))
		return err_set(&rq->cx, ERR_INPUT, "field role: must be viewer, developer, operator or admin");
	if (role > rq->who.role)
		return err_set(&rq->cx, ERR_FORBIDDEN, "field role: yours is %s", role_name(rq->who.role));
	TRY(token_store_add(rq->db, &rq->cx, rq->who.user_name, name, NULL, role, TIME_NONE, STR_LIT(""), &token, &id));
	text = id_format(&id);
	return reply_json(rp, 200, json_pack("{s:s, s:s, s:s, s:o, s:s}", "msg", "Token created", "id", text.s, "token",
	                                     token.s, "name", json_text(name), "role", role_name(role)));
}

enum err account_api_end_token(struct request *rq, struct reply *rp)
{
	struct id id, owner;

	TRY(request_id(rq, "id", "token", &id));
	TRY(token_store_owner(rq->db, &rq->cx, &id, &owner));
	if (rq->who.role != ROLE_ADMIN && (!id_equal(&owner, &rq->who.user_id) ||
	                                   (!id_is_zero(&rq->who.project_id) && !id_equal(&id, &rq->who.token_id))))
		return err_set(&rq->cx, ERR_NOT_FOUND, "there is no such token");
	TRY(token_store_revoke(rq->db, &rq->cx, &id));
	return reply_msg(rp, 200, "Deleted", NULL);
}

/* --- users --------------------------------------------------------------------------------------- */
enum err account_api_users(struct request *rq, struct reply *rp)
{
	struct str previous = { 0 };
	struct id from = { { 0 } };
	struct user *users;
	int64_t per_page = 30;
	json_t *array;
	size_t n;

	TRY(request_query_int(rq, "per_page", &per_page));
	if (request_query(rq, "previous", &previous) && previous.n && !id_parse(previous, &from))
		return err_set(&rq->cx, ERR_INPUT, "query field previous: must be the id of a user");
	TRY(user_store_list(rq->db, &rq->cx, &from, per_page, &users, &n));
	array = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, user_to_json(&users[i]));
	return reply_json(rp, 200, json_pack("{s:o}", "users", array));
}

enum err account_api_add_user(struct request *rq, struct reply *rp)
{
	struct str email = { 0 }, password = { 0 }, hash = { 0 };
	struct id id;

	TRY(json_get_text(&rq->cx, rq->json, "email", &email));
	TRY(json_get_text(&rq->cx, rq->json, "password", &password));
	if (!email.n)
		return err_set(&rq->cx, ERR_REQUIRED, "field email: is missing");
	if (password.n)
		TRY(password_hash(&rq->cx, password, &hash));
	TRY(user_store_add(rq->db, &rq->cx, email, hash, &id));
	return reply_msg(rp, 200, "User created", &id);
}

/* Oneself, or anybody for an admin; for others there is nobody else. */
static enum err find_user(struct request *rq, struct user *out)
{
	TRY(user_store_find(rq->db, &rq->cx, request_param(rq, "id"), out));
	if (rq->who.role == ROLE_ADMIN || id_equal(&out->id, &rq->who.user_id))
		return OK;
	return err_set(&rq->cx, ERR_NOT_FOUND, "there is no such user");
}

enum err account_api_user(struct request *rq, struct reply *rp)
{
	struct user user;

	TRY(find_user(rq, &user));
	return reply_json(rp, 200, user_to_json(&user));
}

enum err account_api_change_user(struct request *rq, struct reply *rp)
{
	struct str password = { 0 }, hash;
	struct user user;

	TRY(find_user(rq, &user));
	if (!id_is_zero(&rq->who.project_id))
		return err_set(&rq->cx, ERR_FORBIDDEN, "a token of one project changes no password");
	TRY(json_get_text(&rq->cx, rq->json, "password", &password));
	if (!password.n)
		return err_set(&rq->cx, ERR_REQUIRED, "field password: is missing");
	TRY(password_hash(&rq->cx, password, &hash));
	TRY(user_store_set_password(rq->db, &rq->cx, &user.id, hash));
	return reply_msg(rp, 200, "Updated", NULL);
}

enum err account_api_end_user(struct request *rq, struct reply *rp)
{
	struct user user;

	TRY(user_store_find(rq->db, &rq->cx, request_param(rq, "id"), &user));
	TRY(user_store_disable(rq->db, &rq->cx, &user.id));
	return reply_msg(rp, 200, "Deleted", NULL);
}

/* --- projects ------------------------------------------------------------------------------------ */
enum err account_api_add_project(struct request *rq, struct reply *rp)
{
	struct str name = { 0 };
	struct project project;

	if (rq->who.role < ROLE_OPERATOR || !id_is_zero(&rq->who.project_id))
		return err_set(&rq->cx, ERR_FORBIDDEN, "this needs a token with the role operator that is not bound to one project");
	TRY(json_get_text(&rq->cx, rq->json, "name", &name));
	if (!name.n)
		return err_set(&rq->cx, ERR_REQUIRED, "field name: is missing");
	TRY(project_store_add(rq->db, &rq->cx, name, &project));
	TRY(member_store_add(rq->db, &rq->cx, &project.id, rq->who.user_name, ROLE_OPERATOR));
	return reply_msg(rp, 200, "Project created", &project.id);
}

enum err account_api_end_project(struct request *rq, struct reply *rp)
{
	TRY(member_store_end_project(rq->db, &rq->cx, &rq->project_id));
	if (log_destination_store_delete_all(rq->logs, &rq->cx, &rq->project_id) != OK) /* nothing is written for them any more */
		log_warn("log_destinations_left", "project=%s why=\"%s\"", id_format(&rq->project_id).s, rq->cx.message);
	return reply_msg(rp, 200, "Deleted", NULL);
}

enum err account_api_members(struct request *rq, struct reply *rp)
{
	struct member *members;
	json_t *array;
	size_t n;

	TRY(member_store_list(rq->db, &rq->cx, &rq->project_id, &members, &n));
	array = json_array();
	for (size_t i = 0; i < n; i++) {
		json_t *j = json_object();

		set_id(j, "id", &members[i].user_id);
		json_object_set_new(j, "email", json_text(members[i].name));
		json_object_set_new(j, "role", json_string(role_name(members[i].role)));
		json_array_append_new(array, j);
	}
	return reply_json(rp, 200, json_pack("{s:o}", "users", array));
}

static enum err each_email(struct request *rq, bool share)
{
	json_t *emails = NULL, *one;
	size_t i;

	TRY(json_get_array(&rq->cx, rq->json, "emails", &emails));
	if (!json_array_size(emails))
		return err_set(&rq->cx, ERR_REQUIRED, "field emails: is missing");
	json_array_foreach(emails, i, one) {
		struct str email = str_of(json_string_value(one));

		if (share)
			TRY(member_store_add(rq->db, &rq->cx, &rq->project_id, email, ROLE_DEVELOPER));
		else
			TRY(member_store_remove(rq->db, &rq->cx, &rq->project_id, email));
	}
	return OK;
}

enum err account_api_share(struct request *rq, struct reply *rp)
{
	TRY(each_email(rq, true));
	return reply_msg(rp, 200, "Project shared", NULL);
}

enum err account_api_unshare(struct request *rq, struct reply *rp)
{
	TRY(each_email(rq, false));
	return reply_msg(rp, 200, "Project unshared", NULL);
}
