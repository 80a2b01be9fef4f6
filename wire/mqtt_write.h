/* mqtt_write.h - writing MQTT packets, both directions. Appends whole packets to a buf; look at
 * buf_ok() afterwards. Values are ours or validated: what may not stand in a packet is a MUST. For
 * v3 all properties are left out, and reason codes become return codes. A refusal (>= 0x80) that v5
 * does not allow in that packet is said as 0x80 (PUBREL, PUBCOMP: 0x92). A packet longer than MQTT
 * can say leaves the buf broken, like memory running out: buf_cut and drop it. */
#pragma once
#include "wire/mqtt_read.h"

/* Servers */
void mqtt_connack_write(struct buf *b, uint8_t version, bool session_present, unsigned reason,
                        const struct mqtt_props *props);
void mqtt_suback_write(struct buf *b, uint8_t version, uint16_t packet_id, const uint8_t *codes,
                       size_t count, const struct mqtt_props *props);
void mqtt_unsuback_write(struct buf *b, uint8_t version, uint16_t packet_id, const uint8_t *codes,
                         size_t count, const struct mqtt_props *props);
void mqtt_pingresp_write(struct buf *b);
/* Both */
/* props by field; user from props.user */
void mqtt_publish_write(struct buf *b, uint8_t version, const struct mqtt_publish *p);
/* whole packet, as publish_write makes it */
size_t mqtt_publish_size(uint8_t version, const struct mqtt_publish *p);
void mqtt_ack_write(struct buf *b, enum mqtt_type type, uint8_t version, uint16_t packet_id,
                    unsigned reason, const struct mqtt_props *props);
/* v3: only a client's, reason 0 */
void mqtt_disconnect_write(struct buf *b, uint8_t version, unsigned reason,
                           const struct mqtt_props *props);
void mqtt_auth_write(struct buf *b, unsigned reason, const struct mqtt_props *props);
/* Clients (admin's bus, tests, bench) */
void mqtt_connect_write(struct buf *b, const struct mqtt_connect *c);
void mqtt_subscribe_write(struct buf *b, uint8_t version, uint16_t packet_id,
                          const struct str *filters, const struct mqtt_sub_opts *opts, size_t count,
                          const struct mqtt_props *props);
void mqtt_unsubscribe_write(struct buf *b, uint8_t version, uint16_t packet_id,
                            const struct str *filters, size_t count,
                            const struct mqtt_props *props);
void mqtt_pingreq_write(struct buf *b);

/* Properties of one packet as they stand on the wire: varint length, then those of `p` that may
 * stand in `type` (PUBLISH's and the Will's share one set here: will = true takes the Will's). NULL
 * p = no properties. */
void mqtt_props_write(struct buf *b, enum mqtt_type type, bool will, const struct mqtt_props *p);
/* with the length field */
size_t mqtt_props_size(enum mqtt_type type, bool will, const struct mqtt_props *p);
/* one pair in wire form, for props.user */
static inline void mqtt_user_property(struct buf *b, struct str key, struct str value)
{
	buf_u8(b, PROP_USER_PROPERTY);
	buf_u16(b, (uint16_t)key.n);
	buf_str_add(b, key);
	buf_u16(b, (uint16_t)value.n);
	buf_str_add(b, value);
}
