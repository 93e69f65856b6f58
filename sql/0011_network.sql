-- oldest_program: 1
-- What the jobs of a cluster may reach: an operator's word. A table of its own, since the API's account
-- may change clusters and must not change this. A cluster without a row has no network.
CREATE TABLE IF NOT EXISTS cluster_network (
	cluster_id INT UNSIGNED NOT NULL PRIMARY KEY,
	network ENUM('none', 'outbound', 'private') NOT NULL,
	set_by VARCHAR(64) NOT NULL,
	set_at DATETIME(6) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
