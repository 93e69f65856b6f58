#pragma once
#include "base/buf.h"
#include "base/ctx.h"

/* Face of libxml2 for pages: templates are well-formed XML that is also HTML, read once by
 * xmlReadFile, copied for each page, filled through the setters here and written as HTML. Nobody
 * prints markup, so everything is escaped by construction; texts are cleaned by text_visible.
 *
 * Two attributes of a template steer the filling; neither reaches the browser:
 *   fill="name"   an element that code finds by that name
 *   piece="name"  a sample: it is left out, and stands in the page as often as code asks for it
 * Line breaks and the indentation after them are not content; a blank within a line is. */
struct _xmlDoc;
struct _xmlNode;

/* The templates of a folder, each parsed when first asked for and kept. */
struct html_shelf {
	char *folder;
	struct html_template *kept;
	size_t n;
};
void html_shelf_init(struct html_shelf *s, const char *folder);
void html_shelf_release(struct html_shelf *s);

/* One page, owned by whoever opened it. `arena` serves for cleaning texts and must outlive it. */
struct html {
	struct _xmlDoc *doc;
	struct arena *arena;
};
#define auto_html __attribute__((cleanup(html_close))) struct html

/* A copy of page/NAME.xml inside layout.xml: the children of its root replace the element of the
 * layout marked fill="page", its attributes go onto <main>. ERR_INTERNAL names file and line. */
enum err html_open(struct html_shelf *s, struct ctx *cx, const char *name, struct html *out);
void html_close(struct html *h);

/* An element of a page. Passed by value; valid until the page is closed. */
struct html_at {
	struct html *html;
	struct _xmlNode *node;
};
struct html_at html_root(struct html *h);
/* The element marked fill="name" at or below `in`, outside samples. A missing one is our own
 * mistake: the process ends with its name on stderr (a test renders every page). */
struct html_at html_find(struct html_at in, const char *name);
/* A new copy of the sample piece="name" below `in`, placed before it, after earlier copies. */
struct html_at html_piece(struct html_at in, const char *name);
/* Replaces what is in html_find(in, name) by a text. */
void html_text(struct html_at in, const char *name, struct str text);
/* Appends a text to the element itself. */
void html_put(struct html_at at, struct str text);
/* Sets an attribute of the element itself. Never `style` or `on…`. A value for href, src, action
 * or formaction must be a path, a query, a fragment or an http(s) URL; others are left out. */
void html_attr(struct html_at at, const char *name, struct str value);
/* Appends a new child element. */
struct html_at html_add(struct html_at parent, const char *tag);
/* Takes the element out of the page. */
void html_drop(struct html_at at);

/* The element with that attribute and value (`data-part`), or false. */
bool html_find_by(struct html_at in, const char *attribute, struct str value, struct html_at *out);
/* Writes the whole page, or (html_write_part) one element of it, as HTML at the end of *out. Nothing
 * may be filled afterwards. */
enum err html_write(struct html *h, struct ctx *cx, struct buf *out);
enum err html_write_part(struct html_at at, struct ctx *cx, struct buf *out);
