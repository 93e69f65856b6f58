"""The dashboard: in a browser (tests/browser/dashboard.js), and by hand-made requests."""
import hashlib
import hmac
import http.client
import json
import os
import re
import shutil
import subprocess
import time
import urllib.parse

import harness

BROWSER = os.path.join(harness.TOP, "tests", "browser")
CODES = {
    "quick": "sh -c 'echo hello'",
    "talker": "sh -c 'for i in $(seq 20); do echo line $i; sleep 0.2; done; echo to stderr >&2'",
    "sleeper": "sh -c 'echo begun; exec sleep 300'",
    "broken": "sh -c 'echo going well; echo connect: connection refused >&2; exit 3'",
    "later": "true",
    "hostile": r"""sh -c 'printf "<script>window.hit=1</script> \033[31mred\033[0m \033]8;;http://evil/\007link\033]8;;\007 """
               r"""\342\200\256 \377\376\n"; for i in 1 50 100; do printf "done $i %%\r"; done; echo'""",
}


def install_packages():
    """What package-lock.json names, unless it is there already: the network is asked once."""
    done = os.path.join(BROWSER, "node_modules", ".package-lock.json")
    wanted = os.path.join(BROWSER, "package-lock.json")
    if os.path.exists(done) and os.path.getmtime(done) >= os.path.getmtime(wanted):
        return
    subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"], cwd=BROWSER, check=True)


