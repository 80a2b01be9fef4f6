/* SipHash, the intrusive table, the intrusive list. */
#include "base/base.h"
#include "tests/kit/kit.h"

#include "base/hash.h"
#include "base/list.h"

static uint64_t sip(size_t n)
{
	uint8_t bytes[64] = { 0 };

	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)i;
	return hash_sip13(0x0706050403020100, 0x0f0e0d0c0b0a0908, guard_put(bytes, n), n);
}

/* Key 00..0f, message 00..n-1; values of CPython's and Rust's SipHash-1-3. */
static void hashing_agrees_with_known_values(void)
{
	YES(sip(0) == 0xabac0158050fc4dcu);
	YES(sip(1) == 0xc9f49bf37d57ca93u);
	YES(sip(2) == 0x82cb9b024dc7d44du);
	YES(sip(3) == 0x8bf80ab8e7ddf7fbu);
	YES(sip(7) == 0xd3927d989bb11140u);
	YES(sip(8) == 0x369095118d299a8eu);
	YES(sip(15) == 0xd320d86d2a519956u);
	YES(sip(16) == 0xcc4fdd1a7d908b66u);
}

static void another_key_gives_another_hash(void)
{
	uint64_t a = hash_bytes("abc", 3), mixed = hash_mix(1, 2);

	YES(a == hash_bytes("abc", 3));
	YES(mixed != hash_mix(2, 1));
	hash_start_with(1, 2);
	YES(a != hash_bytes("abc", 3));
	YES(mixed != hash_mix(1, 2));
	hash_start_with(0x0706050403020100, 0x0f0e0d0c0b0a0908);
	YES(a == hash_bytes("abc", 3));
	hash_start(); /* has a key already: keeps it */
	YES(a == hash_bytes("abc", 3));
}

static void mixing_is_hashing_both_numbers(void)
{
	uint64_t both[2] = { 7, UINT64_MAX };

	YES(hash_mix(7, UINT64_MAX) == hash_bytes(both, sizeof(both)));
	YES(hash_bytes(NULL, 0) == hash_bytes("", 0));
}

/* ---- The table ---- */
struct thing {
	struct map_node node;
	unsigned key;
	bool in, met;
};

static struct thing *find(const struct map *m, uint64_t hash, unsigned key)
{
	for (struct map_node *n = map_first(m, hash); n; n = map_next(n)) {
		struct thing *t = container_of(n, struct thing, node);

		if (t->key == key)
			return t;
	}
	return NULL;
}

static void an_empty_table_has_nothing(void)
{
	struct map m = { 0 };
	unsigned met = 0;

	YES(map_first(&m, 1) == NULL);
	map_each(n, &m)
		met += n != NULL;
	IS(met, 0);
	map_trim(&m);
	map_free(&m);
}

static void nodes_of_one_hash_are_told_apart_by_the_caller(void)
{
	struct map m = { 0 };
	struct thing a = { .key = 1 }, b = { .key = 2 }, other = { .key = 1 };

	IS(map_add(&m, &a.node, 77), 0);
	IS(map_add(&m, &b.node, 77), 0);
	IS(map_add(&m, &other.node, 77 + 8), 0); /* the same bucket */
	YES(find(&m, 77, 1) == &a);
	YES(find(&m, 77, 2) == &b);
	YES(find(&m, 77, 3) == NULL);
	map_del(&m, &a.node);
	YES(find(&m, 77, 1) == NULL);
	YES(find(&m, 77 + 8, 1) == &other);
	IS(m.count, 2);
	map_free(&m);
}

static void the_table_agrees_with_an_array(void)
{
	enum { COUNT = 3000, ROUNDS = 40000 };
	static struct thing things[COUNT];
	struct map m = { 0 };
	size_t count = 0, met = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned k = (unsigned)any_below(COUNT);
		uint64_t hash = hash_mix(k % 1000, 0); /* three keys share each hash */
		struct thing *t = &things[k];

		t->key = k;
		YES(find(&m, hash, k) == (t->in ? t : NULL));
		if (t->in)
			map_del(&m, &t->node);
		else
			IS(map_add(&m, &t->node, hash), 0);
		count += t->in ? (size_t)-1 : 1;
		t->in = !t->in;
		IS(m.count, count);
		if (round % 5000 == 0)
			map_trim(&m);
	}
	map_each(n, &m) {
		struct thing *t = container_of(n, struct thing, node);

		YES(t->in && !t->met);
		t->met = true;
		met++;
	}
	IS(met, count);
	map_free(&m);
}

static void a_walk_may_delete_what_it_stands_on(void)
{
	enum { COUNT = 100 };
	static struct thing things[COUNT];
	struct map m = { 0 };
	unsigned met = 0;

	for (unsigned i = 0; i < COUNT; i++)
		IS(map_add(&m, &things[i].node, hash_mix(i % 30, 0)), 0);
	map_each(n, &m) {
		map_del(&m, n);
		memset(n, 0xff, sizeof(*n));
		met++;
	}
	IS(met, COUNT);
	IS(m.count, 0);
	map_free(&m);
}

