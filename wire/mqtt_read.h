/* mqtt_read.h - reading MQTT packets, both directions. Pure: bytes in, struct out, no allocation,
 * no state but the arguments. All str fields borrow the packet's bytes. Framing answers OK, MORE or
 * BAD; a body answers with a reason code: RC_SUCCESS, or what to close the connection with (0x81
 * malformed, 0x82 protocol error, 0x90 topic name ...). Every rule cites its statement in the .c
 * file. When the answer is not success, *out may be half-filled and means nothing. */
#pragma once
#include "wire/mqtt.h"

struct mqtt_head {
	uint8_t type, flags; /* enum mqtt_type, low nibble */
	uint32_t remaining;  /* length of the body */
	uint8_t size;        /* of the fixed header: 2..5 */
};

/* Looks at the fixed header. OK as soon as the header is whole (the body may still be on its way).
 * One byte is enough for BAD. BAD: fifth length byte, padded length, reserved type 0, flags not
 * allowed for the type (MQTT5 2.1.3), PINGREQ or PINGRESP with a body. PUBLISH's flags are judged
 * by mqtt_publish_read; type 15 passes here, v3 does not know it: that is the caller's to say. */
enum parse mqtt_head_read(struct str bytes, struct mqtt_head *out);

struct mqtt_will {
	bool present, retain;
	uint8_t qos;
	struct str topic, payload;
	struct mqtt_props props;
};

struct mqtt_connect {
	uint8_t version; /* enum mqtt_version */
	/* bridge: of MQTT 3.1 or 3.1.1, with the bridge bit: it wants its own messages not back,
	 * and RETAIN as published, for which these versions have no options */
	bool clean_start, has_username, has_password, bridge;
	uint16_t keep_alive;
	struct str client_id, username, password;
	struct mqtt_will will;
	struct mqtt_props props;
};

/* On failure: *version_known tells whether the protocol name and level were understood, so that the
 * caller knows if a CONNACK may be sent and in which form: out->version is valid then. Unknown
 * name: RC_MALFORMED_PACKET, known = false. Unknown level of a known name:
 * RC_UNSUPPORTED_PROTOCOL_VERSION, known = true, and version is the form in which to say so (attack
 * P30). */
unsigned mqtt_connect_read(struct str body, struct mqtt_connect *out, bool *version_known);

struct mqtt_connack {
	bool session_present;
	/* v5 reason, or v3 return code as it stands on the wire */
	uint8_t code;
	struct mqtt_props props;
};
unsigned mqtt_connack_read(struct str body, uint8_t version, struct mqtt_connack *out);

struct mqtt_publish {
	uint8_t qos;
	bool dup, retain;
	uint16_t packet_id;        /* 0 with QoS 0 */
	struct str topic, payload; /* topic may be empty with a topic alias (v5) */
	struct mqtt_props props;
};
/* Topic and Response Topic are checked (mqtt_name_ok, no wildcards); payload only if payload_format
 * is 1. from_client: a subscription identifier is then a protocol error [MQTT-3.3.4-6]. */
unsigned mqtt_publish_read(struct str body, uint8_t flags, uint8_t version, bool from_client,
                           struct mqtt_publish *out);

struct mqtt_ack { /* PUBACK, PUBREC, PUBREL, PUBCOMP */
	uint16_t packet_id;
	uint8_t code;
	struct mqtt_props props;
};
unsigned mqtt_ack_read(struct str body, enum mqtt_type type, uint8_t version, struct mqtt_ack *out);

struct mqtt_sub_opts {
	uint8_t qos, retain_handling;
	bool no_local, retain_as_published;
};

struct mqtt_subscribe {
	uint16_t packet_id;
	struct mqtt_props props;
	/* walked with mqtt_subscribe_next; already validated in form */
	struct str entries;
	unsigned count;
};
/* Form only: packet id, options byte, UTF-8, at least one filter. Whether a filter is a valid
 * filter is judged one by one (topic.h), and answered in SUBACK (attack P21). */
unsigned mqtt_subscribe_read(struct str body, uint8_t version, struct mqtt_subscribe *out);
bool mqtt_subscribe_next(struct mqtt_subscribe *s, uint8_t version, struct str *filter,
                         struct mqtt_sub_opts *opts);

struct mqtt_unsubscribe {
	uint16_t packet_id;
	struct mqtt_props props;
	struct str entries;
	unsigned count;
};
unsigned mqtt_unsubscribe_read(struct str body, uint8_t version, struct mqtt_unsubscribe *out);
bool mqtt_unsubscribe_next(struct mqtt_unsubscribe *u, struct str *filter);

struct mqtt_suback { /* SUBACK and UNSUBACK (v3 UNSUBACK has no codes) */
	uint16_t packet_id;
	struct mqtt_props props;
	struct str codes;
};
unsigned mqtt_suback_read(struct str body, enum mqtt_type type, uint8_t version,
                          struct mqtt_suback *out);

struct mqtt_disconnect { /* DISCONNECT and AUTH: a code and properties */
	uint8_t code;
	struct mqtt_props props;
};
unsigned mqtt_disconnect_read(struct str body, uint8_t version, bool from_client,
                              struct mqtt_disconnect *out);
unsigned mqtt_auth_read(struct str body, struct mqtt_disconnect *out);
