-- What the API may do in the logs' database besides reading it, applied as rights.sql is (there). The
-- worker's account has the rights of its owner but for triggers (conf/mariadb/accounts.sql.in): it makes and
-- drops partitions.

SET SESSION sql_mode = CONCAT(@@sql_mode, ',NO_AUTO_CREATE_USER')
;;
GRANT SELECT, INSERT, UPDATE, DELETE ON log_destination TO stoker_api@localhost
