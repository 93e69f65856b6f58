"""Search over logs: by text and filter, bounded, and on from where it stopped."""
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
