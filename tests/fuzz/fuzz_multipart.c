#include "base/buf.h"
#include "fcgi/multipart.h"
#include "tests/fuzz/fuzz.h"

/* Uploads of code packages. Every part lies in the body, behind the one before it; and what an honest
 * client sends arrives to the byte, whatever it is. */

static void read_parts(struct str body)
{
	struct str rest = body, boundary = multipart_boundary(body);
	struct part part;
	size_t left = rest.n;

	must(fuzz_within(boundary, body));
	while (multipart_next(&rest, boundary, &part)) {
		must(fuzz_within(part.name, body));
		must(fuzz_within(part.bytes, body));
		must(rest.n < left);
		left = rest.n;
	}
}

static void send_file(struct str file)
{
	static const char LINE_ENDS[][3] = { "\r\n", "\n" };

	for (int i = 0; i < 2; i++) {
		const char *end = LINE_ENDS[i];
		auto_buf body = { 0 };
		struct str rest, boundary;
		struct part part;

		buf_printf(&body, "--fuzz%sContent-Disposition: form-data; name=\"file\"; filename=\"a.zip\"%s%s", end, end, end);
		buf_str(&body, file);
		buf_printf(&body, "%s--fuzz--%s", end, end);
		rest = buf_view(&body);
		boundary = multipart_boundary(rest);
		must(str_is(boundary, "--fuzz"));
		must(multipart_next(&rest, boundary, &part));
		must(str_is(part.name, "file") && part.is_file);
		must(str_equal(part.bytes, file));
		must(!multipart_next(&rest, boundary, &part));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str body = str_bytes(data, size);

	read_parts(body);
	if (str_find(body, "--fuzz") == (size_t)-1)
		send_file(body);
	return 0;
}
