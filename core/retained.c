/* retained.c - retained messages in the order of their names' bytes: a skip list for walking, and a
 * keyed hash table for the one question that every retained PUBLISH asks (is there one of this
 * name?).
 *
 * A walk does not look at every name: from a name that does not match, the filter tells the
 * smallest later name that could, and the skip list finds it (passed_over). So `a/#` and
 * `fleet/+/state` cost what they find, not what the store holds, and a walk can be continued after
 * any change, because all it remembers is a name. `visit` MUST NOT change the store.
 *
 * Names are not copied: they are the end of the topic inside the message that is kept. */
#include "base/base.h"
#include "core/retained.h"

#include "base/hash.h"
#include "base/mem.h"
#include "core/rights.h"

enum {
	HEIGHT_MAX = 16, /* 4^16 names */
	/* units of work.h: of a slice of a walk; bytes of a name that are compared for one */
	WALK_MOST = 10000,
	COMPARED = 64,
	REMOVED = 50, /* one that has expired: it is searched, and freed */
};

struct entry {
	struct map_node by_name;
	struct msg *m;
	struct account *of; /* its token's; NULL: nobody's */
	struct list mine;   /* in of->entries */
	uint8_t skip;       /* bytes of the topic before the name */
	uint8_t height;
	bool hidden; /* by the version of of's rights that `judged` says; 0: by none */
	uint32_t judged;
	struct entry *next[];
};

struct retained {
	struct map names;
	struct map *accounts;
	struct entry *head[HEIGHT_MAX];
	struct entry *hand; /* where retained_sweep goes on; NULL: at the start */
	size_t bytes;
	int64_t most_count, most_bytes; /* LIMIT_NONE = any number */
	size_t mortal;                  /* entries that can expire */
	uint64_t drawn;                 /* for the next height */
	bool hidden, judging;
	size_t cost; /* of judging, in this slice of a walk */
};

static struct str entry_name(const struct entry *e)
{
	return str_skip(e->m->m.topic, e->skip);
}

static size_t entry_cost(const struct msg *m)
{
	return sizeof(struct entry) + sizeof(struct entry *) + m->size;
}

/* ---- Order ---- */

static int name_order(struct str a, struct str b)
{
	size_t both = size_min(a.n, b.n);
	int order = both ? memcmp(a.p, b.p, both) : 0;

	return order ? order : (a.n > b.n) - (a.n < b.n);
}

/* The first entry that is not before `name`; before[] gets the links that lead to it. */
static struct entry *seek(struct retained *r, struct str name, struct entry **before[HEIGHT_MAX])
{
	struct entry **links = r->head;

	for (size_t level = HEIGHT_MAX; level-- > 0;) {
		while (links[level] && name_order(entry_name(links[level]), name) < 0)
			links = links[level]->next;
		if (before)
			before[level] = &links[level];
	}
	return links[0];
}

/* One in four entries reaches the next level. Drawn under the process's key: nobody can send names
 * that make the list flat. */
static uint8_t draw_height(struct retained *r)
{
	uint64_t bits = hash_mix(r->drawn++, (uint64_t)(uintptr_t)r);
	uint8_t height = 1;

	while (height < HEIGHT_MAX && (bits & 3) == 0) {
		bits >>= 2;
		height++;
	}
	return height;
}

/* ---- Entries ---- */

static struct entry *find(const struct retained *r, struct str name, uint64_t hash)
{
	struct map_node *n = map_first(&r->names, hash);

	while (n && !str_eq(entry_name(container_of(n, struct entry, by_name)), name))
		n = map_next(n);
	return n ? container_of(n, struct entry, by_name) : NULL;
}

static void count_in(struct retained *r, struct entry *e)
{
	size_t cost = entry_cost(e->m);

	r->bytes += cost;
	r->mortal += e->m->expires_ms != 0;
	e->judged = 0;
	e->hidden = false;
	list_init(&e->mine);
	if (e->of) {
		e->of->retained++;
		e->of->retained_bytes += cost;
		list_add_tail(&e->of->entries, &e->mine);
		if (e->of->state == ACCOUNT_OVER)
			e->judged = e->of->version; /* it came since */
	}
}

/* e is nobody's then. */
static void count_out(struct retained *r, struct entry *e)
{
	size_t cost = entry_cost(e->m);

	r->bytes -= cost;
	r->mortal -= e->m->expires_ms != 0;
	list_del(&e->mine);
	if (e->of) {
		e->of->retained--;
		e->of->retained_bytes -= cost;
	}
	account_settle(&e->of);
}

