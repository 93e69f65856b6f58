#include "fcgi/exchange.h"

#include "base/clock.h"
#include "base/log.h"
#include "fcgi/auth.h"
#include "fcgi/doorbell.h"
#include "fcgi/quota.h"
#include "fcgi/route.h"

static const int64_t SLOW_US = 1000000;

/* The web server's access log has every request; here is what somebody should look at. */
static void log_request(const struct request *rq, int status, bool sent)
{
	long long ms = (clock_boot_us() - rq->begun_us) / 1000;

	if (status >= 500)
		log_warn("request", "status=%d method=%s path=\"" STR_FMT "\" ms=%lld trace=%s error=\"%s\"", status,
		         method_name(rq->method), STR_ARG(rq->path), ms, rq->cx.trace, rq->cx.message);
	else if (!sent)
		log_warn("request", "status=%d method=%s path=\"" STR_FMT "\" ms=%lld trace=%s error=\"broken off: %s\"",
		         status, method_name(rq->method), STR_ARG(rq->path), ms, rq->cx.trace, rq->cx.message);
	else if (ms * 1000 >= SLOW_US)
		log_info("request", "status=%d method=%s path=\"" STR_FMT "\" ms=%lld trace=%s", status,
		         method_name(rq->method), STR_ARG(rq->path), ms, rq->cx.trace);
}

static void ring(struct request *rq)
{
	doorbells_ring(rq->process->bells, rq->process->db, &rq->cx);
}

bool exchange_begin(struct process *process, struct request *rq, struct reply *rp, const struct request_source *source)
{
	if (request_init(rq, process, source)) {
		reply_error(rq, rp);
		request_drop_body(rq);
	} else {
		route_serve(rq, rp);
	}
	if (!rp->later)
		return false;
	ring(rq); /* now: what waits for the task's end must not wait to have it begun */
	request_forget_body(rq);
	return true;
}

void exchange_end(struct request *rq, struct reply *rp, const struct reply_sink *sink)
{
	bool sent;
	int status;

	if (rp->later)
		route_serve_later(rq, rp);
	status = rp->status ? rp->status : 200;
	sent = reply_send(rq, rp, sink);
	if (sent && sink->finish)
		sink->finish(sink->arg);
	log_request(rq, status, sent);
	if (status < 500) {
		ring(rq);
		auth_touch(rq);
		quota_refresh(rq->process, &rq->cx);
	}
	exchange_drop(rq, rp);
}

void exchange_drop(struct request *rq, struct reply *rp)
{
	reply_release(rp);
	request_release(rq);
}

void exchange(struct process *process, struct request *rq, const struct request_source *source,
              const struct reply_sink *sink)
{
	struct reply rp = { 0 };

	exchange_begin(process, rq, &rp, source);
	exchange_end(rq, &rp, sink);
}