static void trimming_gives_memory_back(void)
{
	enum { COUNT = 1000 };
	static struct thing things[COUNT];
	struct map m = { 0 };

	for (unsigned i = 0; i < COUNT; i++)
		IS(map_add(&m, &things[i].node, hash_mix(i, 0)), 0);
	IS(m.used, COUNT);
	for (unsigned i = 10; i < COUNT; i++)
		map_del(&m, &things[i].node);
	IS(m.used, COUNT);
	map_trim(&m);
	YES(m.used < 64);
	YES(m.mask < 64);
	for (unsigned i = 0; i < 10; i++) {
		YES(map_first(&m, things[i].node.hash) == &things[i].node);
		map_del(&m, &things[i].node);
	}
	map_trim(&m);
	YES(m.bucket == NULL);
}

/* All nodes are found at every size, on the way up and down; a step moves those of a bucket or two,
 * never all (attack I38). */
static void a_table_grows_and_shrinks_by_a_bucket_at_a_time(void)
{
	enum { COUNT = 3000 };
	static struct thing things[COUNT];
	struct map m = { 0 };

	for (unsigned i = 0; i < COUNT; i++) {
		size_t used = m.used;

		IS(map_add(&m, &things[i].node, hash_mix(i, 0)), 0);
		YES(i == 0 || m.used - used <= 1);
		YES(m.used >= m.count);
		for (unsigned k = 0; k <= i; k += 1 + i / 16)
			YES(map_first(&m, things[k].node.hash) == &things[k].node);
	}
	for (unsigned i = COUNT; i-- > 1;) {
		size_t used = m.used;

		map_del(&m, &things[i].node);
		map_trim(&m);
		YES(used - m.used <= 8);
		YES(m.used <= 8 || m.used <= 4 * m.count);
		YES(m.used > m.mask / 2 && m.used <= m.mask + 1);
		for (unsigned k = 0; k < i; k += 1 + i / 16)
			YES(map_first(&m, things[k].node.hash) == &things[k].node);
	}
	map_del(&m, &things[0].node);
	map_trim(&m);
}

static void only_the_first_memory_is_needed(void)
{
	enum { COUNT = 100 };
	static struct thing things[COUNT];
	struct map m = { 0 };

	mem_fail_at(1, true);
	IS(map_add(&m, &things[0].node, 5), -E_NOMEM);
	IS(m.count, 0);
	mem_fail_at(2, true); /* it cannot grow: slower, not broken */
	for (unsigned i = 0; i < COUNT; i++)
		IS(map_add(&m, &things[i].node, i), 0);
	map_trim(&m);
	mem_fail_at(0, false);
	IS(m.used, 8);
	for (unsigned i = 0; i < COUNT; i++)
		YES(map_first(&m, i) == &things[i].node);
	map_free(&m);
}

static void deleting_what_is_not_there_is_our_own_mistake(void)
{
	struct map m = { 0 };
	struct thing a = { .key = 1 }, b = { .key = 2 };

	DIES(map_del(&m, &a.node));
	IS(map_add(&m, &a.node, 1), 0);
	b.node.hash = 1;
	DIES(map_del(&m, &b.node));
	map_free(&m);
}

/* ---- The list ---- */
struct item {
	struct list node;
	int n;
};

static void a_list_keeps_its_order_and_lets_go_while_walked(void)
{
	struct list head;
	struct item items[4], *item;
	int seen = 0;

	list_init(&head);
	YES(list_empty(&head));
	YES(list_first(&head, struct item, node) == NULL);
	for (int i = 0; i < 3; i++) {
		items[i].n = i + 1;
		list_add_tail(&head, &items[i].node);
	}
	items[3].n = 0;
	list_add_head(&head, &items[3].node);
	YES(list_first(&head, struct item, node) == &items[3]);
	list_each(item, &head, struct item, node) {
		seen = seen * 10 + item->n;
		if (item->n == 2)
			list_del(&item->node);
	}
	IS(seen, 123);
	YES(list_empty(&items[1].node));
	list_del(&items[1].node); /* twice is harmless */
	seen = 0;
	list_each(item, &head, struct item, node)
		seen = seen * 10 + item->n;
	IS(seen, 13);
}

RUN(hashing_agrees_with_known_values, another_key_gives_another_hash,
    mixing_is_hashing_both_numbers, an_empty_table_has_nothing,
    nodes_of_one_hash_are_told_apart_by_the_caller, the_table_agrees_with_an_array,
    a_walk_may_delete_what_it_stands_on, trimming_gives_memory_back,
    a_table_grows_and_shrinks_by_a_bucket_at_a_time, only_the_first_memory_is_needed,
    deleting_what_is_not_there_is_our_own_mistake, a_list_keeps_its_order_and_lets_go_while_walked)