static void entry_remove(struct retained *r, struct entry *e)
{
	struct entry **before[HEIGHT_MAX];

	MUST(seek(r, entry_name(e), before) == e); /* names are unique, and do not change */
	for (size_t level = 0; level < e->height; level++)
		*before[level] = e->next[level];
	if (r->hand == e)
		r->hand = e->next[0];
	map_del(&r->names, &e->by_name);
	count_out(r, e);
	msg_put(&e->m);
	mem_free(e);
	if (r->names.used > 64 && r->names.count < r->names.used / 8)
		map_trim(&r->names);
}

static int entry_add(struct retained *r, struct str name, uint64_t hash, struct msg *m,
                     struct account *of)
{
	struct entry **before[HEIGHT_MAX];
	uint8_t height = draw_height(r);
	struct entry *e = mem_alloc(sizeof(*e) + height * sizeof(struct entry *));

	if (!e)
		return -E_NOMEM;
	if (map_add(&r->names, &e->by_name, hash)) {
		mem_free(e);
		return -E_NOMEM;
	}
	seek(r, name, before);
	e->m = msg_get(m);
	e->of = of;
	e->skip = (uint8_t)(m->m.topic.n - name.n);
	e->height = height;
	for (size_t level = 0; level < height; level++) {
		e->next[level] = *before[level];
		*before[level] = e;
	}
	count_in(r, e);
	return 0;
}

/* ---- The store ---- */

int retained_new(struct retained **out, struct map *accounts)
{
	struct retained *r = mem_zalloc(sizeof(*r));

	if (!r)
		return -E_NOMEM;
	r->accounts = accounts;
	r->judging = true;
	retained_limit(r, LIMIT_NONE, LIMIT_NONE);
	*out = r;
	return 0;
}

void retained_free(struct retained **r)
{
	if (!*r)
		return;
	for (struct entry *e = (*r)->head[0], *next; e; e = next) {
		next = e->next[0];
		count_out(*r, e);
		msg_put(&e->m);
		mem_free(e);
	}
	map_free(&(*r)->names);
	mem_free(*r);
	*r = NULL;
}

void retained_limit(struct retained *r, int64_t count, int64_t bytes)
{
	r->most_count = count;
	r->most_bytes = bytes;
}

size_t retained_count(const struct retained *r)
{
	return r->names.count;
}

size_t retained_bytes(const struct retained *r)
{
	return r->bytes;
}

/* What gets smaller is always welcome, even after the limit was lowered. */
static bool bytes_fit(size_t have, size_t freed, size_t more, int64_t most)
{
	return more <= freed || (int64_t)(have - freed + more) <= most;
}

/* Would m, in the place of e (NULL: a new one), keep within the limits? */
static bool fits(const struct retained *r, const struct entry *e, const struct msg *m,
                 const struct account *of)
{
	size_t cost = entry_cost(m), freed = e ? entry_cost(e->m) : 0;
	bool own = e && e->of == of;

	if ((!e && (int64_t)r->names.count >= r->most_count) ||
	    !bytes_fit(r->bytes, freed, cost, r->most_bytes))
		return false;
	return !of ||
	       ((own || (int64_t)of->retained < of->most_retained) &&
	        bytes_fit(of->retained_bytes, own ? freed : 0, cost, of->most_retained_bytes));
}

static void replace(struct retained *r, struct entry *e, struct str name, struct msg *m,
                    struct account *of)
{
	msg_get(m); /* first: it may be the same one */
	if (of)
		of->retained++; /* or count_out could free it */
	count_out(r, e);
	if (of)
		of->retained--;
	msg_put(&e->m);
	e->m = m;
	e->of = of;
	e->skip = (uint8_t)(m->m.topic.n - name.n);
	count_in(r, e);
}

int retained_set(struct retained *r, struct str name, struct msg *m)
{
	uint64_t hash = hash_bytes(name.p, name.n);
	struct entry *e = find(r, name, hash);
	struct account *of = NULL;
	int err = 0;

	/* msg_name() of m: "customer/<id>/" has 30 bytes at most */
	MUST(name.n <= m->m.topic.n && m->m.topic.n - name.n <= UINT8_MAX);
	MUST(str_eq(str_skip(m->m.topic, m->m.topic.n - name.n), name));
	if (r->accounts && m->token) {
		of = account_get(r->accounts, m->token);
		if (!of)
			return -E_NOMEM;
	}
	if (!fits(r, e, m, of))
		err = -E_LIMIT;
	else if (e)
		replace(r, e, name, m, of);
	else
		err = entry_add(r, name, hash, m, of);
	if (err)
		account_settle(&of);
	return err;
}

