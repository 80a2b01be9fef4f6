// Drives a real browser for tests/flow/test_browser.py: opens a page, gives it MQTT.js, and lets it speak to us. One JSON object per line out.
// Arguments: url, token, fingerprint of the server's key (what chromium is told to trust; "" for none).
import { chromium } from "playwright-core";
import { fileURLToPath } from "node:url";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import fs from "node:fs";

const [url, token, fingerprint] = process.argv.slice(2);
const bundle = fs.readFileSync(fileURLToPath(new URL("./node_modules/mqtt/dist/mqtt.min.js", import.meta.url)));
const site = http.createServer((request, response) => {
  const script = request.url === "/mqtt.js";
  response.setHeader("Content-Type", script ? "text/javascript" : "text/html");
  response.end(script ? bundle : "<!DOCTYPE html><title>application</title><script src=/mqtt.js></script>");
});
await new Promise((resolve) => site.listen(0, "127.0.0.1", resolve));
const profile = fs.mkdtempSync(path.join(os.tmpdir(), "mbus-browser-"));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: "/usr/bin/chromium",
  headless: true,
  // as root there is no sandbox; nothing of the browser's own goes to a network
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    ...(fingerprint ? ["--ignore-certificate-errors-spki-list=" + fingerprint] : [])],
});
// whatever hangs, no browser is left behind
const limit = setTimeout(() => browser.close(), 60000);
try {
  const page = await browser.newPage();
  await page.goto(url.replace(/^ws/, "http"));
  const title = await page.title();
  // a web application of somebody else: another origin than ours
  await page.goto("http://localhost:" + site.address().port + "/");
  page.on("console", (m) => console.error(m.text()));
  const said = await page.evaluate(async ({ url, token }) => {
    const log = [];
    const sockets = [], Real = window.WebSocket;
    window.WebSocket = class extends Real { constructor(...a) { super(...a); sockets.push(this); } };
    const open = (clientId) => mqtt.connect(url, { clientId, username: token, protocolVersion: 5, clean: false, reconnectPeriod: 200, connectTimeout: 8000, properties: { sessionExpiryInterval: 60 } });
    const once = (c, event) => new Promise((resolve, reject) => { c.once(event, (...a) => resolve(a)); c.once("error", reject); });
    const sub = open("browser-sub"), pub = open("browser-pub");
    await Promise.all([once(sub, "connect"), once(pub, "connect")]);
    log.push("connected");
    const got = [];
    const arrived = (n) => new Promise((resolve) => { const look = () => (got.length >= n ? resolve() : setTimeout(look, 10)); look(); });
    // what was not acknowledged when the connection ended comes once more (QoS 1)
    const seen = new Set();
    sub.on("message", (topic, payload, packet) => seen.has(topic) || got.push([topic, payload.toString(), packet.qos]));
    await sub.subscribeAsync("from/#", { qos: 2 });
    for (const qos of [0, 1, 2]) await pub.publishAsync("from/browser", "qos " + qos, { qos });
    await arrived(3);
    log.push(...got.splice(0).map((m) => m.join(" ")).sort());
    seen.add("from/browser");
    const big = "x".repeat(200000);
    await pub.publishAsync("from/big", big, { qos: 1 });
    await arrived(1);
    log.push("big " + (got.splice(0)[0][1] === big));
    seen.add("from/big");
    // its connection ends under it, and it comes back by itself with its session
    const again = once(sub, "connect");
    sockets[0].close();
    await pub.publishAsync("from/meanwhile", "kept", { qos: 1 });
    const [connack] = await again;
    await arrived(1);
    log.push("reconnected " + connack.sessionPresent + " " + got.splice(0)[0][1]);
    const web = new WebSocket(url, "mqtt");
    const end = await new Promise((resolve) => { web.onopen = () => web.send("text is not for us"); web.onclose = resolve; });
    log.push("text closed with " + end.code + " " + end.wasClean);
    await Promise.all([sub.endAsync(), pub.endAsync()]);
    log.push("ended");
    return log;
  }, { url, token });
  console.log(JSON.stringify({ title, said }));
} catch (e) {
  console.log(JSON.stringify({ error: String(e.message || e) }));
} finally {
  clearTimeout(limit);
  await browser.close();
  site.close();
  fs.rmSync(profile, { recursive: true, force: true });
}
