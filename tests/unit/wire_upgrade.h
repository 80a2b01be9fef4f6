/* wire_upgrade.h - requests that the tests of the upgrade are made of. */
#pragma once
#include "tests/kit/kit.h"
#include "wire/upgrade.h"

#define GET     "GET /mqtt HTTP/1.1\r\n"
#define HOST    "Host: mbus.example.com\r\n"
#define WS      "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define KEY     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define MQTT    "Sec-WebSocket-Protocol: mqtt\r\n"
#define END     "\r\n"
#define GOOD    GET HOST WS KEY VERSION MQTT

/* Of a request that reads well. */
static inline struct upgrade facts_of(const char *request)
{
	struct upgrade u;
	unsigned status;

	IS(upgrade_read(guard_str(str_c(request)), 0, &u, &status), PARSE_OK);
	return u;
}