bool retained_clear(struct retained *r, struct str name)
{
	struct entry *e = find(r, name, hash_bytes(name.p, name.n));

	if (!e)
		return false;
	entry_remove(r, e);
	return true;
}

size_t retained_drop(struct retained *r, struct account *a, size_t most,
                     void (*gone)(void *arg, struct msg *m), void *arg)
{
	size_t count = 0, all = a ? a->retained : r->names.count;

	for (; count < most && count < all; count++) {
		struct entry *e = a ? list_first(&a->entries, struct entry, mine) : r->head[0];

		gone(arg, e->m);
		entry_remove(r, e);
	}
	return count;
}

void retained_hide(struct retained *r, bool hide)
{
	r->hidden = hide;
}

void retained_judge(struct retained *r, bool judge)
{
	r->judging = judge;
}

/* May it be shown? Judged once for each change of its token's rights. */
static bool is_shown(struct retained *r, struct entry *e)
{
	struct account *a = e->of;

	if (r->hidden)
		return false;
	if (!a || a->state == ACCOUNT_FREE || !r->judging)
		return true;
	if (a->state == ACCOUNT_SOME && e->judged != a->version) {
		e->hidden = !rights_allow(a, entry_name(e), &r->cost);
		e->judged = a->version;
	}
	return a->state <= ACCOUNT_OVER && e->judged == a->version && !e->hidden;
}

bool retained_expires(const struct retained *r)
{
	return r->mortal > 0;
}

size_t retained_sweep(struct retained *r, int64_t wall_ms, size_t most)
{
	size_t count = 0;

	for (; most > 0 && r->mortal > 0; most--) {
		struct entry *e = r->hand ? r->hand : r->head[0];

		r->hand = e->next[0];
		if (msg_expired(e->m, wall_ms)) {
			entry_remove(r, e);
			count++;
		}
	}
	return count;
}

/* ---- Walking ---- */

/* the next match can be: the next name; not before `target`; nowhere */
enum onward { STEP, SEEK, NONE };

static enum onward to_target(struct buf *target, struct str head, struct str tail)
{
	buf_reset(target);
	buf_str_add(target, head);
	buf_str_add(target, tail);
	return SEEK;
}

/* Behind everything that begins with these bytes of the name and a slash: '0' is the byte after
 * '/'. 0: there is no `+` to count up. */
static enum onward past(struct buf *target, struct str name, size_t plus_end)
{
	return plus_end == SIZE_MAX ? NONE
	                            : to_target(target, str_make(name.p, plus_end), STR("0"));
}

/* A root wildcard may not reach this name. No name that it may reach lies between here and the end
 * of `$...`, or of `flespi/...`. */
static enum onward past_forbidden(struct buf *target, struct str name, bool deeper)
{
	if (name.p[0] == '$')
		return to_target(target, STR("%"), STR_NONE);
	return deeper ? to_target(target, STR("flespi0"), STR_NONE) : STEP;
}

/* The name goes on with `rest` after `before`, where the filter has another literal level, and goes
 * `deeper` or not. Is there something to come with this literal? */
static bool literal_ahead(struct buf *target, struct str before, struct str rest,
                          struct str literal, bool deeper)
{
	if (name_order(rest, literal) < 0) {
		to_target(target, before, literal);
		return true;
	}
	/* "a-b" is between "a" and "a/...": what lies below the literal is still to come. */
	if (deeper && str_starts(rest, literal) && (uint8_t)rest.p[literal.n] < '/') {
		to_target(target, before, literal);
		buf_u8(target, '/');
		return true;
	}
	return false;
}

/* Where to go on from a name that does not match f. Every target is later than the name, and no
 * match lies between them. */
static enum onward passed_over(struct filter f, struct str name, struct buf *target)
{
	struct levels lf = levels_of(f.text), ln = levels_of(name);
	/* where the name's level ends that the filter's last `+` stands for */
	size_t plus_end = SIZE_MAX;
	bool first = true;
	struct str wanted, level;

