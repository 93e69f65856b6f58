#!/usr/bin/env python3
"""Triggers: URLs of their own tokens, which queue tasks of one code for senders that are who they say."""
import hashlib
import hmac
import json
import time
import urllib.parse

import harness


class Triggers(harness.FlowTest):
    DEMO = "image"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.stoker.code("deploy", "cat $PAYLOAD_FILE")
        cls.stoker.code("other", "true")

    def make(self, **more):
        reply = self.stoker.post("triggers", dict({"code_name": "deploy"}, **more))
        self.assertEqual(reply.status, 200, reply)
        return reply.json

    def send(self, trigger, body, **headers):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.stoker.request("POST", trigger["path"], body, {k.replace("_", "-"): v for k, v in headers.items()}, token=False)

    def requests(self, trigger):
        return self.stoker.get("triggers/%s/requests" % trigger["id"]).json["requests"]

    def test_a_signed_push_queues_once_and_says_so(self):
        trigger = self.make(name="push", verify="github", secret="s3cret",
                            filter=[{"pointer": "/ref", "equals": "refs/heads/main"}],
                            map={"label": "/repository/name", "payload": {"sha": "/after"}})
        self.assertNotIn("s3cret", json.dumps(trigger))
        body = json.dumps({"ref": "refs/heads/main", "after": "abc", "repository": {"name": "shop"}}).encode()
        signed = {"X_Hub_Signature_256": "sha256=" + hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()}
        reply = self.send(trigger, body, X_GitHub_Delivery="d-1", **signed)
        self.assertEqual(reply.status, 200, reply)
        task = self.stoker.wait_state(reply.json["id"], "complete")
        self.assertEqual((task["code_name"], task["label"], task["payload"]), ("deploy", "shop", '{"sha":"abc"}'))
        again = self.send(trigger, body, X_GitHub_Delivery="d-1", **signed)
        self.assertEqual((again.status, again.json), (200, {"msg": "Duplicate", "id": task["id"]}))
        other = json.dumps({"ref": "refs/heads/x"}).encode()
        signed = {"X_Hub_Signature_256": "sha256=" + hmac.new(b"s3cret", other, hashlib.sha256).hexdigest()}
        self.assertEqual(self.send(trigger, other, X_GitHub_Delivery="d-2", **signed).json["msg"], "Filtered")
        self.assertEqual(self.send(trigger, body, X_GitHub_Delivery="d-3", X_Hub_Signature_256="sha256=" + "0" * 64).status, 401)
        self.assertEqual(self.send(trigger, body).status, 401)
        verdicts = [(one["verdict"], one["delivery"]) for one in self.requests(trigger)]
        self.assertEqual(verdicts, [("refused", ""), ("refused", ""), ("filtered", "d-2"), ("duplicate", "d-1"), ("accepted", "d-1")])
        self.assertEqual(self.requests(trigger)[-1]["task_id"], task["id"])
        self.assertEqual(1, sum("wrong" in one["reason"] for one in self.requests(trigger)))
        self.assertEqual(len(self.stoker.get("tasks?label=shop").json["tasks"]), 1)

    FORM = "application/x-www-form-urlencoded"

    def sign(self, body):
        return {"X_Hub_Signature_256": "sha256=" + hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()}

    def test_a_form_of_github_is_read_by_its_payload(self):
        trigger = self.make(name="form", verify="github", secret="s3cret", filter=[{"pointer": "/ref", "equals": "refs/heads/main"}],
                            map={"label": "/repository/name", "payload": ""})
        push = {"ref": "refs/heads/main", "repository": {"name": "caf\u00e9 & co"}}
        body = urllib.parse.urlencode({"payload": json.dumps(push)}).encode()
        reply = self.send(trigger, body, Content_Type=self.FORM, X_GitHub_Delivery="f-1", **self.sign(body))
        self.assertEqual(reply.status, 200, reply)
        task = self.stoker.task(reply.json["id"])
        self.assertEqual((task["label"], json.loads(task["payload"])), ("caf\u00e9 & co", push))
        body = urllib.parse.urlencode({"payload": json.dumps({"ref": "refs/heads/x"})}).encode()
        self.assertEqual(self.send(trigger, body, Content_Type=self.FORM, X_GitHub_Delivery="f-2", **self.sign(body)).json["msg"], "Filtered")
        for bad, kind, why in ((b"payload=%7Bnot", self.FORM, "payload"), (b"<xml/>", "application/json", "no JSON")):
            reply = self.send(trigger, bad, Content_Type=kind, **self.sign(bad))
            self.assertEqual(reply.status, 400, reply)
            self.assertIn(why, reply.text)
            last = self.requests(trigger)[0]
            self.assertEqual(last["verdict"], "refused")
            self.assertIn(why, last["reason"])

    def test_a_slash_command_of_slack_is_an_object_of_its_fields(self):
        trigger = self.make(name="slash", verify="slack", secret="signing", filter=[{"pointer": "/command", "equals": "/deploy"}],
                            map={"label": "/user_name", "payload": {"what": "/text"}})
        body, now = b"command=%2Fdeploy&text=shop+now%21&user_name=roadrunner", str(int(time.time()))
        mac = hmac.new(b"signing", b"v0:" + now.encode() + b":" + body, hashlib.sha256).hexdigest()
        reply = self.send(trigger, body, X_Slack_Signature="v0=" + mac, X_Slack_Request_Timestamp=now, Content_Type=self.FORM + "; charset=utf-8")
        self.assertEqual(reply.status, 200, reply)
        task = self.stoker.task(reply.json["id"])
        self.assertEqual((task["label"], task["payload"]), ("roadrunner", '{"what":"shop now!"}'))

    def test_its_token_can_do_nothing_else_and_ends_when_it_is_rotated(self):
        trigger = self.make(name="plain")
        reply = self.send(trigger, b"any text")
        self.assertEqual(self.stoker.task(reply.json["id"])["payload"], "any text")
        for path in ("tasks", "codes", "triggers", "callbacks"):
            self.assertEqual(self.stoker.get(path, token=trigger["token"]).status, 401)
        self.assertEqual(self.stoker.post("tasks", {"tasks": [{"code_name": "other"}]}, token=trigger["token"]).status, 401)
        self.assertEqual(self.stoker.get("triggers/" + trigger["id"]).json.get("token"), None)
        rotated = self.stoker.post("triggers/%s/rotate" % trigger["id"]).json
        self.assertEqual(self.send(trigger, b"x").status, 404)
        self.assertEqual(self.send(rotated, b"x").status, 200)
        self.stoker.post("triggers/%s/pause" % trigger["id"])
        self.assertEqual(self.send(rotated, b"x").status, 404)
        self.stoker.post("triggers/%s/resume" % trigger["id"])
        self.assertEqual(self.send(rotated, b"x").status, 200)
        self.assertEqual(self.stoker.request("DELETE", "triggers/" + trigger["id"]).status, 200)
        self.assertEqual(self.send(rotated, b"x").status, 404)
        self.assertEqual(self.stoker.sql("SELECT COUNT(*) FROM trigger_request WHERE trigger_id = UNHEX('%s')" % trigger["id"]), [("0",)])

    def test_a_hundred_requests_are_kept(self):
        trigger = self.make(name="many", filter=[{"pointer": "/go", "equals": True}])
        for i in range(110):
            self.send(trigger, {"n": i})
        kept = self.requests(trigger)
        self.assertEqual(len(kept), 100)
        self.assertEqual(json.loads(kept[0]["body"]), {"n": 109})

    def test_slacks_challenge_is_answered_and_addresses_are_checked(self):
        trigger = self.make(name="slack", verify="slack", secret="signing")
        body, now = json.dumps({"type": "url_verification", "challenge": "3eZbrw1a"}).encode(), str(int(time.time()))
        mac = hmac.new(b"signing", b"v0:" + now.encode() + b":" + body, hashlib.sha256).hexdigest()
        reply = self.send(trigger, body, X_Slack_Signature="v0=" + mac, X_Slack_Request_Timestamp=now)
        self.assertEqual((reply.status, reply.json), (200, {"challenge": "3eZbrw1a"}))
        near, far = self.make(name="near", ips="127.0.0.0/8"), self.make(name="far", ips="203.0.113.0/24")
        self.assertEqual(self.send(near, b"x").status, 200)
        self.assertEqual(self.send(far, b"x").status, 401)
        self.assertIn("127.0.0.1", self.requests(far)[0]["reason"])

    def test_what_is_wrong_is_refused_by_name(self):
        for body, field in (({"code_name": ""}, "code_name"), ({"code_name": "none"}, "none"), ({"verify": "sha1"}, "verify"),
                            ({"verify": "github"}, "secret"), ({"verfy": "github"}, "verfy"), ({"secret": "s3cret"}, "secret"),
                            ({"verify": "basic", "secret": "x"}, "secret"), ({"name": ""}, "name"),
                            ({"map": {"x": "/y"}}, "map"), ({"ips": "nowhere.example"}, "ips")):
            reply = self.stoker.post("triggers", dict({"code_name": "deploy", "name": "wrong"}, **body))
            self.assertIn(reply.status, (400, 404, 406), reply)
            self.assertIn(field, reply.json["msg"])
        self.make(name="twice")
        self.assertEqual(self.stoker.post("triggers", {"code_name": "deploy", "name": "twice"}).status, 409)


if __name__ == "__main__":
    harness.main()
