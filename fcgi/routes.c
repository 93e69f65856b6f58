#include "fcgi/route.h"

#include "fcgi/api/code_api.h"
#include "fcgi/api/log_api.h"
#include "fcgi/api/project_api.h"
#include "fcgi/api/service_api.h"
#include "fcgi/api/task_api.h"

#define P "/2/projects/{project}"
#define GET METHOD_GET
#define POST METHOD_POST
#define API_ROW(method, path, who, body, handler) { method, path, &API, who, body, handler, NULL }

const struct route ROUTES[] = {
	API_ROW(GET, "/healthz", AUTH_NONE, BODY_NONE, service_api_health),
	API_ROW(GET, "/readyz", AUTH_NONE, BODY_NONE, service_api_ready),
	API_ROW(GET, "/version", AUTH_NONE, BODY_NONE, service_api_version),

	API_ROW(GET, "/2/projects", AUTH_KNOWN, BODY_NONE, project_api_list),
	API_ROW(GET, P, AUTH_VIEWER, BODY_NONE, project_api_get),

	API_ROW(GET, P "/codes", AUTH_VIEWER, BODY_NONE, code_api_list),
	API_ROW(POST, P "/codes", AUTH_DEVELOPER, BODY_CODE, code_api_put),
	API_ROW(GET, P "/codes/{id}", AUTH_VIEWER, BODY_NONE, code_api_get),
	API_ROW(POST, P "/codes/{id}/pause_task_queue", AUTH_DEVELOPER, BODY_NONE, code_api_pause),
	API_ROW(POST, P "/codes/{id}/resume_task_queue", AUTH_DEVELOPER, BODY_NONE, code_api_resume),

	API_ROW(GET, P "/tasks", AUTH_VIEWER, BODY_NONE, task_api_list),
	API_ROW(POST, P "/tasks", AUTH_DEVELOPER, BODY_TASKS, task_api_queue),
	API_ROW(POST, P "/tasks/webhook", AUTH_DEVELOPER, BODY_PAYLOAD, task_api_webhook),
	API_ROW(GET, P "/tasks/{id}", AUTH_VIEWER, BODY_NONE, task_api_get),
	API_ROW(GET, P "/tasks/{id}/log", AUTH_VIEWER, BODY_NONE, log_api_log),
	API_ROW(GET, P "/tasks/{id}/outlog", AUTH_VIEWER, BODY_NONE, log_api_outlog),
	API_ROW(POST, P "/tasks/{id}/cancel", AUTH_DEVELOPER, BODY_NONE, task_api_cancel),
	API_ROW(POST, P "/tasks/{id}/progress", AUTH_DEVELOPER, BODY_JSON, task_api_progress),
	API_ROW(POST, P "/tasks/{id}/retry", AUTH_DEVELOPER, BODY_JSON, task_api_retry),
};
const size_t ROUTE_COUNT = sizeof ROUTES / sizeof *ROUTES;
