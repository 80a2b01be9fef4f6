/* inbox.h - the only way one thread hands work to another (liburcu wfcqueue + eventfd).
 * Any thread may push. The thread that opened the inbox drains it, in push order, on its own loop.
 */
#pragma once
#include <urcu/wfcqueue.h>

#include "base/loop.h"

struct inbox;
struct inbox_item {
	struct cds_wfcq_node node;
	void (*run)(struct inbox_item *item); /* owner's thread; owns item from here on */
};

int inbox_open(struct inbox **out, struct loop *loop) MUST_CHECK;
/* takes item until item->run(item); cannot fail, never waits */
void inbox_push(struct inbox *in, struct inbox_item *item);
/* owner thread, after the last push; runs what is left; sets *in = NULL */
void inbox_close(struct inbox **in);