class Dashboard(harness.FlowTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for name, command in CODES.items():
            cls.stoker.code(name, command)

    # --- requests by hand ------------------------------------------------------------------------------

    def page(self, path, method="GET", form=None, token=None, **headers):
        token = token or self.stoker.token
        headers.setdefault("Cookie", "stoker=" + token)
        body = None
        if form is not None:
            body = urllib.parse.urlencode(form).encode()
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        path = path if path.startswith("/") else "/ui/p/%s/%s" % (self.stoker.project, path)
        headers = {k.replace("_", "-"): v for k, v in headers.items()}
        for _ in range(3):
            reply = self.stoker.request(method, path, body, headers, token=False)
            if reply.status != 503:  # a machine under load: nothing was done, it may come again
                break
            time.sleep(1)
        return reply

    def csrf(self, token=None):
        return hmac.new((token or self.stoker.token).encode(), b"csrf", hashlib.sha256).hexdigest()

    def token_of(self, role):
        done = self.stoker.admin("token", "create", "--user", role, "--project", self.stoker.project, "--role", role)
        found = re.search(r"stk_\S+", done.stdout)
        self.assertTrue(found, done.stdout + done.stderr)
        return found.group()

    def test_a_form_needs_its_token_and_our_own_origin(self):
        task = self.stoker.queue("later", delay=600)
        path = "tasks/%s/cancel" % task
        good = {"csrf": self.csrf(), "confirm": "yes"}
        own = "http://127.0.0.1:%d" % self.stoker.port
        for form, headers in ((dict(good, csrf=""), {}), (dict(good, csrf="0" * 64), {}), ({"confirm": "yes"}, {}),
                              (good, {"Origin": "https://evil.example"}), (good, {"Origin": own + ".evil.example"}),
                              (good, {"Origin": "null"}), (good, {"Sec_Fetch_Site": "cross-site"}),
                              (good, {"Sec_Fetch_Site": "same-site"})):
            reply = self.page(path, "POST", form, **headers)
            self.assertEqual(reply.status, 403, (form, headers))
            self.assertEqual(self.stoker.task(task)["state"], "queued")
        reply = self.page(path, "POST", good, Origin=own, Sec_Fetch_Site="same-origin")
        self.assertEqual(reply.status, 303, reply)
        self.assertEqual(self.stoker.task(task)["state"], "cancelled")

    def test_guessing_tokens_is_slow(self):
        body = urllib.parse.urlencode({"csrf": self.csrf(), "token": "stk_00000000_wrong"})
        headers = {"Cookie": "stoker=" + self.stoker.token, "Content-Type": "application/x-www-form-urlencoded"}

        def guess(address):
            line = http.client.HTTPConnection("127.0.0.1", self.stoker.port, source_address=(address, 0), timeout=30)
            line.request("POST", "/ui/signin", body, headers)
            reply = line.getresponse()
            text = reply.read().decode()
            line.close()
            return reply, text

        self.assertEqual(guess("127.0.0.9")[0].status, 401)
        for _ in range(60):  # each process counts for itself
            reply, text = guess("127.0.0.9")
            if reply.status == 429:
                break
        self.assertEqual(reply.status, 429)
        self.assertIn(int(reply.headers["Retry-After"]), range(1, 61))
        self.assertIn("Too many attempts", text)
        self.assertEqual(guess("127.0.0.10")[0].status, 401)

    def test_a_viewer_sees_no_actions_and_can_take_none(self):
        viewer = self.token_of("viewer")
        task = self.stoker.queue("later", delay=600)
        reply = self.page("tasks/" + task, token=viewer)
        self.assertEqual(reply.status, 200)
        self.assertNotIn("Cancel…", reply.text)
        self.assertIn("Cancel…", self.page("tasks/" + task).text)
        reply = self.page("tasks/%s/cancel" % task, "POST", {"csrf": self.csrf(viewer), "confirm": "yes"}, token=viewer)
        self.assertEqual(reply.status, 403)
        self.assertEqual(self.stoker.task(task)["state"], "queued")

    def test_what_is_not_there_and_what_belongs_to_others_look_alike(self):
        nobody = "0" * 24
        for path in ("tasks/" + nobody, "tasks/nonsense", "/ui/p/%s/tasks" % nobody, "/ui/p/x", "/ui/nothing", "tasks/%s/log" % nobody):
            reply = self.page(path)
            self.assertEqual(reply.status, 404, (path, reply))
            self.assertIn("There is nothing here", reply.text)
            self.assertTrue(reply.headers["content-type"].startswith("text/html"))

    def test_a_raw_log_is_a_download_that_nothing_renders(self):
        task = self.stoker.run_task("hostile")["id"]
        reply = self.page("tasks/%s/log/raw" % task)
        self.assertEqual(reply.status, 200)
        self.assertEqual(reply.headers["content-type"], "text/plain; charset=utf-8")
        self.assertIn("attachment", reply.headers["content-disposition"])
        self.assertEqual(reply.headers["content-security-policy"], "sandbox")
        self.assertEqual(reply.body, self.stoker.task_log(task))

    def test_a_revoked_token_is_out_at_once(self):
        token = self.token_of("developer")
        self.assertEqual(self.page("tasks", token=token).status, 200)
        rows = json.loads(self.stoker.admin("token", "list", "--project", self.stoker.project, "--json").stdout)["tokens"]
        mine = [row["id"] for row in rows if row["prefix"] == token.split("_")[1]]
        self.stoker.admin("token", "revoke", *mine)
        harness.wait_for(lambda: self.page("tasks", token=token).status == 303, 3, "the session to be over")

    def test_lines_of_a_long_log_are_found_by_number(self):
        self.stoker.code("long", "awk 'BEGIN { for (i = 1; i <= 100000; i++) print \"this is line \" i }'")
        task = self.stoker.run_task("long", seconds=60)["id"]
        text = self.page("tasks/%s/log?line=17205" % task).text
        self.assertIn('<div class="l mark" id="L17205">', text)
        self.assertIn(">this is line 17205<", text)
        self.assertLessEqual(text.count('class="n"'), 1000)
        text = self.page("tasks/%s/log?line=17200-17210" % task).text
        self.assertEqual(text.count('class="l mark"'), 11)
        text = self.page("tasks/%s/log" % task).text
        self.assertIn(">this is line 100000<", text)
        self.assertIn('id="L100000"', text)
        text = self.page("tasks/%s/log?top=1" % task).text
        self.assertIn('id="L1"', text)
        self.assertIn('id="L1000"', text)
        self.assertNotIn('id="L1001"', text)

    def test_links_of_iron_clients_lead_to_the_task(self):
        task = self.stoker.queue("later", delay=600)
        reply = self.page("/worker/projects/%s/tasks/%s" % (self.stoker.project, task))
        self.assertEqual(reply.status, 302)
        self.assertEqual(reply.headers["location"], "/ui/p/%s/tasks/%s" % (self.stoker.project, task))

    # --- in a browser --------------------------------------------------------------------------------------

    def browse(self, scenario):
        folder = harness.scratch()
        try:
            done = subprocess.run(["node", os.path.join(BROWSER, "dashboard.js"), scenario], cwd=BROWSER, text=True, timeout=150,
                                  env=dict(os.environ, TMPDIR=folder, **self.stoker.iron),
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_sign_in_goes_on_to_the_page_that_was_wanted(self):
        self.browse("sign_in")

    def test_a_log_is_followed_to_its_verdict(self):
        self.browse("follow")

    def test_a_running_job_is_cancelled_through_the_page_that_asks(self):
        self.browse("cancel")

    def test_everything_works_without_javascript(self):
        self.browse("without_javascript")

    def test_new_tasks_are_offered_and_move_nothing(self):
        self.browse("news")

    def test_hostile_output_is_text(self):
        self.browse("hostile_output")

    def test_the_strip_the_ledger_and_the_calendar_are_what_the_api_says(self):
        self.browse("calendar")

    def test_a_schedule_is_made_asked_and_ended_without_javascript(self):
        self.browse("schedules")

    def test_every_page_in_light_and_dark_at_desk_and_phone_width(self):
        self.browse("every_page")


if __name__ == "__main__":
    install_packages()
    harness.main()
