/* feed.h - cuts a stream of bytes into frames, in place where it can. Used for MQTT packets of
 * clients and for frames of the link. What is cut in two by the end of a read is kept in `rest`,
 * which grows with the bytes that have come and never to a declared size (attack R02). Knows no
 * socket. */
#pragma once
#include "base/bytes.h"
#include "wire/mqtt.h"

enum feed { FEED_OK, FEED_HOLD, FEED_BAD, FEED_NOMEM };

struct feed_ops {
	/* Looks at the start of a frame: OK and its whole length as soon as that can be told, MORE,
	 * or BAD (anything it does not want). */
	enum parse (*measure)(void *owner, struct str bytes, size_t *whole);
	/* One whole frame, the one that was measured last, borrowed until return. False: take no
	 * more now; what follows is kept (FEED_HOLD). */
	bool (*frame)(void *owner, struct str frame);
};

/* Takes all of bytes: frames are handed over, what is left goes to rest. bytes MUST NOT lie in rest
 * (see feed_rest). */
enum feed feed(const struct feed_ops *ops, void *owner, struct buf *rest, struct str bytes);
/* Goes on with what a FEED_HOLD left behind. */
enum feed feed_rest(const struct feed_ops *ops, void *owner, struct buf *rest);
