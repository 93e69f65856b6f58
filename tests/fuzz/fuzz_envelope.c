#include "base/envelope.h"
#include "tests/fuzz/fuzz.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

/* Payloads that say they are encrypted, and keys that somebody pastes into a cluster. What a stranger
 * made up opens nothing. */

/* One for all inputs: making it takes as long as a thousand of them. */
static struct envelope_key *own_key(struct ctx *cx)
{
	EVP_PKEY *pair = EVP_RSA_gen(1024);
	BIO *bio = BIO_new(BIO_s_mem());
	struct envelope_key *key = NULL;
	char *text;
	long n;

	must(pair && bio && PEM_write_bio_PrivateKey(bio, pair, NULL, NULL, 0, NULL, NULL) == 1);
	n = BIO_get_mem_data(bio, &text);
	must(envelope_key_read(cx, str_bytes(text, (size_t)n), &key) == OK);
	must(str_starts(envelope_key_public(cx, key), "-----BEGIN PUBLIC KEY"));
	BIO_free(bio);
	EVP_PKEY_free(pair);
	return key;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct envelope_key *key;
	struct str text = str_bytes(data, size), plain = { 0 };
	struct envelope_key *other = NULL;
	auto_ctx cx = { 0 };

	if (!key)
		key = own_key(&cx);
	must(envelope_open(&cx, key, text, &plain) == ERR_INPUT && cx.message[0]);
	if (envelope_key_read(&cx, text, &other) != OK)
		must(!other);
	envelope_key_free(other);
	return 0;
}
