/* uplink_ports.c - the channels of a link, and what sessions say to them. A message for many
 * channels of a link becomes one DELIVER: entries are gathered until another message or another
 * frame comes, so that the order on every channel is the order in which sessions spoke. */
#include "base/base.h"
#include "core/uplink_parts.h"

#include "base/mem.h"

/* ---- Channels ---- */
struct channel *channel_find(const struct link *l, uint32_t number)
{
	size_t page = number / CHANNEL_PAGE;

	if (page >= l->page_count || !l->pages[page])
		return NULL;
	return l->pages[page]->at[number % CHANNEL_PAGE];
}

static struct channel_page *page_get(struct link *l, size_t page)
{
	size_t count;
	struct channel_page **pages;

	if (page >= l->page_count) {
		count = size_max(page + 1,
		                 size_min(l->page_count * 2, LINK_CHANNELS_MAX / CHANNEL_PAGE + 1));
		pages = mem_realloc(l->pages, count * sizeof(struct channel_page *));
		if (!pages)
			return NULL;
		memset(pages + l->page_count, 0,
		       (count - l->page_count) * sizeof(struct channel_page *));
		l->pages = pages;
		l->page_count = count;
	}
	if (!l->pages[page])
		l->pages[page] = mem_zalloc(sizeof(struct channel_page));
	return l->pages[page];
}

struct channel *channel_new(struct link *l, uint32_t number, uint16_t generation, uint64_t customer)
{
	struct channel_page *page = page_get(l, number / CHANNEL_PAGE);
	struct channel *c;

	if (!page)
		return NULL;
	MUST(!page->at[number % CHANNEL_PAGE]); /* OPEN of a number in use is nonsense before */
	c = mem_zalloc(sizeof(*c));
	if (!c)
		return NULL;
	c->port.ops = &channel_ops;
	c->link = l;
	list_init(&c->in_lane);
	if (lane_enter(c, customer)) {
		mem_free(c);
		return NULL;
	}
	c->port.full = &c->lane->full;
	c->number = number;
	c->generation = generation;
	page->at[number % CHANNEL_PAGE] = c;
	page->used++;
	l->channels++;
	c->listed = true;
	return c;
}

void channel_unlist(struct channel *c)
{
	struct link *l = c->link;
	struct channel_page *page;

	if (!c->listed)
		return;
	c->listed = false;
	page = l->pages[c->number / CHANNEL_PAGE];
	page->at[c->number % CHANNEL_PAGE] = NULL;
	page->used--;
	l->channels--;
}

void channel_free(struct channel **slot)
{
	struct channel *c = *slot;

	*slot = NULL;
	/* who frees it has closed the session, or let go of it, and was no newcomer any more */
	MUST(!c->port.session && !c->newcomer);
	handover_over(c);
	channel_unlist(c);
	if (c->waiting == 0) /* else with the last of them (uplink_parked.c) */
		channel_end(c);
}

void channel_end(struct channel *c)
{
	lane_leave(c);
	mem_free(c);
}

void channels_each(struct link *l, void (*visit)(struct channel *c))
{
	for (size_t p = 0; p < l->page_count; p++) {
		for (size_t i = 0; l->pages[p] && l->pages[p]->used && i < CHANNEL_PAGE; i++) {
			if (l->pages[p]->at[i])
				visit(l->pages[p]->at[i]);
		}
	}
}

void channels_free(struct link *l)
{
	for (size_t p = 0; p < l->page_count; p++)
		mem_free(l->pages[p]);
	mem_free(l->pages);
	l->pages = NULL;
	l->page_count = 0;
}

/* ---- Speaking ---- */
void link_gather_end(struct link *l)
{
	struct msg *m = l->gathered;
	struct link_deliver d;

	if (!m)
		return;
	d = (struct link_deliver){ .msg = m->m,
		                   .customer = m->customer,
		                   .token = m->token,
		                   .timestamp_ms = m->timestamp_ms };
	d.msg.expiry_s = msg_expiry_left(m, home_wall(l->home));
	link_deliver_write(lane_buf(l->gathered_lane), &d, l->entries, l->gathered_count);
	l->home->counters.frames_out++;
	l->gathered_count = 0;
	msg_put(&l->gathered);
	lane_say(l->gathered_lane);
	l->gathered_lane = NULL;
}

