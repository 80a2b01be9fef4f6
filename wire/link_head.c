/* link_head.c - the heads of the frames of the link (link.h): which types there are, where each may
 * come, and how long a frame is. Pure. */
#include "base/base.h"
#include "wire/link.h"
#include "wire/link_layout.h"

/* ---- The types ---- */

enum where { ON_LINK = 1, ON_CHANNEL = 2, ON_BOTH = 3 }; /* channel 0, the others */

static const struct type_rule {
	const char *name;
	uint8_t flags; /* which may be set */
	uint8_t where;
	bool bare; /* has no body */
} type_rules[] = {
	/* a row not here is no frame */
	[LINK_HELLO] = { "HELLO", 0, ON_LINK, false },
	[LINK_PING] = { "PING", 0, ON_LINK, true },
	[LINK_PONG] = { "PONG", 0, ON_LINK, true },
	[LINK_OPEN] = { "OPEN", LINK_OPEN_CLEAN | LINK_OPEN_WILL | LINK_OPEN_REATTACH, ON_CHANNEL,
	                false },
	[LINK_OPENED] = { "OPENED", LINK_OPENED_PRESENT | LINK_OPENED_RIGHTS | LINK_OPENED_OTHER,
	                  ON_CHANNEL, false },
	[LINK_CLOSE] = { "CLOSE", LINK_CLOSE_WILL | LINK_CLOSE_EXPIRY | LINK_CLOSE_GRACE,
	                 ON_CHANNEL, false },
	[LINK_CLOSED] = { "CLOSED", 0, ON_CHANNEL, false },
	[LINK_WILL_DROP] = { "WILL_DROP", 0, ON_CHANNEL, true },
	[LINK_TOKEN] = { "TOKEN", 0, ON_CHANNEL, false },
	[LINK_FINISH] = { "FINISH", 0, ON_CHANNEL, true },
	[LINK_FINISHED] = { "FINISHED", 0, ON_CHANNEL, true },
	[LINK_PUBLISH] = { "PUBLISH", LINK_QOS | LINK_RETAIN | LINK_DUP, ON_BOTH, false },
	[LINK_DELIVER] = { "DELIVER", 0, ON_LINK, false },
	[LINK_ACK] = { "ACK", 0x07, ON_BOTH, false },
	[LINK_SUBSCRIBE] = { "SUBSCRIBE", 0, ON_BOTH, false },
	[LINK_SUBACK] = { "SUBACK", 0, ON_BOTH, false },
	[LINK_UNSUBSCRIBE] = { "UNSUBSCRIBE", 0, ON_BOTH, false },
	[LINK_UNSUBACK] = { "UNSUBACK", 0, ON_BOTH, false },
	[LINK_REGRANT] = { "REGRANT", 0, ON_CHANNEL, false },
	[LINK_PAUSE] = { "PAUSE", 0, ON_CHANNEL, true },
	[LINK_RESUME] = { "RESUME", 0, ON_CHANNEL, true },
	[LINK_RIGHTS] = { "RIGHTS", LINK_RIGHTS_HIDDEN | LINK_RIGHTS_DELETED | LINK_RIGHTS_CUSTOMER,
	                  ON_LINK, false },
	[LINK_HOLD] = { "HOLD", 0, ON_LINK, false },
};

const char *link_type_name(unsigned type)
{
	return type < ARRAY_LEN(type_rules) && type_rules[type].name ? type_rules[type].name
	                                                             : "unknown frame";
}

static inline __attribute__((always_inline)) bool head_ok(const struct link_head *h)
{
	const struct type_rule *rule;

	if (h->length < LINK_HEAD || h->length > LINK_FRAME_MAX || h->channel > LINK_CHANNELS_MAX ||
	    h->type >= ARRAY_LEN(type_rules))
		return false;
	rule = &type_rules[h->type]; /* no frame: may come nowhere */
	if (!(rule->where & (h->channel ? ON_CHANNEL : ON_LINK)) || (h->flags & ~rule->flags))
		return false;
	if (h->channel == 0 && h->generation != 0)
		return false; /* the link has one life */
	return !rule->bare || h->length == LINK_HEAD;
}

/* Each frame passes here on both sides: looked at once whether it is whole, then loaded. */
static inline __attribute__((always_inline)) enum parse peek(struct str bytes,
                                                             struct link_head *out)
{
	struct link_head h;
	uint64_t first;
	uint32_t channel;

	if (bytes.n < LINK_HEAD)
		return PARSE_MORE;
	memcpy(&first, bytes.p, sizeof(first));
	memcpy(&channel, bytes.p + sizeof(first), sizeof(channel));
	first = le64toh(first);
	h.length = (uint32_t)first;
	h.type = (uint8_t)(first >> 32);
	h.flags = (uint8_t)(first >> 40);
	h.generation = (uint16_t)(first >> 48);
	h.channel = le32toh(channel);
	if (!head_ok(&h))
		return PARSE_BAD;
	*out = h;
	return PARSE_OK;
}

enum parse link_head_peek(struct str bytes, struct link_head *out)
{
	return peek(bytes, out);
}

enum parse link_head_read(struct str bytes, struct link_head *out)
{
	struct link_head h;
	enum parse answer = peek(bytes, &h);

	if (answer != PARSE_OK)
		return answer;
	if (bytes.n < h.length)
		return PARSE_MORE;
	*out = h;
	return PARSE_OK;
}
