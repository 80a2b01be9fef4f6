/* mqtt_parts.h - what the files of the codec (mqtt_*.c, link_*.c for message properties, ws.c for
 * text and putting) share; nobody else includes it. Reading parts answers with a reason code like
 * the packets do; writing parts is done on reserved memory. */
#pragma once
#include "base/put.h"
#include "wire/mqtt_read.h"

/* ---- Where a property or a reason code stands: an enum mqtt_type, or one of these two ---- */
enum { IN_WILL = 0 };              /* for properties: the Will's, inside CONNECT */
enum { IN_CLIENT_DISCONNECT = 0 }; /* for reason codes: a client may say less than a server */

bool mqtt_reason_may(unsigned code,
                     unsigned where); /* MQTT5 2.4: is this code one of that packet's? */

/* ---- Text ---- */
/* well-formed UTF-8, U+0000 allowed: payloads with format indicator 1 */
bool mqtt_text_ok(struct str s);
unsigned mqtt_topic_judge(struct str topic); /* a topic name to publish to: RC_SUCCESS, 0x81 not
                                                UTF-8, 0x90 not a name for us */
unsigned mqtt_string_take(struct take *t,
                          struct str *out); /* two-byte length, UTF-8; RC_SUCCESS or 0x81 */
bool mqtt_binary_take(struct take *t, struct str *out); /* two-byte length, any bytes */

/* ---- Properties ---- */

/* A packet without properties is the usual one, and emptying the struct is then most of the
 * work. With a length it cannot see, the compiler calls the C library, whose vector stores take
 * a third of the time of the `rep stos` that it would write here. */
static inline void mqtt_props_clear(struct mqtt_props *p)
{
	size_t size = sizeof(*p);

	__asm__("" : "+r"(size));
	memset(p, 0, size);
}

unsigned mqtt_props_take(struct take *t, unsigned where,
                         struct mqtt_props *out); /* varint length and that many bytes */
unsigned mqtt_props_judge(struct str block, unsigned where,
                          struct mqtt_props *out); /* the same without the length */
size_t mqtt_props_body_size(unsigned where,
                            const struct mqtt_props *p); /* without the length; p may be NULL */
uint8_t *mqtt_props_put(uint8_t *w, unsigned where, const struct mqtt_props *p,
                        size_t body_size); /* with the length */

/* ---- Putting (base/put.h) ---- */
static inline uint8_t *
put_string(uint8_t *w, struct str s) /* s.n was checked by the one who counted the size */
{
	return put_bytes(put_u16(w, (unsigned)s.n), s);
}
