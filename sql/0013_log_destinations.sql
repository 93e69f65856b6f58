-- oldest_program: 1
-- Nothing in the task tables: 0013_log_destinations.logs.sql is what this version needs.
DO 0
