#pragma once
#include "fcgi/reply.h"

/* GET P/events: all changes of the project's tasks, oldest first, as CloudEvents. A page, from behind
 * ?after=PLACE, or, for who accepts text/event-stream, a stream that stoker-tail goes on with. */
enum err event_api_list(struct request *rq, struct reply *rp);
