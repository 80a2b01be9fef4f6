// Drives MQTT.js for the flow tests: a JSON command per line in, a JSON event per line out.
import mqtt from "mqtt";
import readline from "node:readline";

const say = (event, more = {}) => process.stdout.write(JSON.stringify({ event, ...more }) + "\n");
let client;

const commands = {
  connect({ url, options }) {
    client = mqtt.connect(url, options);
    client.on("connect", (p) => say("connect", { present: p.sessionPresent, code: p.reasonCode ?? p.returnCode ?? 0, properties: p.properties ?? {} }));
    client.on("message", (topic, payload, p) => say("message", { topic, payload: payload.toString(), qos: p.qos, retain: p.retain, dup: p.dup, properties: p.properties ?? {} }));
    client.on("error", (e) => say("error", { code: e.code, text: String(e.message) }));
    client.on("disconnect", (p) => say("disconnect", { code: p.reasonCode }));
    client.on("close", () => say("close"));
  },
  subscribe({ topic, options }) {
    client.subscribe(topic, options, (e, granted) => say("subscribed", { error: e ? String(e.message) : null, granted }));
  },
  unsubscribe({ topic }) {
    client.unsubscribe(topic, (e) => say("unsubscribed", { error: e ? String(e.message) : null }));
  },
  publish({ topic, payload, options }) {
    client.publish(topic, payload, options, (e, p) => say("published", { error: e ? String(e.message) : null, code: p?.reasonCode ?? 0 }));
  },
  end() {
    client.end(false, {}, () => say("ended"));
  },
};

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const command = JSON.parse(line);
  commands[command.do](command);
}).on("close", () => {
  if (client) client.end(true);
  process.exit(0);
});
