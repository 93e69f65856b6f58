#pragma once
#include "cli/cli.h"

/* One function a command; each stands in the file of its noun. */
enum err queue_command(struct cli *c);
enum err wait_command(struct cli *c);
enum err log_command(struct cli *c);
enum err status_command(struct cli *c);
enum err cancel_command(struct cli *c);
enum err tasks_command(struct cli *c);
enum err events_command(struct cli *c);
enum err code_register_command(struct cli *c);
enum err code_list_command(struct cli *c);
enum err schedule_add_command(struct cli *c);
enum err schedule_list_command(struct cli *c);
enum err schedule_show_command(struct cli *c);
enum err schedule_preview_command(struct cli *c);
enum err schedule_fires_command(struct cli *c);
enum err schedule_pause_command(struct cli *c);
enum err schedule_resume_command(struct cli *c);
enum err schedule_run_command(struct cli *c);
enum err schedule_backfill_command(struct cli *c);
enum err schedule_cancel_command(struct cli *c);
enum err schedule_import_command(struct cli *c);
enum err destination_add_command(struct cli *c);
enum err destination_list_command(struct cli *c);
enum err destination_pause_command(struct cli *c);
enum err destination_resume_command(struct cli *c);
enum err destination_ping_command(struct cli *c);
enum err destination_delete_command(struct cli *c);
enum err image_import_command(struct cli *c);
enum err image_build_stack_command(struct cli *c);
enum err image_list_command(struct cli *c);
enum err config_sample_command(struct cli *c);
enum err admin_migrate_command(struct cli *c);
enum err admin_project_create_command(struct cli *c);
enum err admin_project_list_command(struct cli *c);
enum err admin_project_set_command(struct cli *c);
enum err admin_token_create_command(struct cli *c);
enum err admin_token_list_command(struct cli *c);
enum err admin_token_revoke_command(struct cli *c);
enum err admin_cluster_list_command(struct cli *c);
enum err admin_cluster_network_command(struct cli *c);
enum err admin_node_list_command(struct cli *c);
enum err admin_node_drain_command(struct cli *c);
enum err admin_node_resume_command(struct cli *c);
enum err admin_doctor_command(struct cli *c);
enum err admin_verify_command(struct cli *c);
