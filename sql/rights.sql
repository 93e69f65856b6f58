-- What the two accounts of the programs may do, table by table: what lib/store does with their
-- connections and no more. Applied by each `stoker admin migrate`, after the migrations; an account
-- that is not there is passed over (other names: grant the same to them). What triggers write
-- (event, payload, outbox, ready, `delayed`) they write with the rights of who made them.
-- conf/mariadb/accounts.sql.in makes the accounts, without a right to any task table.

SET SESSION sql_mode = CONCAT(@@sql_mode, ',NO_AUTO_CREATE_USER')
;;
GRANT SELECT ON `schema` TO stoker_api@localhost
;;
GRANT SELECT, INSERT, UPDATE ON user TO stoker_api@localhost
;;
GRANT SELECT, INSERT, UPDATE, DELETE ON project TO stoker_api@localhost
;;
GRANT SELECT, INSERT, UPDATE, DELETE ON member TO stoker_api@localhost
;;
GRANT SELECT, INSERT, UPDATE, DELETE ON token TO stoker_api@localhost
;;
GRANT SELECT, INSERT, UPDATE ON code TO stoker_api@localhost
;;
GRANT SELECT, INSERT ON revision TO stoker_api@localhost
;;
GRANT SELECT, INSERT, UPDATE (used_at) ON package TO stoker_api@localhost
;;
GRANT SELECT, INSERT ON package_piece TO stoker_api@localhost
;;
GRANT SELECT, INSERT, UPDATE (dropped_at), DELETE ON package_upload TO stoker_api@localhost
;;
GRANT SELECT, INSERT, UPDATE ON cluster TO stoker_api@localhost
;;
GRANT SELECT, INSERT, DELETE ON cluster_share TO stoker_api@localhost
;;
GRANT SELECT ON cluster_network TO stoker_api@localhost
;;
GRANT SELECT ON relaxation TO stoker_api@localhost
;;
GRANT SELECT, INSERT, UPDATE ON turn TO stoker_api@localhost
;;
GRANT SELECT, UPDATE (state) ON node TO stoker_api@localhost
;;
GRANT SELECT ON beat TO stoker_api@localhost
;;
GRANT SELECT, INSERT, UPDATE ON lane TO stoker_api@localhost
;;
GRANT SELECT, INSERT, UPDATE ON task TO stoker_api@localhost
;;
GRANT SELECT ON payload TO stoker_api@localhost
;;
GRANT SELECT, DELETE ON ready TO stoker_api@localhost
;;
GRANT SELECT, DELETE ON `delayed` TO stoker_api@localhost
;;
GRANT SELECT, INSERT ON expiry TO stoker_api@localhost
;;
GRANT SELECT, UPDATE (stop) ON running TO stoker_api@localhost
;;
GRANT SELECT ON attempt TO stoker_api@localhost
;;
GRANT SELECT ON event TO stoker_api@localhost
;;
GRANT SELECT, UPDATE (asked_at) ON event_turn TO stoker_api@localhost
;;
GRANT SELECT, INSERT, UPDATE (state, next_at, lane, plan_from, delivered_at, waits, by_hand) ON outbox TO stoker_api@localhost
;;
GRANT SELECT, DELETE ON url_hold TO stoker_api@localhost
;;
GRANT SELECT, INSERT, UPDATE ON schedule TO stoker_api@localhost
;;
GRANT SELECT, INSERT, UPDATE ON fire TO stoker_api@localhost
;;
GRANT SELECT, INSERT, UPDATE ON schedule_pause TO stoker_api@localhost
;;
GRANT SELECT, INSERT, UPDATE, DELETE ON calendar TO stoker_api@localhost
;;
GRANT SELECT, INSERT, UPDATE, DELETE ON credential TO stoker_api@localhost
;;
GRANT SELECT, INSERT, UPDATE, DELETE ON secret TO stoker_api@localhost
;;
GRANT SELECT, INSERT, DELETE ON idempotency TO stoker_api@localhost
;;
GRANT SELECT ON `schema` TO stoker_worker@localhost
;;
GRANT SELECT ON project TO stoker_worker@localhost
;;
GRANT SELECT, UPDATE ON code TO stoker_worker@localhost
;;
GRANT SELECT, UPDATE (digest, looked_up_at) ON revision TO stoker_worker@localhost
;;
GRANT SELECT ON credential TO stoker_worker@localhost
;;
GRANT SELECT ON secret TO stoker_worker@localhost
;;
GRANT SELECT, DELETE ON package TO stoker_worker@localhost
;;
GRANT SELECT, DELETE ON package_piece TO stoker_worker@localhost
;;
GRANT SELECT, INSERT, UPDATE, DELETE ON package_upload TO stoker_worker@localhost
;;
GRANT SELECT, INSERT ON cluster TO stoker_worker@localhost
;;
GRANT SELECT ON cluster_network TO stoker_worker@localhost
;;
GRANT SELECT ON relaxation TO stoker_worker@localhost
;;
GRANT SELECT, INSERT, UPDATE ON turn TO stoker_worker@localhost
;;
GRANT SELECT, INSERT, UPDATE ON node TO stoker_worker@localhost
;;
GRANT SELECT, UPDATE ON beat TO stoker_worker@localhost
;;
GRANT SELECT, UPDATE ON lane TO stoker_worker@localhost
;;
GRANT SELECT, INSERT, UPDATE ON task TO stoker_worker@localhost
;;
GRANT SELECT, INSERT ON payload TO stoker_worker@localhost
;;
GRANT SELECT, INSERT, UPDATE, DELETE ON ready TO stoker_worker@localhost
;;
GRANT SELECT, INSERT, DELETE ON `delayed` TO stoker_worker@localhost
;;
GRANT SELECT, UPDATE (look_at) ON expiry TO stoker_worker@localhost
;;
GRANT SELECT, INSERT, UPDATE, DELETE ON running TO stoker_worker@localhost
;;
GRANT SELECT, INSERT, UPDATE ON attempt TO stoker_worker@localhost
;;
GRANT SELECT, UPDATE (project_id, place) ON event TO stoker_worker@localhost
;;
GRANT SELECT, UPDATE ON event_turn TO stoker_worker@localhost
;;
GRANT SELECT, UPDATE ON outbox TO stoker_worker@localhost
;;
GRANT SELECT, UPDATE ON schedule TO stoker_worker@localhost
;;
GRANT SELECT, INSERT, UPDATE, DELETE ON fire TO stoker_worker@localhost
;;
GRANT SELECT ON schedule_pause TO stoker_worker@localhost
;;
GRANT SELECT ON calendar TO stoker_worker@localhost
;;
GRANT SELECT, UPDATE (states, disabled_at) ON callback TO stoker_worker@localhost
;;
GRANT SELECT ON callback_key TO stoker_worker@localhost
;;
GRANT SELECT, INSERT, UPDATE ON receiver TO stoker_worker@localhost
;;
GRANT SELECT, INSERT ON delivery TO stoker_worker@localhost
;;
GRANT SELECT, INSERT, UPDATE, DELETE ON url_hold TO stoker_worker@localhost
;;
GRANT EXECUTE ON PROCEDURE delivery_purge TO stoker_worker@localhost
;;
GRANT SELECT, INSERT, UPDATE, DELETE ON callback TO stoker_api@localhost
;;
GRANT SELECT, INSERT, UPDATE, DELETE ON callback_key TO stoker_api@localhost
;;
GRANT SELECT ON receiver TO stoker_api@localhost
;;
GRANT SELECT ON delivery TO stoker_api@localhost
;;
GRANT SELECT, INSERT, UPDATE, DELETE ON code_trigger TO stoker_api@localhost
;;
GRANT SELECT, INSERT, DELETE ON trigger_request TO stoker_api@localhost
