#include "cli/commands.h"

#include "base/json.h"
#include "cli/admin/connection.h"
#include "cli/output.h"
#include "store/node_store.h"

enum err admin_mend_command(struct cli *c)
{
	auto_admin a = { 0 };
	auto_json *j = NULL;
	int64_t mended;

	TRY(cli_options(c, NULL, 0));
	TRY(admin_open(c, &a));
	TRY(node_store_mend(a.db, &c->cx, &mended));
	if (!c->json) {
		cli_say(c, "%lld tasks given back", (long long)mended);
		return OK;
	}
	j = json_pack("{s:I}", "given_back", (json_int_t)mended);
	output_json(&c->cx, j);
	return OK;
}
