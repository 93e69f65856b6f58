"""Search over logs: by text and filter, bounded, and on from where it stopped."""
import html
import re
import urllib.parse

import harness


class Search(harness.FlowTest):
    def page(self, text, after=None, **filters):
        query = dict(filters, q=text, **({"next": after} if after else {}))
        reply = self.stoker.get("logs/search?" + urllib.parse.urlencode(query))
        self.assertEqual(reply.status, 200, reply)
        return reply.json

    def find(self, text, **filters):
        """All hits, page after page."""
        hits, after = [], None
        while True:
            page = self.page(text, after, **filters)
            hits += page["hits"]
            after = page.get("next")
            if not after:
                return hits

    def ui(self, path, form=None, token=None):
        """A page, or the answer to its form, sent with the token that stands in it."""
        path = "/ui/p/%s/%s" % (self.stoker.project, path)
        headers = {"Cookie": "stoker=" + (token or self.stoker.token)}
        if form is None:
            return self.stoker.get(path, token=False, headers=headers)
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        return self.stoker.request("POST", path, urllib.parse.urlencode(form).encode(), headers, token=False)

    def token_of(self, role):
        done = self.stoker.admin("token", "create", "--user", role, "--project", self.stoker.project, "--role", role)
        self.assertEqual(done.returncode, 0, done.stderr)
        return re.search("stk_[0-9A-Za-z_-]+", done.stdout).group(0)

    def test_its_page_shows_the_lines_and_leads_into_the_log(self):
        self.stoker.code("shown", "sh -c 'echo one; echo \"the <b>pin</b> is here\"'")
        task = self.stoker.run_task("shown")["id"]
        page = self.ui("logs/search?q=%3Cb%3Epin&code_name=shown")
        self.assertEqual(page.status, 200)
        self.assertIn("the <mark>&lt;b&gt;pin</mark>&lt;/b&gt; is here", page.text)
        link = html.unescape(re.search(r'href="([^"]*/log\?attempt=1&amp;from=[^"]*)"', page.text).group(1))
        self.assertIn("is here", self.stoker.get(link, token=False, headers={"Cookie": "stoker=" + self.stoker.token}).text)
        self.assertIn(task, link)
        moved = self.ui("logs/search?q=pin&code_name=&state=complete")
        self.assertEqual((moved.status, moved.headers["location"].partition("?")[2]), (303, "q=pin&code_name=&complete=1"))
        self.assertIn("No line has it", self.ui("logs/search?q=pin&error=1").text)
        self.assertEqual(self.ui("logs/search?q=" + "x" * 300).status, 400)

    def test_settings_are_changed_by_who_may_with_the_page_s_own_token(self):
        page = self.ui("settings")
        csrf = re.search(r'name="csrf"[^>]*value="([^"]+)"', page.text).group(1)
        new = {"csrf": csrf, "address": "tcp://192.0.2.1:601", "name": "siem", "template": "", "secret": ""}
        self.assertEqual(self.ui("settings/destinations", dict(new, csrf="wrong")).status, 403)
        self.assertEqual(self.ui("settings/destinations", dict(new, address="gopher://x")).status, 400)
        self.assertIn("scheme", self.ui("settings/destinations", dict(new, address="gopher://x")).text)
        self.assertEqual(self.stoker.get("log_destinations").json["log_destinations"], [])
        self.assertEqual(self.ui("settings/destinations", new).status, 303)
        made, = self.stoker.get("log_destinations").json["log_destinations"]
        self.assertEqual((made["address"], made["name"], made["template"]), ("tcp://192.0.2.1:601", "siem", "syslog"))
        one = "settings/destinations/%s/" % made["id"]
        for action, state in (("pause", "paused"), ("resume", "enabled")):
            self.assertEqual(self.ui(one + action, {"csrf": csrf}).status, 303)
            self.assertEqual(self.stoker.get("log_destinations/" + made["id"]).json["state"], state)
        self.assertEqual(self.ui(one + "ping", {"csrf": csrf}).status, 303)
        asked = self.ui(one + "delete", {"csrf": csrf})
        self.assertEqual((asked.status, "Delete this destination" in asked.text), (200, True))
        for role, may_add, may_hide in (("viewer", False, False), ("developer", True, False), ("operator", True, True)):
            token = self.token_of(role)
            text = self.ui("settings", token=token).text
            own = re.search(r'name="csrf"[^>]*value="([^"]+)"', text).group(1)
            self.assertEqual((role, "settings/destinations" in text, "settings/payload_keys" in text), (role, may_add, may_hide))
            self.assertEqual(self.ui(one + "pause", {"csrf": own}, token).status, 303 if may_add else 403, role)
            words = self.ui("settings/payload_keys", {"csrf": own, "payload_keys": "IBAN\r\n\r\nssn\r\n"}, token)
            self.assertEqual(words.status, 303 if may_hide else 403, role)
        self.assertEqual(self.stoker.get("/2/projects/" + self.stoker.project).json["payload_keys"], ["iban", "ssn"])
        self.assertEqual(self.ui("settings/payload_keys", {"csrf": csrf, "payload_keys": "x"}).status, 400)
        self.assertEqual(self.ui("settings/payload_keys", {"csrf": csrf, "payload_keys": ""}).status, 303)
        self.assertEqual(self.stoker.get("/2/projects/" + self.stoker.project).json["payload_keys"], [])
        self.assertEqual(self.ui(one + "delete", {"csrf": csrf, "confirm": "yes"}).status, 303)
        self.assertEqual(self.stoker.get("log_destinations").json["log_destinations"], [])

    def test_it_finds_by_text_code_and_state_newest_first(self):
        self.stoker.code("good", "sh -c 'echo one; echo the needle is here; echo three'")
        self.stoker.code("bad", "sh -c 'echo a needle >&2; exit 3'")
        first = self.stoker.run_task("good")["id"]
        second = self.stoker.run_task("bad")["id"]
        hits = self.find("needle")
        self.assertEqual([(h["task_id"], h["code_name"], h["state"], h["attempt"], h["byte"], h["text"]) for h in hits],
                         [(second, "bad", "error", 1, 2, "a needle"), (first, "good", "complete", 1, 8, "the needle is here")])
        self.assertEqual([h["task_id"] for h in self.find("needle", code_name="good")], [first])
        done = self.stoker.cli("search", "needle", "--state", "complete")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, first + " 1-8: the needle is here\n", ""))
        self.assertEqual([h["task_id"] for h in self.find("needle", error="1")], [second])
        self.assertEqual(self.find("needle", to_time="1000"), [])
        self.assertEqual(self.find("Needle"), [])
        for bad in ("", "?q=", "?q=" + "x" * 300, "?q=x&next=nonsense", "?q=x&next=%s-1" % first):
            self.assertEqual(self.stoker.get("logs/search" + bad).status, 400, bad)
        self.assertEqual(self.stoker.get("logs/search?q=x", token=False).status, 401)

    def test_many_hits_across_chunks_come_each_once_page_by_page(self):
        self.stoker.code("many", "sh -c 'seq 1 60000 | sed \"s/.*/line & of many/\"'")
        task = self.stoker.run_task("many", seconds=60)["id"]
        log = self.stoker.task_log(task)
        page = self.page("of many", code_name="many")
        self.assertEqual(len(page["hits"]), 100)
        self.assertTrue(page["next"].startswith(task))
        want, at = [], log.find(b"777 of")
        while at >= 0:
            want.append(at)
            at = log.find(b"777 of", at + 1)
        hits = self.find("777 of", code_name="many")
        self.assertEqual([h["byte"] for h in hits], want)
        # chunks end at multiples of 64 KiB or where a write did: what lies across a border is found too
        for border in range(65536, len(log), 65536):
            text = log[border - 6:border + 6].decode()
            if "\n" not in text:
                self.assertIn(border - 6, [h["byte"] for h in self.find(text, code_name="many")])

    def test_it_stops_at_its_bound_of_bytes_and_goes_on(self):
        self.stoker.code("wide", "sh -c 'head -c 4000000 /dev/zero | tr \\\\000 x; echo; echo behind it all'")
        tasks = [self.stoker.run_task("wide", seconds=60)["id"] for _ in range(10)]
        page = self.page("behind it all", code_name="wide")
        self.assertIn("next", page)
        self.assertLess(page["searched_bytes"], 33 << 20)
        self.assertIn("--next " + page["next"][:24], self.stoker.cli("search", "behind it all", "--code", "wide").stderr)
        self.assertEqual([h["task_id"] for h in self.find("behind it all", code_name="wide")], tasks[::-1])


if __name__ == "__main__":
    harness.main()
