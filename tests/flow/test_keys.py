"""Payloads that were encrypted for a cluster: node's crypto encrypts, the node opens (ironworker-api.md 10)."""
import hashlib
import json
import os
import subprocess

import harness

ENCRYPT = os.path.join(harness.TOP, "tests", "clients", "encrypt.js")


def rsa_key(bits=2048, form="PRIVATE KEY"):
    pem = subprocess.run(["openssl", "genrsa", str(bits)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True,
                         text=True).stdout
    if form == "RSA PRIVATE KEY":
        pem = subprocess.run(["openssl", "rsa", "-traditional"], input=pem, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, check=True, text=True).stdout
    assert form in pem.splitlines()[0], pem
    return pem


def encrypt(public_key, *payloads):
    done = subprocess.run(["node", ENCRYPT], input=json.dumps({"public_key": public_key, "payloads": payloads}),
                          stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout)


class Keys(harness.FlowTest):
    """The instance's node works for the cluster 'default': it is the one that gets a key."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.admin = cls.stoker.admin("token", "create", "--user", "admin", "--role", "admin").stdout.strip()

    def put(self, fields):
        return self.stoker.request("PUT", "/2/clusters/default", fields, token=self.admin)

    def set_key(self, pem):
        reply = self.put({"decryption_key": pem})
        self.assertEqual((reply.status, reply.json), (200, {"msg": "Cluster updated"}))
        return self.stoker.get("/2/clusters/default").json["cluster"]

    def setUp(self):
        self.stoker.code("cat", "cat $PAYLOAD_FILE")
        self.stoker.code("sum", "sha256sum $PAYLOAD_FILE | cut -c 1-64", retries=2)

    def tearDown(self):
        self.set_key("")

    def printed(self, payload):
        task = self.stoker.run_task("cat", payload)
        self.assertEqual(task["state"], "complete", task)
        return self.stoker.task_log(task["id"]).decode()

    def test_a_payload_is_opened_before_its_job_sees_it(self):
        public_key = self.set_key(rsa_key())["public_key"]
        texts = ['{"n": 1}', "x", "ein Übel\n\0", "y" * 5000]
        sealed = encrypt(public_key, *texts)
        for text, one in zip(texts, sealed):
            self.assertEqual(self.printed(one), text)
        # the API gives back what was sent: the text is stored encrypted
        task = self.stoker.queue("cat", sealed[0])
        self.assertEqual(self.stoker.task(task)["payload"], sealed[0])

    def test_a_large_one_and_lines_in_the_base64(self):
        public_key = self.set_key(rsa_key(4096, "RSA PRIVATE KEY"))["public_key"]
        text = "0123456789abcdef" * (140 * 1024)  # 2.2 MB, 3 MB when encrypted
        task = self.stoker.run_task("sum", encrypt(public_key, text)[0])
        self.assertEqual(self.stoker.task_log(task["id"]).decode().strip(), hashlib.sha256(text.encode()).hexdigest())
        one = encrypt(public_key, "in lines")[0]
        self.assertEqual(self.printed("\n".join(one[i:i + 76] for i in range(0, len(one), 76)) + "\n"), "in lines")

    def test_what_does_not_open_ends_its_task_and_says_why(self):
        public_key = self.set_key(rsa_key())["public_key"]
        other = subprocess.run(["openssl", "rsa", "-pubout"], input=rsa_key(), stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, check=True, text=True).stdout
        good = encrypt(public_key, "secret text")[0]
        changed = good[:-40] + ("A" if good[-40] != "A" else "B") + good[-39:]
        for payload, why in (("{}", "it is not base64"), ("QUJD", "fewer than a key"), ("QUJD" * 2000, "not encrypted for this one"),
                             (encrypt(other, "x")[0], "not encrypted for this one"), (changed, "changed after")):
            task = self.stoker.run_task("sum", payload)
            self.assertEqual((task["state"], task["status"], task["cause"]), ("error", "error", "decryption"), task)
            self.assertIn(why, task["note"])
            self.assertIn(why, task["msg"])
            self.assertNotIn("retry_task_id", task)  # the same payload would not open then either
            self.assertEqual(task["attempt"], 1)
        self.assertEqual(self.printed(good), "secret text")

    def test_a_changed_key_holds_from_the_next_task_on_and_none_opens_nothing(self):
        for _ in range(3):
            public_key = self.set_key(rsa_key())["public_key"]
            self.assertEqual(self.printed(encrypt(public_key, "now")[0]), "now")
        self.assertEqual(self.printed(""), "")
        self.assertNotIn("public_key", self.set_key(""))
        self.assertEqual(self.printed("plain"), "plain")

    def test_the_private_key_is_kept_sealed_and_never_shown(self):
        pem = rsa_key()
        self.set_key(pem)
        line = pem.splitlines()[1]
        for path in ("/2/clusters", "/2/clusters/default", "/2/clusters/default/stats", "/2/clusters/default/credentials"):
            self.assertNotIn(line, self.stoker.get(path, token=self.admin).text)
        stored = self.stoker.sql("SELECT HEX(decryption_key) FROM cluster WHERE id = 1")[0][0]
        self.assertNotIn(line.encode().hex().upper(), stored)
        self.assertGreater(len(stored), 2000)

    def test_what_is_no_key_is_refused(self):
        public_key = self.set_key(rsa_key())["public_key"]
        curve = subprocess.run(["openssl", "ecparam", "-genkey", "-name", "prime256v1", "-noout"], stdout=subprocess.PIPE,
                               check=True, text=True).stdout
        locked = subprocess.run(["openssl", "genrsa", "-aes128", "-passout", "pass:x", "2048"], stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, check=True, text=True).stdout
        for text in ("no key", public_key, curve, locked, rsa_key(512), "x" * 20000, 7):
            reply = self.put({"decryption_key": text})
            self.assertEqual(reply.status, 400, reply)
            self.assertIn("field decryption_key: ", reply.json["msg"])
        self.assertEqual(self.stoker.get("/2/clusters/default").json["cluster"]["public_key"], public_key)
        self.assertEqual(self.put({"decryption_key": None}).status, 200)
        self.assertEqual(self.stoker.get("/2/clusters/default").json["cluster"]["public_key"], public_key)

    def test_a_new_cluster_may_come_with_a_key(self):
        reply = self.stoker.post("/2/clusters", {"name": "keyed", "decryption_key": rsa_key()})
        self.assertEqual(reply.status, 200, reply)
        self.assertIn("BEGIN PUBLIC KEY", reply.json["cluster"]["public_key"])
        self.assertEqual(self.stoker.request("DELETE", "/2/clusters/keyed").status, 200)


if __name__ == "__main__":
    harness.main()
