/* grants.h - what a client is granted of the filters that it asks for, and again when its rights
 * change. Its worker's thread. */
#pragma once
#include "wire/link.h"
#include "wire/topic.h"

struct conn;
struct granting;

enum {
	GRANTS_FRAME = 64 << 10, /* of SUBSCRIBE and REGRANT: about so long; then another one */
	/* So many filters are said together even at the end of a slice. A change of the rights of
	 * an ordinary session is one step (attack C17), and of an ordinary SUBSCRIBE the SUBACK
	 * comes before the messages, as clients expect it, although MQTT5 3.8.4 allows otherwise.
	 */
	GRANTS_TOGETHER = 16,
	/* Levels of grants that are looked at for what CONNACK tells of filters: beyond it nothing
	 * is told. A filter that meets nothing may have been held against all of them. */
	GRANTS_LOOK_MOST = 1 << 16,
	/* no reason code: it is not done */
	GRANTS_MORE = 0x100,
};

/* Is it a filter that this client may write? A reason code. share: what is left for the rights to
 * judge; conditions: what stood before it, or nothing */
unsigned grants_judge(const struct conn *c, struct str text, struct share *share,
                      struct str *conditions);
/* Puts the inner filters of a bare filter into worker->encoded; a reason code. A list stands for up
 * to 256 filters, each of which meets the rights: after half a millisecond the answer is
 * GRANTS_MORE, and *begun has what was found. The next call for the same filter goes on there, or
 * begins again if the rights have changed. */
unsigned grants_find(struct conn *c, struct granting **begun, struct str bare);
void grants_forget(struct granting **begun);
/* writes an item with what grants_find() has found */
void grants_write(struct conn *c, struct buf *out, size_t frame, uint8_t opts, struct str text);
/* Takes a frame back that was begun at `start`, and got no item. False: there was no memory */
bool grants_unsaid(struct buf *out, size_t start) MUST_CHECK;
uint8_t grants_how_read(const struct conn *c); /* of an item: LINK_EXTENDED or nothing */
/* Would it be granted any of this filter now? looked: as of acl_meets() */
bool grants_may(struct conn *c, struct str text, size_t *looked);
/* REGRANT: the filters of c that are stale, under the rights of today, as far as the slice of its
 * customer reaches. False: some are left, for a later turn. */
bool grants_renew(struct conn *c) MUST_CHECK;
