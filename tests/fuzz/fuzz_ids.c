#include "base/crypt.h"
#include "base/egress.h"
#include "base/id.h"
#include "model/callback.h"
#include "model/command.h"
#include "model/image_name.h"
#include "model/token.h"
#include "tests/fuzz/fuzz.h"

#include <ctype.h>
#include <netinet/in.h>

/* Short texts with a form of their own: ids, tokens, base64, image names, commands, callback
 * addresses; and the address that a callback would go to. */

static void read_id(struct str text)
{
	struct id id = { 0 }, again;
	char prefix[TOKEN_PREFIX];
	unsigned char hash[SHA256_BYTES];

	if (id_parse(text, &id)) {
		struct id_text shown = id_format(&id);

		must(text.n == 24);
		must(id_parse(str_of(shown.s), &again) && id_equal(&id, &again));
		for (size_t i = 0; i < 24; i++)
			must(shown.s[i] == (char)tolower((unsigned char)text.p[i]));
		must(id_ms(&id) >= 0);
	}
	token_prefix(text, prefix);
	must(strlen(prefix) < TOKEN_PREFIX);
	token_hash(text, hash);
}

static void read_base64(struct ctx *cx, struct str text)
{
	struct str bytes, again;

	if (base64_parse(&cx->arena, text, &bytes))
		must(bytes.n <= text.n);
	must(base64_parse(&cx->arena, str_of(base64_format(&cx->arena, text.p, text.n)), &again));
	must(str_equal(again, text));
}

static void read_names(struct ctx *cx, struct str text)
{
	struct str *words;
	size_t n;

	if (image_name_is_valid(text))
		must(text.n && text.n <= IMAGE_NAME_MAX && !memchr(text.p, 0, text.n));
	image_name_check(cx, text);
	if (command_check(cx, text) == OK) {
		must(command_words(cx, text, &words, &n) == OK && n <= COMMAND_WORDS_MOST);
		for (size_t i = 0; i < n; i++)
			must(words[i].n && !memchr(words[i].p, 0, words[i].n));
	}
	if (callback_check(cx, text) == OK && text.n)
		must(text.n <= CALLBACK_URL_BYTES && text.n > 5 && !memchr(text.p, 0, text.n) &&
		     (str_starts(text, "code:") || str_is_nocase(str_bytes(text.p, 4), "http")));
}

/* An IPv4 address is judged the same in each form in which IPv6 can carry it. */
static void judge_address(struct str bytes)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in6 any = { .sin6_family = AF_INET6 }, mapped = any, tunnel = any;
	bool is_public;

	if (bytes.n < 16)
		return;
	memcpy(&in.sin_addr, bytes.p, 4);
	memcpy(&any.sin6_addr, bytes.p, 16);
	mapped.sin6_addr.s6_addr[10] = mapped.sin6_addr.s6_addr[11] = 0xff;
	memcpy(mapped.sin6_addr.s6_addr + 12, bytes.p, 4);
	memcpy(tunnel.sin6_addr.s6_addr, "\x20\x02", 2);
	memcpy(tunnel.sin6_addr.s6_addr + 2, bytes.p, 4);
	is_public = egress_is_public((struct sockaddr *)&in);
	must(egress_is_public((struct sockaddr *)&mapped) == is_public);
	must(egress_is_public((struct sockaddr *)&tunnel) == is_public);
	egress_is_public((struct sockaddr *)&any);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = str_bytes(data, size);
	static struct ctx cx;

	read_id(text);
	read_base64(&cx, text);
	read_names(&cx, text);
	judge_address(text);
	ctx_release(&cx);
	return 0;
}
