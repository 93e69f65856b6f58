#include "fcgi/page/projects_page.h"

void projects_page_fill(struct page *p)
{
	struct html_at list;

	page_title(p, "Projects");
	if (!p->frame->project_count) {
		html_piece(p->main, "none");
		return;
	}
	list = html_piece(p->main, "list");
	for (size_t i = 0; i < p->frame->project_count; i++) {
		const struct project *project = &p->frame->projects[i];
		struct html_at row = html_piece(list, "row");
		struct id_text id = id_format(&project->id);

		show_link(row, "name", str_c(p->html.arena, project->name), page_printf(p, "%s/p/%s", p->ui, id.s));
		html_text(row, "id", str_of(id.s));
		html_text(row, "state", project->paused ? STR_LIT("paused") : STR_LIT("open"));
		show_time(p, row, "made", project->created_at);
	}
}

enum err projects_page(struct request *rq, struct reply *rp)
{
	const struct frame *frame;
	auto_page page = { 0 };
	struct str all;

	TRY(frame_read(rq, &frame));
	TRY(page_open(rq, rp, "projects", frame, &page));
	if (frame->project_count == 1 && !request_query(rq, "all", &all))
		return page_see_other(rq, rp, page_printf(&page, "%s/p/%s", page.ui, id_format(&frame->projects[0].id).s));
	projects_page_fill(&page);
	return page_send(&page, 200);
}
