#include "cli/commands.h"

#include <stdio.h>

const struct command COMMANDS[] = {
	{ "queue", CLI_HTTP, 1, 1, "CODE", "Queue a task and print its id", queue_command },
	{ "wait", CLI_HTTP, 1, -1, "ID...", "Wait until tasks are over; ends with the first bad verdict", wait_command },
	{ "log", CLI_HTTP, 1, 1, "ID", "Print what a task wrote; -f follows it and ends with its verdict", log_command },
	{ "status", CLI_HTTP, 1, 1, "ID", "Show a task", status_command },
	{ "cancel", CLI_HTTP, 1, -1, "ID...", "Cancel tasks: waiting ones at once, running ones with their grace", cancel_command },
	{ "tasks", CLI_HTTP, 0, 0, "", "List tasks, newest first", tasks_command },
	{ "events", CLI_HTTP, 0, 0, "", "Print what happened to tasks; -f goes on as it happens", events_command },
	{ "search", CLI_HTTP, 1, 1, "TEXT", "Find text in logs, the newest tasks' first", search_command },
	{ "code register", CLI_HTTP, 1, 1, "NAME", "Register a code, or give it a new revision", code_register_command },
	{ "code list", CLI_HTTP, 0, 0, "", "List codes", code_list_command },
	{ "schedule add", CLI_HTTP, 1, 1, "CODE", "Make a schedule and print its id", schedule_add_command },
	{ "schedule update", CLI_HTTP, 1, 1, "ID", "Change what its options say and leave the rest as it is", schedule_update_command },
	{ "schedule list", CLI_HTTP, 0, 0, "", "List schedules, newest first", schedule_list_command },
	{ "schedule show", CLI_HTTP, 1, 1, "ID", "Show a schedule and its next times", schedule_show_command },
	{ "schedule preview", CLI_HTTP, 0, 0, "", "Show the times that options mean, and make nothing", schedule_preview_command },
	{ "schedule fires", CLI_HTTP, 1, 1, "ID", "Show its ledger: what became of each time", schedule_fires_command },
	{ "schedule pause", CLI_HTTP, 1, 1, "ID", "Pause it", schedule_pause_command },
	{ "schedule resume", CLI_HTTP, 1, 1, "ID", "Let it go on", schedule_resume_command },
	{ "schedule run", CLI_HTTP, 1, 1, "ID", "Queue one of its tasks now and print its id", schedule_run_command },
	{ "schedule backfill", CLI_HTTP, 1, 1, "ID", "Queue tasks for past times that have none", schedule_backfill_command },
	{ "schedule cancel", CLI_HTTP, 1, 1, "ID", "End a schedule", schedule_cancel_command },
	{ "schedule import", CLI_HTTP, 1, 1, "CRONTAB", "Make schedules of a crontab (- = stdin), told line by line", schedule_import_command },
	{ "destination add", CLI_HTTP, 1, 1, "ADDRESS", "Send the project's output on to http, https, udp, tcp or tls, and print its id", destination_add_command },
	{ "destination list", CLI_HTTP, 0, 0, "", "List where output is sent on to, and how it fares", destination_list_command },
	{ "destination ping", CLI_HTTP, 1, 1, "ID", "Send a test message; the list says what became of it", destination_ping_command },
	{ "destination pause", CLI_HTTP, 1, 1, "ID", "Pause it; what is written meanwhile waits", destination_pause_command },
	{ "destination resume", CLI_HTTP, 1, 1, "ID", "Let it go on, at once", destination_resume_command },
	{ "destination delete", CLI_HTTP, 1, 1, "ID", "End it; what waits is not sent", destination_delete_command },
	{ "image import", CLI_SETTINGS, 2, 2, "NAME SOURCE", "Put an image into this node's own store (as root): a tar, docker-archive:FILE, oci:FOLDER, docker://…", image_import_command },
	{ "image build-stack", CLI_SETTINGS, 1, 2, "STACK [NAME]", "Make an image for sh, python, ruby, php, node or perl (as root), of the Debian packages installed here", image_build_stack_command },
	{ "image list", CLI_SETTINGS, 0, 0, "", "List the images of this node's own store", image_list_command },
	{ "config sample", 0, 0, 0, "", "Print the commented configuration file", config_sample_command },
	{ "admin migrate", CLI_SETTINGS, 0, 0, "", "Bring the database's tables up to date", admin_migrate_command },
	{ "admin project create", CLI_SETTINGS, 1, 1, "NAME", "Make a project and print its id", admin_project_create_command },
	{ "admin project list", CLI_SETTINGS, 0, 0, "", "List projects", admin_project_list_command },
	{ "admin project set", CLI_SETTINGS, 1, 1, "NAME", "Change what its tasks may", admin_project_set_command },
	{ "admin token create", CLI_SETTINGS, 0, 0, "", "Make a token and print it, once", admin_token_create_command },
	{ "admin token list", CLI_SETTINGS, 0, 0, "", "List tokens (never their text)", admin_token_list_command },
	{ "admin token revoke", CLI_SETTINGS, 1, -1, "ID...", "Take tokens back; within a second they open nothing", admin_token_revoke_command },
	{ "admin code relax", CLI_SETTINGS, 2, 2, "NAME ITEM", "Relax one item of the isolation of a code's jobs, such as seccomp=off", admin_code_relax_command },
	{ "admin code tighten", CLI_SETTINGS, 2, 2, "NAME ITEM", "Take that back", admin_code_tighten_command },
	{ "admin code relaxations", CLI_SETTINGS, 0, 0, "", "List who relaxed what, and when", admin_code_relaxations_command },
	{ "admin cluster list", CLI_SETTINGS, 0, 0, "", "List clusters, and what their jobs may reach", admin_cluster_list_command },
	{ "admin cluster network", CLI_SETTINGS, 2, 2, "NAME none|outbound|private", "Say what a cluster's jobs may reach: nothing, public addresses, private ones too", admin_cluster_network_command },
	{ "admin node list", CLI_SETTINGS, 0, 0, "", "List nodes", admin_node_list_command },
	{ "admin node drain", CLI_SETTINGS, 1, 1, "NAME", "Let a node take no more; its jobs run to their end", admin_node_drain_command },
	{ "admin node resume", CLI_SETTINGS, 1, 1, "NAME", "Let a drained node take jobs again", admin_node_resume_command },
	{ "admin doctor", CLI_SETTINGS, 0, 0, "", "Check this machine and the database; ends with 1 if a check fails", admin_doctor_command },
	{ "admin mend", CLI_SETTINGS, 0, 0, "", "Give back tasks that run by their rows but on no node (verify names them)", admin_mend_command },
	{ "admin verify", CLI_SETTINGS, 0, 0, "", "Check that the tables tell a history that may have happened; ends with 1 if not", admin_verify_command },
	{ NULL, 0, 0, 0, NULL, NULL, NULL },
};

