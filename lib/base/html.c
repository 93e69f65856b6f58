#include "base/html.h"

#include <libxml/HTMLtree.h>
#include <libxml/parser.h>
#include <libxml/xmlsave.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"

struct html_template {
	char *name;
	xmlDoc *doc;
};

void html_shelf_init(struct html_shelf *s, const char *folder)
{
	*s = (struct html_shelf){ .folder = strdup(folder) };
	if (!s->folder)
		abort();
	xmlInitParser();
}

void html_shelf_release(struct html_shelf *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->kept[i].name);
		xmlFreeDoc(s->kept[i].doc);
	}
	free(s->kept);
	free(s->folder);
	*s = (struct html_shelf){ 0 };
}

/* --- reading ------------------------------------------------------------------------------- */

static void hush(void *unused, const char *format, ...)
{
	(void)unused, (void)format; /* the sentence is made from xmlGetLastError */
}

static enum err read_file(struct ctx *cx, const char *path, xmlDoc **out)
{
	const xmlError *e;

	xmlSetGenericErrorFunc(NULL, hush);
	*out = xmlReadFile(path, NULL, XML_PARSE_NONET);
	if (*out)
		return OK;
	e = xmlGetLastError();
	return err_set(cx, ERR_INTERNAL, "read template %s:%d: %.*s", path, e ? e->line : 0,
	               e && e->message ? (int)strcspn(e->message, "\n") : 0,
	               e && e->message ? e->message : "");
}

static bool is_indentation(const xmlNode *n)
{
	return xmlIsBlankNode(n) && strchr((const char *)n->content, '\n');
}

/* Line breaks with the indentation behind them, and comments, are for who reads the template. */
static void strip_layout(xmlNode *n)
{
	for (xmlNode *next; n; n = next) {
		next = n->next;
		if (n->type == XML_COMMENT_NODE || (n->type == XML_TEXT_NODE && is_indentation(n))) {
			xmlUnlinkNode(n);
			xmlFreeNode(n);
		} else if (n->type == XML_ELEMENT_NODE) {
			strip_layout(n->children);
		}
	}
}

static bool has_value(const xmlNode *n, const char *attribute, struct str value)
{
	for (const xmlAttr *a = n->properties; a; a = a->next) {
		if (strcmp((const char *)a->name, attribute) == 0 && a->children)
			return str_is(value, (const char *)a->children->content);
	}
	return false;
}

static bool is_sample(xmlNode *n)
{
	return xmlHasProp(n, BAD_CAST "piece") != NULL;
}

/* Depth first, outside samples (`n` itself may be anything). */
static xmlNode *find(xmlNode *n, const char *attribute, struct str value)
{
	if (has_value(n, attribute, value))
		return n;
	for (xmlNode *c = n->children; c; c = c->next) {
		xmlNode *got;

		if (c->type == XML_ELEMENT_NODE && !is_sample(c) && (got = find(c, attribute, value)))
			return got;
	}
	return NULL;
}

/* Moves the page's children and attributes into the layout's <main>. */
static enum err join(struct ctx *cx, xmlDoc *layout, xmlDoc *page)
{
	xmlNode *root = xmlDocGetRootElement(page);
	xmlNode *into = find(xmlDocGetRootElement(layout), "fill", STR_LIT("page"));

	if (!into)
		return err_set(cx, ERR_INTERNAL, "layout.xml has no place for pages");
	for (const xmlAttr *a = root->properties; a; a = a->next) {
		xmlChar *value = xmlNodeListGetString(page, a->children, 1);

		xmlSetProp(into, a->name, value);
		xmlFree(value);
	}
	for (xmlNode *c = root->children; c; c = c->next)
		xmlAddChild(into, xmlDocCopyNode(c, layout, 1));
	return OK;
}

static enum err load(struct html_shelf *s, struct ctx *cx, const char *name, xmlDoc **out)
{
	xmlDoc *layout = NULL, *page = NULL;
	enum err e;

	if ((e = read_file(cx, arena_printf(&cx->arena, "%s/layout.xml", s->folder), &layout)) == OK &&
	    (e = read_file(cx, arena_printf(&cx->arena, "%s/page/%s.xml", s->folder, name), &page)) == OK)
		e = join(cx, layout, page);
	if (page)
		xmlFreeDoc(page);
	if (e != OK && layout)
		xmlFreeDoc(layout);
	if (e != OK)
		return e;
	strip_layout(xmlDocGetRootElement(layout));
	*out = layout;
	return OK;
}

static enum err take(struct html_shelf *s, struct ctx *cx, const char *name, xmlDoc **out)
{
	struct html_template *more;

	for (size_t i = 0; i < s->n; i++) {
		if (strcmp(s->kept[i].name, name) == 0) {
			*out = s->kept[i].doc;
			return OK;
		}
	}
	TRY(load(s, cx, name, out));
	if (!(more = realloc(s->kept, (s->n + 1) * sizeof *more)))
		abort();
	s->kept = more;
	s->kept[s->n] = (struct html_template){ strdup(name), *out };
	if (!s->kept[s->n++].name)
		abort();
	return OK;
}

enum err html_open(struct html_shelf *s, struct ctx *cx, const char *name, struct html *out)
{
	xmlDoc *sample;

	TRY(take(s, cx, name, &sample));
	*out = (struct html){ xmlCopyDoc(sample, 1), &cx->arena };
	return out->doc ? OK : err_set(cx, ERR_INTERNAL, "copy template %s: no memory", name);
}

