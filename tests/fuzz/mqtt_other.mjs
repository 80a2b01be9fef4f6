// The other side of tests/fuzz/mqtt_other.c: reads packets with mqtt-packet (of MQTT.js), writes each again from what it
// understood. in: u32 length, u8 version, packet; out: u32 length, packet; or, with the highest bit set, why not; or, with the
// next bit set, "not asked": what mqtt-packet is known not to do, see cannot().
import { createRequire } from "node:module";
import { readSync, writeSync } from "node:fs";

const mqtt = createRequire(new URL("../flow/", import.meta.url))("mqtt-packet");

// Each line is a deviation of mqtt-packet from the standard, or a form it does not have; not of ours.
function cannot(bytes, version) {
	const type = bytes[0] >> 4;
	let body = 1;
	while (bytes[body++] & 0x80);
	// an AUTH without a body, which says success (MQTT5 3.15.2.1); and our reader leaves it to its caller that v3 has none
	if (type === 15 && (bytes.length === 2 || version < 5)) return true;
	// 0x8C in DISCONNECT: MQTT5 2.4 has it, the table of 3.14.2.1 has not
	if (type === 14 && bytes[body] === 0x8c) return true;
	return false;
}

function again(bytes, version) {
	const parser = mqtt.parser({ protocolVersion: version });
	let packet, error;
	parser.on("packet", (p) => (packet = p));
	parser.on("error", (e) => (error = e));
	parser.parse(bytes);
	if (error) throw error;
	if (!packet) throw new Error("it waits for more");
	return mqtt.generate(packet, { protocolVersion: version });
}

function get(n) {
	const room = Buffer.alloc(n);
	for (let at = 0; at < n; ) {
		const got = readSync(0, room, at, n - at);
		if (got === 0) process.exit(0);
		at += got;
	}
	return room;
}

function put(flags, bytes) {
	const head = Buffer.alloc(4);
	head.writeUInt32LE((flags | bytes.length) >>> 0);
	const all = Buffer.concat([head, bytes]);
	for (let at = 0; at < all.length; ) at += writeSync(1, all, at);
}

for (;;) {
	const n = get(4).readUInt32LE();
	const version = get(1)[0];
	const bytes = get(n);
	if (cannot(bytes, version)) {
		put(1 << 30, Buffer.alloc(0));
		continue;
	}
	try {
		put(0, again(bytes, version));
	} catch (e) {
		put(1 << 31, Buffer.from(String(e.message ?? e)));
	}
}
