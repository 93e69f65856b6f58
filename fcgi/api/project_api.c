#include "fcgi/api/project_api.h"

#include "base/json.h"
#include "base/crypt.h"
#include "fcgi/timeout.h"
#include "model/payload_mask.h"
#include "store/credential_store.h"
#include "store/project_store.h"

static json_t *project_to_json(const struct project *p)
{
	struct id_text id = id_format(&p->id);
	json_t *j = json_object();

	json_object_set_new(j, "id", json_string(id.s));
	json_object_set_new(j, "name", json_text(p->name));
	json_object_set_new(j, "created_at", json_time(p->created_at));
	return j;
}

/* A token bound to one project sees that one only. */
static bool is_visible(const struct principal *who, const struct project *p)
{
	return id_is_zero(&who->project_id) || id_equal(&who->project_id, &p->id);
}

enum err project_api_list(struct request *rq, struct reply *rp)
{
	struct project *projects;
	json_t *array;
	size_t n;

	TRY(project_store_list(rq->db, &rq->cx, &rq->who.user_id, &projects, &n));
	array = json_array();
	for (size_t i = 0; i < n; i++)
		if (is_visible(&rq->who, &projects[i]))
			json_array_append_new(array, project_to_json(&projects[i]));
	return reply_json(rp, 200, json_pack("{s:o}", "projects", array));
}

static json_t *words_to_json(struct str words)
{
	json_t *array = json_array();
	struct str word;

	while (str_cut(&words, '\n', &word))
		if (word.n)
			json_array_append_new(array, json_text(word));
	return array;
}

enum err project_api_get(struct request *rq, struct reply *rp)
{
	struct project project;
	json_t *j;

	TRY(project_store_get(rq->db, &rq->cx, &rq->project_id, &project));
	j = project_to_json(&project);
	json_object_set_new(j, "payload_keys", words_to_json(project.payload_keys));
	json_object_set_new(j, "timeout_most", json_integer(timeout_most(rq, project.timeout_most_s)));
	return reply_json(rp, 200, j);
}

enum err project_api_change(struct request *rq, struct reply *rp)
{
	const json_t *list = json_object_get(rq->json, "payload_keys");
	size_t n = json_array_size(list);
	struct str *texts = arena_array(&rq->cx.arena, n, sizeof *texts), words;

	if (!json_is_array(list))
		return err_set(&rq->cx, list ? ERR_INPUT : ERR_REQUIRED, "field payload_keys: must be a list of texts");
	for (size_t i = 0; i < n; i++) {
		const json_t *text = json_array_get(list, i);

		texts[i] = json_is_string(text) ? str_bytes(json_string_value(text), json_string_length(text)) : STR_LIT("");
	}
	if (!payload_words(&rq->cx.arena, texts, n, &words))
		return err_set(&rq->cx, ERR_INPUT, "field payload_keys: " PAYLOAD_WORDS_RULE);
	TRY(project_store_set_payload_keys(rq->db, &rq->cx, &rq->project_id, words));
	return project_api_get(rq, rp);
}

/* --- registry logins -------------------------------------------------------------------------------- */
enum { LOGIN_BYTES = 4096, SERVER_BYTES = 255 };

/* base64 of {"email", "username", "password", "serveraddress"}. */
static enum err read_login(struct request *rq, struct str *login, struct str *server)
{
	static const struct json_limits LIMITS = { 4, 64 };
	struct str auth = { 0 }, user = { 0 };
	auto_json *j = NULL;

	TRY(json_get_text(&rq->cx, rq->json, "auth", &auth));
	if (!auth.n)
		return err_set(&rq->cx, ERR_REQUIRED, "field auth: is missing");
	if (!base64_parse(&rq->cx.arena, str_trim(auth), login) || login->n > LOGIN_BYTES ||
	    json_read(&rq->cx, *login, LIMITS, &j) != OK || !json_is_object(j))
		return err_set(&rq->cx, ERR_INPUT, "field auth: must be base64 of a JSON object");
	TRY(json_get_text(&rq->cx, j, "username", &user));
	if (!user.n)
		return err_set(&rq->cx, ERR_INPUT, "field auth: has no username");
	TRY(json_get_text(&rq->cx, j, "serveraddress", server));
	if (server->n > SERVER_BYTES)
		return err_set(&rq->cx, ERR_INPUT, "field auth: serveraddress is longer than %d bytes", SERVER_BYTES);
	*server = str_bytes(arena_copy(&rq->cx.arena, server->n ? server->p : "", server->n), server->n);
	return OK;
}

enum err project_api_credentials(struct request *rq, struct reply *rp)
{
	struct str login, server = { 0 };
	struct seal_key key;

	TRY(read_login(rq, &login, &server));
	TRY(seal_key_read(&rq->cx, rq->set->secrets.key_file, &key));
	TRY(credential_store_put(rq->db, &rq->cx, &rq->project_id, &key, server, login));
	return reply_msg(rp, 200, "Credentials added.", NULL);
}
