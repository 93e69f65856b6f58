"""Cron expressions and time zones against other hands, forty zones of them (`make oracle` takes all)."""
import os
import subprocess
import unittest

import harness

ORACLE = os.path.join(harness.TOP, "tests", "oracle")


def install_packages():
    """What package-lock.json names, unless it is there already: the network is asked once."""
    done = os.path.join(ORACLE, "node_modules", ".package-lock.json")
    wanted = os.path.join(ORACLE, "package-lock.json")
    if os.path.exists(done) and os.path.getmtime(done) >= os.path.getmtime(wanted):
        return
    subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"], cwd=ORACLE, check=True)


class Oracle(unittest.TestCase):
    def test_forty_zones_agree_with_croner_cron_parser_and_gnu_date(self):
        install_packages()
        done = subprocess.run(["node", "oracle.js", os.path.join(harness.BUILD, "tests", "oracle", "cron_times"), "40"],
                              cwd=ORACLE, text=True, timeout=500, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertRegex(done.stdout, r"\n40 zones, 40 expressions by the minute, 46 by the second, \d{5,} comparisons, 0 differ\n")


if __name__ == "__main__":
    unittest.main()
