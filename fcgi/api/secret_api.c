#include "fcgi/api/secret_api.h"

#include "base/json.h"
#include "base/text.h"
#include "model/output_mask.h"
#include "store/code_store.h"
#include "store/secret_store.h"

enum err secret_api_list(struct request *rq, struct reply *rp)
{
	struct secret *secrets;
	json_t *array, *one;
	size_t n;

	TRY(secret_store_list(rq->db, &rq->cx, &rq->project_id, &secrets, &n));
	array = json_array();
	for (size_t i = 0; i < n; i++) {
		one = json_pack("{s:o, s:o}", "name", json_text(secrets[i].name), "updated_at", json_time(secrets[i].created_at));
		if (secrets[i].code_name.n)
			json_object_set_new(one, "code_name", json_text(secrets[i].code_name));
		json_array_append_new(array, one);
	}
	return reply_json(rp, 200, json_pack("{s:o}", "secrets", array));
}

static enum err name_of(struct request *rq, struct str *out)
{
	*out = request_param(rq, "name");
	if (!out->n || out->n > SECRET_NAME_BYTES || text_has_controls(*out))
		return err_set(&rq->cx, ERR_INPUT, "a secret's name must have 1 to %d bytes and no control characters", SECRET_NAME_BYTES);
	return OK;
}

/* Of every code of the project without a name. */
static enum err code_of(struct request *rq, struct str name, struct id *out)
{
	struct code code;

	*out = (struct id){ 0 };
	if (!name.n)
		return OK;
	TRY(code_store_find(rq->db, &rq->cx, &rq->project_id, name, &code));
	*out = code.id;
	return OK;
}

enum err secret_api_put(struct request *rq, struct reply *rp)
{
	struct str name, value = STR_LIT(""), code_name = STR_LIT("");
	struct seal_key key;
	struct id code;

	TRY(name_of(rq, &name));
	TRY(json_get_text(&rq->cx, rq->json, "value", &value));
	TRY(json_get_text(&rq->cx, rq->json, "code_name", &code_name));
	if (!value.n)
		return err_set(&rq->cx, ERR_REQUIRED, "field value: is missing");
	if (value.n > SECRET_BYTES || !output_mask_takes(value))
		return err_set(&rq->cx, ERR_INPUT, "field value: must be at most %d bytes and have a line of %d to %d", SECRET_BYTES,
		               OUTPUT_MASK_LEAST, OUTPUT_MASK_MOST);
	TRY(code_of(rq, code_name, &code));
	TRY(seal_key_read(&rq->cx, rq->set->secrets.key_file, &key));
	TRY(secret_store_put(rq->db, &rq->cx, &rq->project_id, &code, &key, name, value));
	return reply_msg(rp, 200, "Masked in what begins from now on", NULL);
}

enum err secret_api_delete(struct request *rq, struct reply *rp)
{
	struct str name, code_name = STR_LIT("");
	struct id code;

	TRY(name_of(rq, &name));
	request_query(rq, "code_name", &code_name);
	TRY(code_of(rq, code_name, &code));
	TRY(secret_store_delete(rq->db, &rq->cx, &rq->project_id, &code, name));
	return reply_msg(rp, 200, "Deleted", NULL);
}