void html_close(struct html *h)
{
	if (h->doc)
		xmlFreeDoc(h->doc);
	h->doc = NULL;
}

/* --- filling ------------------------------------------------------------------------------- */

struct html_at html_root(struct html *h)
{
	return (struct html_at){ h, xmlDocGetRootElement(h->doc) };
}

static void missing(const char *what, const char *name)
{
	fprintf(stderr, "template has no %s=\"%s\"\n", what, name);
	abort();
}

struct html_at html_find(struct html_at in, const char *name)
{
	xmlNode *n = find(in.node, "fill", str_of(name));

	if (!n)
		missing("fill", name);
	return (struct html_at){ in.html, n };
}

/* The sample of that name below `n`, not inside another sample. */
static xmlNode *find_sample(xmlNode *n, struct str name)
{
	for (xmlNode *c = n->children; c; c = c->next) {
		xmlNode *got;

		if (c->type != XML_ELEMENT_NODE)
			continue;
		if (has_value(c, "piece", name))
			return c;
		if (!is_sample(c) && (got = find_sample(c, name)))
			return got;
	}
	return NULL;
}

struct html_at html_piece(struct html_at in, const char *name)
{
	xmlNode *sample = find_sample(in.node, str_of(name));
	xmlNode *copy;

	if (!sample)
		missing("piece", name);
	copy = xmlDocCopyNode(sample, in.html->doc, 1);
	xmlUnsetProp(copy, BAD_CAST "piece");
	xmlAddPrevSibling(sample, copy);
	return (struct html_at){ in.html, copy };
}

void html_put(struct html_at at, struct str text)
{
	struct str clean = text_visible(at.html->arena, text);

	if (clean.n == 0)
		return;
	xmlAddChild(at.node, xmlNewDocTextLen(at.html->doc, BAD_CAST clean.p, (int)clean.n));
}

void html_text(struct html_at in, const char *name, struct str text)
{
	struct html_at at = html_find(in, name);

	while (at.node->children) {
		xmlNode *c = at.node->children;

		xmlUnlinkNode(c);
		xmlFreeNode(c);
	}
	html_put(at, text);
}

static bool is_link(const char *name)
{
	return !strcmp(name, "href") || !strcmp(name, "src") || !strcmp(name, "action") ||
	       !strcmp(name, "formaction");
}

/* "//host" would leave the site: it is a link only with its scheme written out. */
static bool is_safe_url(struct str url)
{
	if (str_starts(url, "http://") || str_starts(url, "https://") || url.n == 0)
		return true;
	if (url.p[0] == '/')
		return url.n == 1 || (url.p[1] != '/' && url.p[1] != '\\');
	return url.p[0] == '?' || url.p[0] == '#';
}

void html_attr(struct html_at at, const char *name, struct str value)
{
	struct str clean = text_visible(at.html->arena, value);

	if (strncmp(name, "on", 2) == 0 || strcmp(name, "style") == 0)
		missing("forbidden attribute", name);
	if (is_link(name) && !is_safe_url(clean))
		return;
	xmlSetProp(at.node, BAD_CAST name, BAD_CAST str_c(at.html->arena, clean));
}

struct html_at html_add(struct html_at parent, const char *tag)
{
	return (struct html_at){ parent.html, xmlNewChild(parent.node, NULL, BAD_CAST tag, NULL) };
}

void html_drop(struct html_at at)
{
	xmlUnlinkNode(at.node);
	xmlFreeNode(at.node);
}

bool html_find_by(struct html_at in, const char *attribute, struct str value, struct html_at *out)
{
	xmlNode *n = find(in.node, attribute, value);

	if (n)
		*out = (struct html_at){ in.html, n };
	return n != NULL;
}

/* --- writing ------------------------------------------------------------------------------- */

/* Takes out the samples and the marks. */
static void finish(xmlNode *n)
{
	xmlUnsetProp(n, BAD_CAST "fill");
	for (xmlNode *c = n->children, *next; c; c = next) {
		next = c->next;
		if (c->type != XML_ELEMENT_NODE)
			continue;
		if (is_sample(c)) {
			xmlUnlinkNode(c);
			xmlFreeNode(c);
		} else {
			finish(c);
		}
	}
}

/* `n` NULL: the whole document. */
static enum err save(struct html *h, xmlNode *n, struct ctx *cx, struct buf *out)
{
	xmlBuffer *b = xmlBufferCreate();
	xmlSaveCtxt *save = b ? xmlSaveToBuffer(b, "UTF-8", XML_SAVE_AS_HTML) : NULL;
	bool done = save && (n ? xmlSaveTree(save, n) : xmlSaveDoc(save, h->doc)) >= 0;

	if (save && xmlSaveClose(save) < 0)
		done = false;
	if (done)
		buf_add(out, xmlBufferContent(b), (size_t)xmlBufferLength(b));
	if (b)
		xmlBufferFree(b);
	return done && !out->full ? OK : err_set(cx, ERR_INTERNAL, "write page: no memory");
}

enum err html_write(struct html *h, struct ctx *cx, struct buf *out)
{
	finish(xmlDocGetRootElement(h->doc));
	return save(h, NULL, cx, out);
}

enum err html_write_part(struct html_at at, struct ctx *cx, struct buf *out)
{
	finish(at.node);
	return save(at.html, at.node, cx, out);
}