/* How many of args are the words of `row`; 0 if they are not. */
static int match(const char *words, char **args, int n)
{
	struct str rest = str_of(words), word;
	int used = 0;

	while (str_cut(&rest, ' ', &word)) {
		if (used >= n || !str_is(word, args[used]))
			return 0;
		used++;
	}
	return used;
}

const struct command *command_find(char **args, int n, int *used)
{
	for (const struct command *row = COMMANDS; row->words; row++) {
		*used = match(row->words, args, n);
		if (*used)
			return row;
	}
	return NULL;
}

bool command_is_front(char **args, int n)
{
	for (const struct command *row = COMMANDS; row->words; row++) {
		struct str rest = str_of(row->words), word;
		int i = 0;

		while (i < n && str_cut(&rest, ' ', &word) && str_is(word, args[i]))
			i++;
		if (i == n)
			return true;
	}
	return false;
}

void command_help(const char *prefix)
{
	printf("Usage: stoker COMMAND [arguments] [options]\n\nCommands:\n");
	for (const struct command *row = COMMANDS; row->words; row++) {
		char left[64];

		if (!str_starts(str_of(row->words), prefix))
			continue;
		snprintf(left, sizeof left, "%s %s", row->words, row->arguments);
		printf("  %-28s %s\n", left, row->what);
	}
	printf("\nstoker COMMAND --help shows the options of one; --json and --quiet go with each.\n"
	       "The server is found by options, then IRON_WORKER_*, IRON_* (HOST, PORT, SCHEME, TOKEN,\n"
	       "PROJECT_ID), ./iron.json, ~/.iron.json, ~/.config/stoker/config.\n"
	       "Exit status: 0 done, 1 failed, 2 usage; queue --wait, wait and log -f end as the job did:\n"
	       "its own status, 126 not executable, 127 not found, 124 timeout, 137 killed, 130 interrupted,\n"
	       "125 what the job did not decide: cancelled, no image, refused, unknown, no server.\n");
}
