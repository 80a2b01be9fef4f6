/* mqtt_roundtrip.c - fuzz target: what was decoded, encoded, and decoded again is the same; and
 * what was counted is what was written. This is how the house talks to itself (attack P37): a
 * packet that two readers understand differently would be a finding here. The first byte says
 * version and direction. */
#include "tests/fuzz/mqtt_again.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t versions[] = { MQTT_V5, MQTT_V311, MQTT_V31, MQTT_V5 };
	struct str rest;
	struct mqtt_head h;

	if (size == 0)
		return 0;
	version = versions[data[0] & 3];
	from_client = data[0] & 4;
	rest = str_make(data + 1, size - 1);
	while (mqtt_head_read(rest, &h) == PARSE_OK && h.remaining <= rest.n - h.size) {
		rest = str_skip(rest, h.size);
		packet_again(str_make(rest.p, h.remaining), &h);
		rest = str_skip(rest, h.remaining);
		buf_reset(&out);
	}
	buf_free(&out);
	return 0;
}