/* NULL: nobody is there any more to hear it */
static struct buf *frame_begins(struct channel *c)
{
	struct link *l = c->link;

	if (unlikely(l->broken))
		return NULL;
	link_gather_end(l);
	l->home->counters.frames_out++;
	return lane_buf(c->lane);
}

static void deliver(struct port *p, struct msg *m, const struct port_send *how)
{
	struct channel *c = container_of(p, struct channel, port);
	struct link *l = c->link;

	if (unlikely(l->broken))
		return;
	if (l->gathered != m || l->gathered_count == LINK_GATHER || l->gathered_lane != c->lane) {
		link_gather_end(l);
		l->gathered = msg_get(m);
		l->gathered_lane = c->lane;
		home_flush_later(l->home, &l->ends);
	}
	l->entries[l->gathered_count++] =
	    (struct link_entry){ .channel = c->number,
		                 .generation = c->generation,
		                 .packet_id = how->packet_id,
		                 .flags = how->flags,
		                 .subscription_id = how->subscription_id };
}

static void add_sub(void *arg, const struct link_sub *sub)
{
	link_opened_add(arg, sub);
}

static uint8_t opened_marks(const struct port *p)
{
	return (uint8_t)((p->tell_rights ? LINK_OPENED_RIGHTS : 0) |
	                 (p->other_token ? LINK_OPENED_OTHER : 0));
}

static void opened(struct port *p, bool present, uint8_t reason, struct session *s)
{
	struct channel *c = container_of(p, struct channel, port);
	struct buf *b = frame_begins(c);
	size_t frame;

	if (b) {
		frame = link_opened_begin(b, c->number, c->generation, present, reason,
		                          present ? (unsigned)session_sub_count(s) : 0);
		if (present)
			session_each_sub(s, add_sub, b);
		if (reason < 0x80)
			link_opened_mark(b, frame, opened_marks(p), c->link->minor);
		if (!link_end(b, frame))
			link_break(c->link, "out of memory");
		lane_say(c->lane);
	}
	if (reason >= 0x80)
		channel_free(&c);
}

static void ack(struct port *p, enum mqtt_type type, uint16_t packet_id, uint8_t reason)
{
	struct channel *c = container_of(p, struct channel, port);
	struct buf *b = frame_begins(c);

	if (!b)
		return;
	link_ack_write(b, c->number, c->generation, type, packet_id, reason);
	lane_say(c->lane);
}

static void suback(struct port *p, enum link_type type, uint16_t packet_id, const uint8_t *codes,
                   size_t count)
{
	struct channel *c = container_of(p, struct channel, port);
	struct buf *b = frame_begins(c);

	if (!b)
		return;
	link_suback_write(b, type, c->number, c->generation, packet_id, codes, count);
	lane_say(c->lane);
}

static void closed(struct port *p, uint8_t reason)
{
	struct channel *c = container_of(p, struct channel, port);
	struct buf *b = frame_begins(c);

	if (b) {
		link_closed_write(b, c->number, c->generation, reason);
		lane_say(c->lane);
	}
	channel_free(&c);
}

const struct port_ops channel_ops = { opened, deliver, ack, suback, closed };

/* Channel 0 is not opened by a frame; the core ending takes its session, and the link goes on to
 * carry the last words of the others. */
static void self_opened(struct port *p, bool present, uint8_t reason, struct session *s)
{
	(void)p;
	(void)present;
	(void)reason;
	(void)s;
}

static void self_closed(struct port *p, uint8_t reason)
{
	(void)p;
	(void)reason;
}

const struct port_ops self_ops = { self_opened, deliver, ack, suback, self_closed };
