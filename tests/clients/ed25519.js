// Reads {"key", "text", "signatures"} from standard input and says whether a v1a signature of Standard Webhooks is right.
const { createPublicKey, verify } = require("crypto");

const given = JSON.parse(require("fs").readFileSync(0, "utf8"));
const x = Buffer.from(given.key.replace("whpk_", ""), "base64").toString("base64url");
const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
const right = given.signatures.split(" ").some(one => one.startsWith("v1a,") &&
	verify(null, Buffer.from(given.text), key, Buffer.from(one.slice(4), "base64")));
console.log(JSON.stringify(right));
