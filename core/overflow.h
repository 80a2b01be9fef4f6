/* overflow.h - event 504 of a customer's log: messages that a session has lost because its queue
 * was full. Home's thread. */
#pragma once
#include "core/session.h"

/* m was dropped. Told at once, then once a minute while more are. Records of the log are not told
 * of: whoever reads it and is full would be told of that for ever. */
void overflow_note(const struct session *s, const struct msg *m);
void overflows_free(struct home *h); /* at the end */