	for (; levels_next(&lf, &wanted); first = false) {
		bool wild = str_eq(wanted, STR("+")) || str_eq(wanted, STR("#"));
		size_t at;

		if (!levels_next(&ln, &level))
			return STEP; /* too short: longer ones follow it, but not at once */
		at = (size_t)(level.p - name.p);
		if (wild && first && (name.p[0] == '$' || (topic_is_system(name) && !f.system)))
			return past_forbidden(target, name, ln.more);
		if (wild) {
			plus_end = at + level.n;
			continue;
		}
		if (str_eq(wanted, level))
			continue;
		if (literal_ahead(target, str_make(name.p, at), str_skip(name, at), wanted,
		                  lf.more))
			return SEEK;
		return past(target, name, plus_end);
	}
	return past(target, name, plus_end); /* too long, and so is all that lies below */
}

/* All names that f matches begin with this. */
static struct str fixed_part(struct str filter)
{
	size_t n = 0;

	while (n < filter.n && filter.p[n] != '+' && filter.p[n] != '#')
		n++;
	if (n < filter.n && filter.p[n] == '#' && n > 0)
		n--; /* "a/#" matches "a" */
	return str_make(filter.p, n);
}

/* The entry to look at after the one that was called `name`, which may be gone by now. */
static int after(struct retained *r, struct filter f, struct str name, struct buf *target,
                 struct entry **out)
{
	enum onward onward = topic_match(f, name) ? STEP : passed_over(f, name, target);
	struct entry *e = NULL;

	if (onward == SEEK && !buf_ok(target))
		return -E_NOMEM;
	if (onward != NONE)
		e = seek(r, onward == SEEK ? buf_str(target) : name, NULL);
	if (e && onward == STEP && str_eq(entry_name(e), name))
		e = e->next[0];
	*out = e;
	return 0;
}

static bool remember(struct retained_walk *w, const struct entry *e)
{
	buf_reset(&w->last);
	buf_str_add(&w->last, entry_name(e));
	w->started = true;
	return buf_ok(&w->last);
}

/* What a name costs that is looked at. The next one of one that does not match is searched: the
 * name is compared with the filter three times, with others in the skip list often. */
static size_t look_cost(struct str name, bool match)
{
	return match ? 2 + 2 * name.n / COMPARED : 10 + 6 * name.n / COMPARED;
}

static int walk_on(struct retained *r, struct filter f, struct retained_walk *w, struct buf *target,
                   size_t most, int64_t wall_ms, void (*visit)(void *arg, struct msg *m), void *arg)
{
	struct entry *e;

	if (!w->started)
		e = seek(r, fixed_part(f.text), NULL);
	else if (after(r, f, buf_str(&w->last), target, &e))
		return -E_NOMEM;
	for (r->cost = 0; e && most > 0 && r->cost + w->cost < WALK_MOST; most--) {
		struct entry *next = e->next[0];
		bool match = topic_match(f, entry_name(e));

		w->cost += look_cost(entry_name(e), match);
		if (!remember(w, e))
			return -E_NOMEM;
		if (msg_expired(e->m, wall_ms)) {
			entry_remove(r, e);
			w->cost += REMOVED;
		} else if (match && is_shown(r, e)) {
			visit(arg, e->m);
		}
		if (match)
			e = next;
		else if (after(r, f, buf_str(&w->last), target, &e))
			return -E_NOMEM;
	}
	w->done = !e;
	return 0;
}

int retained_walk(struct retained *r, struct filter f, struct retained_walk *w, size_t most,
                  int64_t wall_ms, void (*visit)(void *arg, struct msg *m), void *arg)
{
	struct buf target = { 0 };
	struct entry *e;
	int err;

	w->cost = 1;
	if (w->done)
		return 0;
	if (fixed_part(f.text).n == f.text.n) { /* no wildcard */
		w->started = w->done = true;
		e = find(r, f.text, hash_bytes(f.text.p, f.text.n));
		if (e && msg_expired(e->m, wall_ms))
			entry_remove(r, e);
		else if (e && is_shown(r, e))
			visit(arg, e->m);
		return 0;
	}
	err = walk_on(r, f, w, &target, most, wall_ms, visit, arg);
	buf_free(&target);
	return err;
}

void retained_walk_end(struct retained_walk *w)
{
	buf_free(&w->last);
	*w = (struct retained_walk){ .done = true };
}
