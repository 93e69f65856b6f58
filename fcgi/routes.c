#include "fcgi/route.h"

#include "fcgi/api/account_api.h"
#include "fcgi/api/calendar_api.h"
#include "fcgi/api/callback_api.h"
#include "fcgi/api/cluster_api.h"
#include "fcgi/api/code_api.h"
#include "fcgi/api/event_api.h"
#include "fcgi/api/fire_api.h"
#include "fcgi/api/log_api.h"
#include "fcgi/api/log_destination_api.h"
#include "fcgi/api/package_api.h"
#include "fcgi/api/project_api.h"
#include "fcgi/api/schedule_api.h"
#include "fcgi/api/search_api.h"
#include "fcgi/api/secret_api.h"
#include "fcgi/api/service_api.h"
#include "fcgi/api/stream_api.h"
#include "fcgi/api/task_api.h"
#include "fcgi/api/trigger_api.h"
#include "fcgi/page/calendar_page.h"
#include "fcgi/page/callbacks_page.h"
#include "fcgi/page/log_page.h"
#include "fcgi/page/overview_page.h"
#include "fcgi/page/projects_page.h"
#include "fcgi/page/schedule_form_page.h"
#include "fcgi/page/schedule_page.h"
#include "fcgi/page/search_page.h"
#include "fcgi/page/settings_page.h"
#include "fcgi/page/signin_page.h"
#include "fcgi/page/task_page.h"
#include "fcgi/page/tasks_page.h"

#define P "/2/projects/{project}"
#define GET METHOD_GET
#define POST METHOD_POST
#define PUT METHOD_PUT
#define PATCH METHOD_PATCH
#define DELETE METHOD_DELETE
#define UI "/ui/p/{project}"
#define API_ROW(method, path, who, body, handler) { method, path, &API, who, body, handler, NULL }
#define PAGE_ROW(method, path, who, body, handler, title) { method, path, &PAGE, who, body, handler, title }

