/* finish.c - what a client said on its old connection comes before its new one (finish.h). What had
 * arrived when the core asked is all that counts: a client that goes on sending is taken over in
 * the middle. The core waits for a second at most, so nothing here has a deadline. */
#include "base/base.h"
#include "proxy/finish.h"

#include <sys/ioctl.h>

#include "proxy/conn.h"
#include "proxy/uplink.h"
#include "proxy/worker.h"

static size_t unread(const struct conn *c)
{
	int n = 0;

	return ioctl(c->watch.fd, FIONREAD, &n) == 0 && n > 0 ? (size_t)n : 0;
}

static void say_finished(struct conn *c)
{
	c->finishing = false;
	if (c->channel && uplink_up(c->link))
		link_bare_write(uplink_say(c), LINK_FINISHED, c->channel, c->generation);
}

void finish_begin(struct conn *c)
{
	c->worker->n.finishes++;
	c->finishing = true;
	/* plain bytes are never more than those of the socket */
	c->finish_at = c->bytes_in + unread(c);
	finish_look(c);
}

void finish_look(struct conn *c)
{
	if (likely(!c->finishing) || c->state == CONN_CLOSING)
		return;
	if (!c->hold && !c->behind && (c->bytes_in >= c->finish_at || unread(c) == 0))
		say_finished(c);
}
