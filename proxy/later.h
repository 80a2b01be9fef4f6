/* later.h - frames of the core that wait because their customer's slice of the turn is used up
 * (share.h). Those of other customers, which came behind them, do not: so the link is read on. What
 * waits is bounded: a customer of whom much waits is paused at the core, and when too much waits in
 * all, the link is not read for a while. Worker's thread only. */
#pragma once
#include "base/bytes.h"

struct customer_share;
struct link_head;
struct uplink;
struct worker;

/* Is a frame for this customer to wait now? */
bool later_due(const struct uplink *u, struct customer_share *s);
/* keeps a whole frame; of a DELIVER so many entries are done. False: no memory. */
bool later_keep(struct uplink *u, struct customer_share *s, const struct link_head *h,
                struct str body, uint32_t done) MUST_CHECK;
void later_serve(struct worker *w);  /* worker.c, at the end of a turn */
bool later_full(struct uplink *u);   /* uplink.c: it is not to be read now */
void later_forget(struct uplink *u); /* uplink.c: the link is lost */
