/* inbox.c - a wait-free queue, and an eventfd that is written only by who finds it empty: under
 * load the receiver drains thousands of items for one wake-up. */
#include "base/base.h"
#if !defined(__SANITIZE_THREAD__)
#define _LGPL_SOURCE /* inlined; under TSan the library's own code, which is not instrumented */
#define CDS_WFCQ_WAIT_SLEEP(ms) \
	((void)(ms), \
	 sched_yield()) /* a pusher was preempted in mid-push: 10 ms would be far too long */
#endif
#include <sched.h>

#include "base/inbox.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/rcu.h"

struct inbox {
	/* Any thread */
	struct cds_wfcq_tail tail;
	int wake;       /* eventfd; never changes */
	char apart[64]; /* pushers do not touch the cache line of the one who drains */
	/* The owner's thread */
	struct __cds_wfcq_head head;
	struct watch woken;
	struct loop *loop;
};

/* One splice takes all there is; what items push meanwhile comes in the next turn, so a chatty pair
 * cannot hold the loop. */
static bool drain(struct inbox *in)
{
	struct __cds_wfcq_head head;
	struct cds_wfcq_tail tail;
	struct cds_wfcq_node *node, *next;

	__cds_wfcq_init(&head, &tail);
	if (__cds_wfcq_splice_blocking(&head, &tail, &in->head, &in->tail) ==
	    CDS_WFCQ_RET_SRC_EMPTY)
		return false;
	RCU_HEARD(in);
	__cds_wfcq_for_each_blocking_safe(&head, &tail, node, next)
	{
		struct inbox_item *item = container_of(node, struct inbox_item, node);

		item->run(item);
	}
	return true;
}

static void woken(struct watch *w, unsigned events)
{
	struct inbox *in = container_of(w, struct inbox, woken);
	uint64_t count;

	(void)events;
	/* Before the splice: who pushes after it finds the queue empty and writes again. */
	if (read(w->fd, &count, sizeof(count)) < 0)
		MUST(errno == EAGAIN || errno == EINTR);
	loop_step(in->loop, "inbox");
	(void)drain(in);
	loop_step(in->loop, "event");
}

void inbox_push(struct inbox *in, struct inbox_item *item)
{
	uint64_t one = 1;
	ssize_t n;

	cds_wfcq_node_init(&item->node);
	RCU_TOLD(in);
	if (cds_wfcq_enqueue(&in->head, &in->tail, &item->node))
		return; /* who pushed before us has rung, and was not answered yet */
	do
		n = write(in->wake, &one, sizeof(one));
	while (n < 0 && errno == EINTR);
	MUST(n == sizeof(one)); /* it would take 2^64 unanswered rings to fill the counter */
}

int inbox_open(struct inbox **out, struct loop *loop)
{
	struct inbox *in = mem_zalloc(sizeof(*in));
	int err;

	if (!in)
		return -E_NOMEM;
	__cds_wfcq_init(&in->head, &in->tail);
	in->loop = loop;
	in->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = -E_LIMIT;
	if (in->wake < 0)
		goto fail;
	err = loop_watch(loop, &in->woken, in->wake, LOOP_READ, woken);
	if (err)
		goto fail;
	*out = in;
	return 0;
fail:
	inbox_close(&in);
	return err;
}

void inbox_close(struct inbox **slot)
{
	struct inbox *in = *slot;

	if (!in)
		return;
	while (drain(in))
		; /* an item may have pushed another one, so *slot is still set */
	*slot = NULL;
	loop_unwatch(in->loop, &in->woken);
	if (in->wake >= 0)
		close(in->wake);
	mem_free(in);
}
