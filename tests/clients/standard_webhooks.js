// Reads {"secret", "headers", "body"} from standard input and lets the published library judge it.
const { Webhook } = require("standardwebhooks");

const given = JSON.parse(require("fs").readFileSync(0, "utf8"));
new Webhook(given.secret).verify(given.body, given.headers);
console.log("ok");
