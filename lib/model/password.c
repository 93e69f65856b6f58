#include "model/password.h"

#include "base/crypt.h"

enum { SALT_BYTES = 16, HASH_BYTES = 32 };

enum err password_hash(struct ctx *cx, struct str password, struct str *out)
{
	unsigned char salt[SALT_BYTES], hash[HASH_BYTES];
	char salt_text[2 * SALT_BYTES + 1], hash_text[2 * HASH_BYTES + 1];

	if (password.n < PASSWORD_LEAST || password.n > PASSWORD_MOST)
		return err_set(cx, ERR_INPUT, "field password: must have %d to %d bytes", PASSWORD_LEAST, PASSWORD_MOST);
	crypt_random(salt, sizeof salt);
	crypt_scrypt(password, str_bytes(salt, sizeof salt), hash, sizeof hash);
	hex_format(salt, sizeof salt, salt_text);
	hex_format(hash, sizeof hash, hash_text);
	*out = str_of(arena_printf(&cx->arena, "scrypt$%s$%s", salt_text, hash_text));
	return OK;
}

bool password_fits(struct str password, struct str kept)
{
	unsigned char salt[SALT_BYTES] = { 0 }, want[HASH_BYTES] = { 0 }, got[HASH_BYTES];
	struct str method, salt_text = { 0 };
	bool known;

	str_cut(&kept, '$', &method);
	str_cut(&kept, '$', &salt_text);
	known = str_is(method, "scrypt") && hex_parse(salt_text, salt, sizeof salt) && hex_parse(kept, want, sizeof want);
	if (password.n > PASSWORD_MOST)
		password.n = 0;
	crypt_scrypt(password, str_bytes(salt, sizeof salt), got, sizeof got);
	return known && crypt_equal(got, want, sizeof got);
}
