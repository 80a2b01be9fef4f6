/* trusted.c - between homes. A customer's home publishes for it; the trusted world's subscriptions
 * live on home 0, and its filters stand in every other home's trusted tree, without a subscription:
 * a hit there means "home 0 wants to see this message", and home 0 matches again.
 *
 * Letters are items of an inbox, in order between any two homes. Those that are messages are read
 * at once while there is room for it in the turn; then they wait in lanes, one for a customer (or
 * for several that share it by chance), which take turns. How many may wait is bounded, and those
 * of one customer leave half of that to others: beyond it messages are dropped and counted, changes
 * of filters are not. */
#include "base/base.h"
#include "core/session.h"

#include "base/log.h"
#include "base/mem.h"
#include "core/work.h"

enum {
	LETTERS_MAX = 200000,
	LETTERS_MANY = LETTERS_MAX / 2, /* from so many on, a lane has so many at most: */
	LANE_LETTERS = LETTERS_MAX / 16,
	LETTER_UNITS = 10, /* and so many bytes of the name for one more: */
	LETTER_BYTES = 16,
};
enum letter_kind { LETTER_PUBLISH, LETTER_SHOW, LETTER_RETAINED, LETTER_MIRROR, LETTER_UNMIRROR };

struct letter {
	struct inbox_item item;
	struct list node; /* in its lane */
	struct home *to;
	struct msg *m; /* PUBLISH, SHOW, RETAINED: a reference */
	uint8_t kind;
	bool system;
	uint16_t id_len; /* RETAINED: of text, the client id */
	uint32_t text_len;
	/* MIRROR, UNMIRROR: the filter; RETAINED: client id and filter */
	char text[];
};

struct mirror_leaf {
	struct map_node node;  /* in home->mirror */
	struct tree_leaf leaf; /* sub is NULL */
	unsigned uses;
	uint32_t len;
	char filter[];
};

/* ---- Mirrored filters; not on home 0 ---- */
static struct mirror_leaf *mirror_find(struct home *h, struct str filter, bool system,
                                       uint64_t hash)
{
	for (struct map_node *n = map_first(&h->mirror, hash); n; n = map_next(n)) {
		struct mirror_leaf *leaf = container_of(n, struct mirror_leaf, node);

		if (leaf->leaf.system == system &&
		    str_eq(str_make(leaf->filter, leaf->len), filter))
			return leaf;
	}
	return NULL;
}

static int mirror_add(struct home *h, struct str filter, bool system)
{
	uint64_t hash = hash_bytes(filter.p, filter.n);
	struct mirror_leaf *leaf = mirror_find(h, filter, system, hash);

	if (leaf) {
		leaf->uses++;
		return 0;
	}
	leaf = mem_zalloc(sizeof(*leaf) + filter.n);
	if (!leaf)
		return -E_NOMEM;
	list_init(&leaf->leaf.node);
	leaf->leaf.system = system;
	leaf->uses = 1;
	leaf->len = (uint32_t)filter.n;
	memcpy(leaf->filter, filter.p, filter.n);
	if (tree_add(h->trusted->tree, &leaf->leaf, filter))
		goto fail;
	if (map_add(&h->mirror, &leaf->node, hash)) {
		tree_del(h->trusted->tree, &leaf->leaf);
		goto fail;
	}
	return 0;
fail:
	mem_free(leaf);
	return -E_NOMEM;
}

static void mirror_gone(struct home *h, struct mirror_leaf *leaf)
{
	tree_del(h->trusted->tree, &leaf->leaf);
	map_del(&h->mirror, &leaf->node);
	mem_free(leaf);
}

static void mirror_del(struct home *h, struct str filter, bool system)
{
	struct mirror_leaf *leaf = mirror_find(h, filter, system, hash_bytes(filter.p, filter.n));

	if (leaf && --leaf->uses == 0)
		mirror_gone(h, leaf);
}

/* ---- Letters ---- */
static void letter_read(struct letter *l)
{
	struct home *h = l->to;
	struct str text = str_make(l->text, l->text_len);

	switch ((enum letter_kind)l->kind) {
	case LETTER_PUBLISH:
		(void)home_publish(h, l->m);
		break;
	case LETTER_SHOW:
		(void)route_trusted(h, l->m);
		break;
	case LETTER_RETAINED:
		far_came(h, l->m, text, l->id_len);
		break;
	case LETTER_MIRROR:
		if (mirror_add(h, text, l->system))
			LOG_ERROR(h->name, "mirror-failed", "why=memory");
		break;
	case LETTER_UNMIRROR:
		mirror_del(h, text, l->system);
	}
}

static void letter_free(struct letter *l)
{
	atomic_fetch_sub_explicit(&l->to->letters, 1, memory_order_relaxed);
	list_del(&l->node);
	msg_put(&l->m);
	mem_free(l);
}

static void letter_done(struct letter *l)
{
	struct home *h = l->to;

	if (l->m)
		work_spend(h, LETTER_UNITS + l->m->m.topic.n / LETTER_BYTES);
	home_changed(h);
	h->counters.letters++;
	letter_read(l);
	letter_free(l);
}

