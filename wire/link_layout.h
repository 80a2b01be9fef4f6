/* link_layout.h - what link_read.c and link_write.c agree on beyond link.h: the fixed parts of the
 * bodies, byte by byte. Nobody else includes it.
 *
 *   HELLO        "MBUS" le16 major le16 minor le16 homes le16 home le32 features le16 n, name
 *   OPEN         u8 version u8 will_qos u8 will_retain u8 0, le16 receive_maximum le16 client_id_n
 * le16 peer_n le16 limits_n, le64 customer le64 token, le64 rights_until, le32 session_expiry le32
 * will_delay, limits, client_id, peer, [msg]   limit = u8 level u8 id le64 value   TOKEN
 * le64 token le64 rights_until le16 limits_n, limits OPENED
 * u8 reason, le32 count, count * sub         sub = u8 opts, le32 id, le16 n, filter CLOSE [le32
 * session_expiry] CLOSED       u8 reason PUBLISH      le16 packet_id, msg msg = le32 expiry, le32
 * topic_n le32 response_n le32 props_n, topic, response, props, payload (what is left) DELIVER le64
 * customer le64 token le64 timestamp, le32 count, count * entry, msg entry = le32 channel le16
 * generation le16 packet_id le32 subscription_id u8 flags u8 0 0 0 ACK          le16 packet_id u8
 * reason SUBSCRIBE,   le16 packet_id le16 count le32 subscription_id, count * item REGRANT item =
 * u8 code u8 opts le16 inner_count le16 n, filter, inner_count * marked SUBACK       le16
 * packet_id, codes (what is left)       marked = u8 system le32 n, filter UNSUBSCRIBE  le16
 * packet_id le16 count, count * (le16 n, filter) RIGHTS       le64 customer le64 token le16 count,
 * count * marked HOLD         le64 customer u8 hold
 *
 * Inner names are up to 29 bytes longer than what MQTT can say in 16 bits, hence their 32-bit
 * lengths. */
#pragma once
#include "wire/link.h"

enum {
	HELLO_FIXED = 18,
	OPEN_FIXED = 44,
	OPENED_FIXED = 5,
	SUB_FIXED = 7,
	PUBLISH_FIXED = 2,
	MSG_FIXED = 16,
	DELIVER_FIXED = 28,
	ACK_FIXED = 3,
	SUBSCRIBE_FIXED = 8,
	SUBSCRIBE_COUNT_AT = 2,
	ITEM_FIXED = 6,
	ITEM_COUNT_AT = 2,
	MARKED_FIXED = 5,
	UNSUBSCRIBE_FIXED = 4,
	UNSUBSCRIBE_COUNT_AT = 2,
	RIGHTS_FIXED = 18,
	RIGHTS_COUNT_AT = 16,
	HOLD_FIXED = 9,
};

enum { LINK_MAGIC = 0x5355424d };              /* "MBUS", read as le32 */
enum { LINK_SUBSCRIPTION_ID_MAX = 268435455 }; /* MQTT5 3.8.2.1.2 */