const struct route ROUTES[] = {
	API_ROW(GET, "/healthz", AUTH_NONE, BODY_NONE, service_api_health),
	API_ROW(GET, "/readyz", AUTH_NONE, BODY_NONE, service_api_ready),
	API_ROW(GET, "/version", AUTH_NONE, BODY_NONE, service_api_version),

	API_ROW(GET, "/2/projects", AUTH_KNOWN, BODY_NONE, project_api_list),
	API_ROW(GET, P, AUTH_VIEWER, BODY_NONE, project_api_get),
	API_ROW(PATCH, P, AUTH_OPERATOR, BODY_JSON, project_api_change),

	API_ROW(POST, P "/credentials", AUTH_DEVELOPER, BODY_JSON, project_api_credentials),
	API_ROW(GET, P "/secrets", AUTH_VIEWER, BODY_NONE, secret_api_list),
	API_ROW(PUT, P "/secrets/{name}", AUTH_DEVELOPER, BODY_JSON, secret_api_put),
	API_ROW(DELETE, P "/secrets/{name}", AUTH_DEVELOPER, BODY_NONE, secret_api_delete),

	API_ROW(GET, P "/codes", AUTH_VIEWER, BODY_NONE, code_api_list),
	API_ROW(POST, P "/codes", AUTH_DEVELOPER, BODY_CODE, code_api_put),
	API_ROW(GET, P "/codes/{id}", AUTH_VIEWER, BODY_NONE, code_api_get),
	API_ROW(POST, P "/codes/{id}", AUTH_DEVELOPER, BODY_CODE, code_api_put_one),
	API_ROW(DELETE, P "/codes/{id}", AUTH_DEVELOPER, BODY_NONE, code_api_delete),
	API_ROW(GET, P "/codes/{id}/revisions", AUTH_VIEWER, BODY_NONE, code_api_revisions),
	API_ROW(GET, P "/codes/{id}/download", AUTH_VIEWER, BODY_NONE, package_api_download),
	API_ROW(GET, P "/codes/{id}/stats", AUTH_VIEWER, BODY_NONE, code_api_stats),
	API_ROW(POST, P "/codes/{id}/cancel_all", AUTH_DEVELOPER, BODY_NONE, code_api_cancel_all),
	API_ROW(POST, P "/codes/{id}/pause_task_queue", AUTH_DEVELOPER, BODY_NONE, code_api_pause),
	API_ROW(POST, P "/codes/{id}/resume_task_queue", AUTH_DEVELOPER, BODY_NONE, code_api_resume),
	API_ROW(POST, P "/codes/{id}/resume_callback", AUTH_DEVELOPER, BODY_NONE, code_api_resume_callback),

	API_ROW(GET, P "/tasks", AUTH_VIEWER, BODY_NONE, task_api_list),
	API_ROW(POST, P "/tasks", AUTH_DEVELOPER, BODY_TASKS, task_api_queue),
	API_ROW(POST, P "/tasks/webhook", AUTH_DEVELOPER, BODY_PAYLOAD, task_api_webhook),
	API_ROW(GET, P "/tasks/{id}", AUTH_VIEWER, BODY_NONE, task_api_get),
	API_ROW(GET, P "/tasks/{id}/log", AUTH_VIEWER, BODY_NONE, log_api_log),
	API_ROW(GET, P "/tasks/{id}/outlog", AUTH_VIEWER, BODY_NONE, log_api_outlog),
	API_ROW(GET, P "/tasks/{id}/log/stream", AUTH_VIEWER, BODY_NONE, stream_api_log),
	API_ROW(POST, P "/tasks/{id}/cancel", AUTH_DEVELOPER, BODY_NONE, task_api_cancel),
	API_ROW(POST, P "/tasks/{id}/progress", AUTH_DEVELOPER, BODY_JSON, task_api_progress),
	API_ROW(POST, P "/tasks/{id}/retry", AUTH_DEVELOPER, BODY_JSON, task_api_retry),

	API_ROW(GET, P "/logs/search", AUTH_VIEWER, BODY_NONE, search_api_logs),
	API_ROW(GET, P "/events", AUTH_VIEWER, BODY_NONE, event_api_list),

	API_ROW(GET, P "/schedules", AUTH_VIEWER, BODY_NONE, schedule_api_list),
	API_ROW(POST, P "/schedules", AUTH_DEVELOPER, BODY_TASKS, schedule_api_add),
	API_ROW(GET, P "/schedules/{id}", AUTH_VIEWER, BODY_NONE, schedule_api_get),
	API_ROW(PUT, P "/schedules/{id}", AUTH_DEVELOPER, BODY_TASKS, schedule_api_change),
	API_ROW(POST, P "/schedules/{id}/cancel", AUTH_DEVELOPER, BODY_NONE, schedule_api_cancel),
	API_ROW(POST, P "/schedules/preview", AUTH_VIEWER, BODY_TASKS, fire_api_preview),
	API_ROW(GET, P "/schedules/{id}/preview", AUTH_VIEWER, BODY_NONE, fire_api_coming),
	API_ROW(GET, P "/schedules/{id}/fires", AUTH_VIEWER, BODY_NONE, fire_api_fires),
	API_ROW(GET, P "/schedules/{id}/pauses", AUTH_VIEWER, BODY_NONE, fire_api_pauses),
	API_ROW(POST, P "/schedules/{id}/pause", AUTH_DEVELOPER, BODY_JSON, fire_api_pause),
	API_ROW(POST, P "/schedules/{id}/resume", AUTH_DEVELOPER, BODY_JSON, fire_api_resume),
	API_ROW(POST, P "/schedules/{id}/run", AUTH_DEVELOPER, BODY_JSON, fire_api_run),
	API_ROW(POST, P "/schedules/{id}/backfill", AUTH_DEVELOPER, BODY_JSON, fire_api_backfill),
	API_ROW(GET, P "/calendars", AUTH_VIEWER, BODY_NONE, calendar_api_list),
	API_ROW(PUT, P "/calendars/{name}", AUTH_DEVELOPER, BODY_JSON, calendar_api_put),
	API_ROW(DELETE, P "/calendars/{name}", AUTH_DEVELOPER, BODY_NONE, calendar_api_delete),

	API_ROW(GET, P "/callbacks", AUTH_VIEWER, BODY_NONE, callback_api_list),
	API_ROW(POST, P "/callbacks", AUTH_DEVELOPER, BODY_JSON, callback_api_add),
	API_ROW(GET, P "/callbacks/{id}", AUTH_VIEWER, BODY_NONE, callback_api_get),
	API_ROW(PUT, P "/callbacks/{id}", AUTH_DEVELOPER, BODY_JSON, callback_api_change),
	API_ROW(DELETE, P "/callbacks/{id}", AUTH_DEVELOPER, BODY_NONE, callback_api_delete),
	API_ROW(POST, P "/callbacks/{id}/pause", AUTH_DEVELOPER, BODY_NONE, callback_api_pause),
	API_ROW(POST, P "/callbacks/{id}/resume", AUTH_DEVELOPER, BODY_NONE, callback_api_resume),
	API_ROW(POST, P "/callbacks/{id}/test", AUTH_DEVELOPER, BODY_NONE, callback_api_test),
	API_ROW(POST, P "/callbacks/{id}/rotate", AUTH_DEVELOPER, BODY_JSON, callback_api_rotate),
	API_ROW(POST, P "/callback_secret/rotate", AUTH_DEVELOPER, BODY_JSON, callback_api_rotate_project),
	API_ROW(GET, P "/deliveries", AUTH_VIEWER, BODY_NONE, callback_api_deliveries),
	API_ROW(GET, P "/deliveries/{id}", AUTH_VIEWER, BODY_NONE, callback_api_delivery),
	API_ROW(POST, P "/deliveries/{id}/redeliver", AUTH_DEVELOPER, BODY_NONE, callback_api_redeliver),
	API_ROW(POST, P "/deliveries/redeliver", AUTH_DEVELOPER, BODY_JSON, callback_api_redeliver_some),

	API_ROW(GET, P "/log_destinations", AUTH_VIEWER, BODY_NONE, log_destination_api_list),
	API_ROW(POST, P "/log_destinations", AUTH_DEVELOPER, BODY_JSON, log_destination_api_add),
	API_ROW(GET, P "/log_destinations/{id}", AUTH_VIEWER, BODY_NONE, log_destination_api_get),
	API_ROW(PUT, P "/log_destinations/{id}", AUTH_DEVELOPER, BODY_JSON, log_destination_api_change),
	API_ROW(DELETE, P "/log_destinations/{id}", AUTH_DEVELOPER, BODY_NONE, log_destination_api_delete),
	API_ROW(POST, P "/log_destinations/{id}/pause", AUTH_DEVELOPER, BODY_NONE, log_destination_api_pause),
	API_ROW(POST, P "/log_destinations/{id}/resume", AUTH_DEVELOPER, BODY_NONE, log_destination_api_resume),
	API_ROW(POST, P "/log_destinations/{id}/ping", AUTH_DEVELOPER, BODY_NONE, log_destination_api_ping),

	API_ROW(GET, P "/triggers", AUTH_VIEWER, BODY_NONE, trigger_api_list),
	API_ROW(POST, P "/triggers", AUTH_DEVELOPER, BODY_JSON, trigger_api_add),
	API_ROW(GET, P "/triggers/{id}", AUTH_VIEWER, BODY_NONE, trigger_api_get),
	API_ROW(PUT, P "/triggers/{id}", AUTH_DEVELOPER, BODY_JSON, trigger_api_change),
	API_ROW(DELETE, P "/triggers/{id}", AUTH_DEVELOPER, BODY_NONE, trigger_api_delete),
	API_ROW(POST, P "/triggers/{id}/rotate", AUTH_DEVELOPER, BODY_NONE, trigger_api_rotate),
	API_ROW(POST, P "/triggers/{id}/pause", AUTH_DEVELOPER, BODY_NONE, trigger_api_pause),
	API_ROW(POST, P "/triggers/{id}/resume", AUTH_DEVELOPER, BODY_NONE, trigger_api_resume),
	API_ROW(GET, P "/triggers/{id}/requests", AUTH_VIEWER, BODY_NONE, trigger_api_requests),
	API_ROW(POST, "/hooks/{token}", AUTH_NONE, BODY_PAYLOAD, trigger_api_receive),

	API_ROW(GET, "/2/stacks", AUTH_KNOWN, BODY_NONE, service_api_stacks),
	API_ROW(GET, "/2/clusters", AUTH_KNOWN, BODY_NONE, cluster_api_list),
	API_ROW(GET, "/2/clusters/shared", AUTH_KNOWN, BODY_NONE, cluster_api_list_shared),
	API_ROW(POST, "/2/clusters", AUTH_KNOWN, BODY_JSON, cluster_api_add),
	API_ROW(GET, "/2/clusters/{id}", AUTH_KNOWN, BODY_NONE, cluster_api_get),
	API_ROW(PUT, "/2/clusters/{id}", AUTH_KNOWN, BODY_JSON, cluster_api_change),
	API_ROW(DELETE, "/2/clusters/{id}", AUTH_KNOWN, BODY_NONE, cluster_api_delete),
	API_ROW(GET, "/2/clusters/{id}/stats", AUTH_KNOWN, BODY_NONE, cluster_api_stats),
	API_ROW(GET, "/2/clusters/{id}/credentials", AUTH_KNOWN, BODY_NONE, cluster_api_credentials),
	API_ROW(GET, "/2/clusters/{id}/tasks", AUTH_KNOWN, BODY_NONE, cluster_api_tasks),
	API_ROW(POST, "/2/clusters/{id}/share", AUTH_KNOWN, BODY_JSON, cluster_api_share),
	API_ROW(POST, "/2/clusters/{id}/unshare/{user}", AUTH_KNOWN, BODY_NONE, cluster_api_unshare),
	API_ROW(POST, "/2/clusters/{id}/terminate", AUTH_KNOWN, BODY_JSON, cluster_api_terminate),

	API_ROW(GET, "/1/authentication", AUTH_KNOWN, BODY_NONE, account_api_check),
	API_ROW(POST, "/1/authentication", AUTH_NONE, BODY_JSON, account_api_sign_in),
	API_ROW(POST, "/1/tokens", AUTH_KNOWN, BODY_JSON, account_api_add_token),
	API_ROW(DELETE, "/1/tokens/{id}", AUTH_KNOWN, BODY_NONE, account_api_end_token),
	API_ROW(GET, "/1/users", AUTH_ADMIN, BODY_NONE, account_api_users),
	API_ROW(POST, "/1/users", AUTH_ADMIN, BODY_JSON, account_api_add_user),
	API_ROW(GET, "/1/users/{id}", AUTH_KNOWN, BODY_NONE, account_api_user),
	API_ROW(PATCH, "/1/users/{id}", AUTH_KNOWN, BODY_JSON, account_api_change_user),
	API_ROW(DELETE, "/1/users/{id}", AUTH_ADMIN, BODY_NONE, account_api_end_user),
	API_ROW(GET, "/1/projects", AUTH_KNOWN, BODY_NONE, project_api_list),
	API_ROW(POST, "/1/projects", AUTH_KNOWN, BODY_JSON, account_api_add_project),
	API_ROW(GET, "/1/projects/{project}", AUTH_VIEWER, BODY_NONE, project_api_get),
	API_ROW(DELETE, "/1/projects/{project}", AUTH_OPERATOR, BODY_NONE, account_api_end_project),
	API_ROW(GET, "/1/projects/{project}/share", AUTH_VIEWER, BODY_NONE, account_api_members),
	API_ROW(PATCH, "/1/projects/{project}/share", AUTH_OPERATOR, BODY_JSON, account_api_share),
	API_ROW(PATCH, "/1/projects/{project}/unshare", AUTH_OPERATOR, BODY_JSON, account_api_unshare),

	PAGE_ROW(GET, "/", AUTH_NONE, BODY_NONE, signin_page_front, NULL),
	PAGE_ROW(GET, "/ui/signin", AUTH_NONE, BODY_NONE, signin_page, NULL),
	PAGE_ROW(POST, "/ui/signin", AUTH_NONE, BODY_FORM, signin_page_enter, NULL),
	PAGE_ROW(POST, "/ui/signout", AUTH_NONE, BODY_FORM, signin_page_leave, NULL),
	PAGE_ROW(POST, "/ui/theme", AUTH_NONE, BODY_FORM, signin_page_theme, NULL),
	PAGE_ROW(GET, "/ui", AUTH_KNOWN, BODY_NONE, projects_page, NULL),
	PAGE_ROW(GET, UI, AUTH_VIEWER, BODY_NONE, overview_page, "Overview"),
	PAGE_ROW(GET, UI "/tasks", AUTH_VIEWER, BODY_NONE, tasks_page, "Tasks"),
	PAGE_ROW(GET, UI "/logs/search", AUTH_VIEWER, BODY_NONE, search_page, "Search"),
	PAGE_ROW(GET, UI "/tasks/{id}", AUTH_VIEWER, BODY_NONE, task_page, NULL),
	PAGE_ROW(GET, UI "/tasks/{id}/log", AUTH_VIEWER, BODY_NONE, log_page, NULL),
	PAGE_ROW(GET, UI "/tasks/{id}/log/raw", AUTH_VIEWER, BODY_NONE, log_page_raw, NULL),
	PAGE_ROW(GET, UI "/tasks/{id}/log/stream", AUTH_VIEWER, BODY_NONE, stream_api_news, NULL),
	PAGE_ROW(POST, UI "/tasks/{id}/cancel", AUTH_DEVELOPER, BODY_FORM, task_page_cancel, NULL),
	PAGE_ROW(GET, UI "/schedules", AUTH_VIEWER, BODY_NONE, schedules_page, "Schedules"),
	PAGE_ROW(GET, UI "/schedules/new", AUTH_DEVELOPER, BODY_NONE, schedule_form_page_new, NULL),
	PAGE_ROW(POST, UI "/schedules/new", AUTH_DEVELOPER, BODY_FORM, schedule_form_page_make, NULL),
	PAGE_ROW(GET, UI "/schedules/calendar", AUTH_VIEWER, BODY_NONE, calendar_page, NULL),
	PAGE_ROW(POST, UI "/schedules/calendar", AUTH_DEVELOPER, BODY_FORM, calendar_page_change, NULL),
	PAGE_ROW(GET, UI "/schedules/{id}", AUTH_VIEWER, BODY_NONE, schedule_page, NULL),
	PAGE_ROW(GET, UI "/schedules/{id}/edit", AUTH_DEVELOPER, BODY_NONE, schedule_form_page_edit, NULL),
	PAGE_ROW(POST, UI "/schedules/{id}/edit", AUTH_DEVELOPER, BODY_FORM, schedule_form_page_change, NULL),
	PAGE_ROW(POST, UI "/schedules/{id}/run", AUTH_DEVELOPER, BODY_FORM, schedule_page_run, NULL),
	PAGE_ROW(POST, UI "/schedules/{id}/pause", AUTH_DEVELOPER, BODY_FORM, schedule_page_pause, NULL),
	PAGE_ROW(POST, UI "/schedules/{id}/resume", AUTH_DEVELOPER, BODY_FORM, schedule_page_resume, NULL),
	PAGE_ROW(POST, UI "/schedules/{id}/backfill", AUTH_DEVELOPER, BODY_FORM, schedule_page_backfill, NULL),
	PAGE_ROW(POST, UI "/schedules/{id}/cancel", AUTH_DEVELOPER, BODY_FORM, schedule_page_cancel, NULL),
	PAGE_ROW(GET, "/worker/projects/{project}/scheduled_jobs/{id}", AUTH_NONE, BODY_NONE, schedule_page_worker_link, NULL),
	PAGE_ROW(GET, UI "/callbacks", AUTH_VIEWER, BODY_NONE, callbacks_page, "Callbacks"),
	PAGE_ROW(POST, UI "/callbacks/{id}/test", AUTH_DEVELOPER, BODY_FORM, callbacks_page_test, NULL),
	PAGE_ROW(GET, UI "/deliveries/{id}", AUTH_VIEWER, BODY_NONE, delivery_page, NULL),
	PAGE_ROW(POST, UI "/deliveries/{id}/redeliver", AUTH_DEVELOPER, BODY_FORM, delivery_page_again, NULL),
	PAGE_ROW(GET, UI "/triggers/{id}", AUTH_VIEWER, BODY_NONE, trigger_page, NULL),
	PAGE_ROW(GET, UI "/settings", AUTH_VIEWER, BODY_NONE, settings_page, "Settings"),
	PAGE_ROW(POST, UI "/settings/payload_keys", AUTH_OPERATOR, BODY_FORM, settings_page_payload_keys, NULL),
	PAGE_ROW(POST, UI "/settings/destinations", AUTH_DEVELOPER, BODY_FORM, settings_page_add, NULL),
	PAGE_ROW(POST, UI "/settings/destinations/{id}/pause", AUTH_DEVELOPER, BODY_FORM, settings_page_pause, NULL),
	PAGE_ROW(POST, UI "/settings/destinations/{id}/resume", AUTH_DEVELOPER, BODY_FORM, settings_page_resume, NULL),
	PAGE_ROW(POST, UI "/settings/destinations/{id}/ping", AUTH_DEVELOPER, BODY_FORM, settings_page_ping, NULL),
	PAGE_ROW(POST, UI "/settings/destinations/{id}/delete", AUTH_DEVELOPER, BODY_FORM, settings_page_delete, NULL),
	PAGE_ROW(GET, "/worker/projects/{project}/tasks/{id}", AUTH_NONE, BODY_NONE, task_page_worker_link, NULL),
};
const size_t ROUTE_COUNT = sizeof ROUTES / sizeof *ROUTES;
