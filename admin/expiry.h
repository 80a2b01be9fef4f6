/* expiry.h - deletes tokens that ended long ago, with event 600. A token that has ended is refused
 * from that second on (rest_judge, and the proxies by their own clocks); its row stays for `grace`
 * longer, because a clock may be wrong and a row cannot be brought back. What counts is time that
 * passed: after the wall clock was set, and after a start when nobody knows what it was before,
 * nothing is deleted until `grace` has passed by the monotonic clock. Service thread. */
#pragma once
#include "base/base.h"

struct rest;

struct expiry {
	int64_t grace;        /* ms */
	int64_t offset;       /* of the wall clock against the monotonic one, when last looked at */
	int64_t steady_since; /* monotonic ms */
};

int expiry_open(struct expiry *e, struct rest *rest, int64_t grace) MUST_CHECK;
/* Logs it when the wall clock was set; then deletes what may be deleted, some at a time. */
int expiry_run(struct expiry *e, struct rest *rest) MUST_CHECK;