/* One more in this turn? */
static bool mail_open(struct home *h)
{
	work_turn_is(h);
	if (h->mail_turn != h->turn) {
		h->mail_turn = h->turn;
		h->mail_end = h->spent + work_part(h, h->most.turn / 2);
	}
	return h->spent < h->mail_end;
}

static void letter_dropped(struct home *h, unsigned to)
{
	uint64_t n = ++h->counters.dropped_handed;

	if ((n & (n - 1)) == 0) /* the 1st, 2nd, 4th, 8th ... */
		LOG_WARN(h->name, "letter-dropped", "to=%u dropped=%" PRIu64, to, n);
}

static void letter_waits(struct letter *l)
{
	struct home *h = l->to;
	struct mail_lane *lane = &h->mail[hash_mix(l->m->customer, 2) % MAIL_LANES];

	if (lane->count >= LANE_LETTERS &&
	    atomic_load_explicit(&h->letters, memory_order_relaxed) > LETTERS_MANY) {
		letter_dropped(h, h->index);
		letter_free(l);
		return;
	}
	lane->count++;
	list_add_tail(&lane->letters, &l->node);
	if (list_empty(&lane->node))
		list_add_tail(&h->mail_ring, &lane->node);
	loop_at_next_end(h->loop, &h->mail_hook);
}

static void letter_came(struct inbox_item *item)
{
	struct letter *l = container_of(item, struct letter, item);
	struct home *h = l->to;

	if (!h->trusted) /* it came after the end */
		letter_free(l);
	else if (l->m && (!list_empty(&h->mail_ring) || !mail_open(h)))
		letter_waits(l);
	else
		letter_done(l);
}

/* A letter of each lane in turn. */
static void read_mail(struct hook *k)
{
	struct home *h = container_of(k, struct home, mail_hook);
	struct mail_lane *lane;

	loop_step(h->loop, "letters");
	while (mail_open(h) && (lane = list_first(&h->mail_ring, struct mail_lane, node))) {
		list_del(&lane->node);
		lane->count--;
		letter_done(list_first(&lane->letters, struct letter, node));
		if (!list_empty(&lane->letters))
			list_add_tail(&h->mail_ring, &lane->node);
	}
	if (!list_empty(&h->mail_ring))
		loop_at_next_end(h->loop, k);
}

void trusted_init(struct home *h)
{
	list_init(&h->mail_ring);
	hook_init(&h->mail_hook, read_mail);
	for (unsigned i = 0; i < MAIL_LANES; i++) {
		list_init(&h->mail[i].node);
		list_init(&h->mail[i].letters);
	}
}

static struct letter *letter_new(struct home *to, enum letter_kind kind, struct str text)
{
	struct letter *l = mem_zalloc(sizeof(*l) + text.n);

	if (!l)
		return NULL;
	l->item.run = letter_came;
	list_init(&l->node);
	l->to = to;
	l->kind = (uint8_t)kind;
	l->text_len = (uint32_t)text.n;
	if (text.n)
		memcpy(l->text, text.p, text.n);
	return l;
}

static void letter_send(struct letter *l)
{
	atomic_fetch_add_explicit(&l->to->letters, 1, memory_order_relaxed);
	inbox_push(l->to->inbox, &l->item);
}

static void send_msg(struct home *h, struct msg *m, struct home *to, enum letter_kind kind,
                     struct str name, size_t id_len)
{
	struct letter *l = NULL;

	if (atomic_load_explicit(&to->letters, memory_order_relaxed) < LETTERS_MAX)
		l = letter_new(to, kind, name);
	if (!l) {
		letter_dropped(h, to->index);
		return;
	}
	l->m = msg_get(m);
	l->id_len = (uint16_t)id_len;
	letter_send(l);
}

void trusted_hand(struct home *h, struct msg *m, unsigned to)
{
	send_msg(h, m, h->all[to], LETTER_PUBLISH, STR_NONE, 0);
}

void trusted_show(struct home *h, struct msg *m)
{
	send_msg(h, m, h->all[0], LETTER_SHOW, STR_NONE, 0);
}

void trusted_retained(struct home *h, struct msg *m, struct str name, size_t id_len)
{
	send_msg(h, m, h->all[0], LETTER_RETAINED, name, id_len);
}

int trusted_mirror(struct home *h, struct str filter, bool system, bool add)
{
	struct letter *made[LINK_HOMES_MAX];
	unsigned count = 0;

	for (unsigned i = 1; i < h->count; i++) { /* all or none */
		made[count] = letter_new(h->all[i], add ? LETTER_MIRROR : LETTER_UNMIRROR, filter);
		if (!made[count]) {
			while (count)
				mem_free(made[--count]);
			return -E_NOMEM;
		}
		made[count++]->system = system;
	}
	for (unsigned i = 0; i < count; i++)
		letter_send(made[i]);
	return 0;
}

void trusted_free(struct home *h)
{
	map_each(n, &h->mirror)
		mirror_gone(h, container_of(n, struct mirror_leaf, node));
	map_free(&h->mirror);
	hook_cancel(&h->mail_hook);
	for (unsigned i = 0; i < MAIL_LANES; i++) {
		struct letter *l;

		while ((l = list_first(&h->mail[i].letters, struct letter, node)))
			letter_free(l);
	}
}
