/* core_sticky.c - flespi's sticky shared subscriptions: which names of groups mean them, and that
 * keys stay where they are. */
#include "tests/unit/core_help.h"

#include "core/sticky.h"

enum { KEYS = 10000 };

/* ---- Names of groups ---- */

static void is_sticky(const char *group, unsigned from, unsigned count)
{
	struct sticky s = sticky_of(str_c(group));

	IS(s.from, from);
	IS(s.count, count);
}

static void a_name_and_one_or_two_numbers_are_sticky(void)
{
	is_sticky("g:1", 0, 1);
	is_sticky("workers:3", 0, 3);
	is_sticky("g:2:3", 2, 3);
	is_sticky("g:0:128", 0, 128);
	is_sticky("5:2", 0, 2);
}

static void anything_else_is_a_name_like_any_other(void)
{
	static const char *const names[] = { "g",      ":1",     "g:",    "g:0",    "g:2:0",
		                             "g:129",  "g:x",    "g:1x",  "g:-1",   "g:+1",
		                             "g: 1",   "g:1:",   "g::1",  "g:x:1",  "g:1:2:3",
		                             "g:1:x",  "::",     "a:b:2", "g:9:9:", "",
		                             "g:1000", "g:1:999" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		is_sticky(names[i], 0, 0);
}

/* ---- Keys ---- */

static void the_key_is_made_of_the_named_levels_only(void)
{
	struct sticky first = { 0, 2 }, second = { 1, 1 };

	YES(sticky_key(first, STR("a/b/c")) == sticky_key(first, STR("a/b/d/e")));
	YES(sticky_key(first, STR("a/b/c")) != sticky_key(first, STR("a/c/c")));
	YES(sticky_key(first, STR("ab/c")) != sticky_key(first, STR("a/bc")));
	YES(sticky_key(first, STR("a")) != sticky_key(first, STR("a/")));
	YES(sticky_key(second, STR("a/b/c")) == sticky_key(second, STR("x/b")));
	YES(sticky_key(second, STR("a")) == sticky_key(second, STR("b")));
}

static unsigned owner(unsigned key, unsigned members, unsigned gone)
{
	char name[24], id[24];
	uint64_t best = 0, k;
	unsigned who = UINT32_MAX;

	(void)snprintf(name, sizeof(name), "dev/%u/x", key);
	k = sticky_key((struct sticky){ 1, 1 }, str_c(name));
	for (unsigned i = 0; i < members; i++) {
		uint64_t weight;

		(void)snprintf(id, sizeof(id), "worker-%u", i);
		weight = sticky_weight(k, str_c(id));
		if (i != gone && (who == UINT32_MAX || weight > best)) {
			best = weight;
			who = i;
		}
	}
	return who;
}

static void a_member_that_joins_takes_its_part_and_nothing_else_moves(void)
{
	unsigned moved = 0;

	for (unsigned key = 0; key < KEYS; key++) {
		unsigned before = owner(key, 7, UINT32_MAX), after = owner(key, 8, UINT32_MAX);

		if (before == after)
			continue;
		IS(after, 7);
		moved++;
	}
	YES(moved > KEYS / 8 * 9 / 10 && moved < KEYS / 8 * 11 / 10);
}

static void a_member_that_leaves_gives_its_part_to_all_others(void)
{
	unsigned got[8] = { 0 };

	for (unsigned key = 0; key < KEYS; key++) {
		unsigned before = owner(key, 8, UINT32_MAX), after = owner(key, 8, 3);

		if (before == 3)
			got[after]++;
		else
			IS(after, before);
	}
	for (unsigned i = 0; i < 8; i++)
		YES(i == 3 ? got[i] == 0 : got[i] > KEYS / 56 / 2 && got[i] < KEYS / 56 * 2);
}

static void parts_are_fair(void)
{
	unsigned got[10] = { 0 };

	for (unsigned key = 0; key < KEYS; key++)
		got[owner(key, 10, UINT32_MAX)]++;
	for (unsigned i = 0; i < 10; i++)
		YES(got[i] > KEYS / 10 * 85 / 100 && got[i] < KEYS / 10 * 115 / 100);
}

/* ---- In the core ---- */

static struct client a, b, p;

static void begin(bool extensions)
{
	uint8_t opts = (uint8_t)(1 | (extensions ? LINK_EXTENDED : 0));

	world_begins();
	a.n = b.n = p.n = 0;
	OPEN(&p, .id = "p");
	OPEN(&a, .id = "a", .expiry = 60);
	OPEN(&b, .id = "b", .expiry = 60);
	SUBBED(&a, "$share/g:2/t/#", .opts = opts, .inner = { "t/#" });
	SUBBED(&b, "$share/g:2/t/#", .opts = opts, .inner = { "t/#" });
}

static void end(void)
{
	struct client *all[] = { &a, &b, &p };

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (all[i]->port.session)
			session_close(&all[i]->port, LINK_CLOSE_EXPIRY, 0);
	}
	world_ends();
}

/* who gets it: 'a', 'b', '2' for both, '-' for nobody */
static char gets(const char *topic, uint8_t qos)
{
	char who;

	a.n = b.n = 0;
	PUB(&p, topic, "x", qos, qos ? 9 : 0);
	who = a.n && b.n ? '2' : a.n ? 'a' : b.n ? 'b' : '-';
	if (qos && a.n)
		ACK(&a, PUBACK, (uint16_t)(a.port.session->next_id - 1));
	if (qos && b.n)
		ACK(&b, PUBACK, (uint16_t)(b.port.session->next_id - 1));
	return who;
}

static void the_same_levels_go_to_the_same_member(void)
{
	unsigned of_a = 0;
	char topic[32];

	begin(true);
	for (unsigned key = 0; key < 40; key++) {
		char who = 0;

		for (unsigned i = 0; i < 4; i++) {
			(void)snprintf(topic, sizeof(topic), "t/%u/%u", key, i);
			who = who ? who : gets(topic, 0);
			IS(gets(topic, i & 1), who);
		}
		of_a += who == 'a';
	}
	YES(of_a > 8 && of_a < 32);
	end();
}

static const char *topic_of(char who)
{
	static char topic[32];

	for (unsigned key = 0; key < 100; key++) {
		(void)snprintf(topic, sizeof(topic), "t/%u", key);
		if (gets(topic, 0) == who)
			return topic;
	}
	return NULL;
}

static void who_is_slow_keeps_its_part_and_who_is_away_does_not(void)
{
	const char *topic;

	begin(true);
	topic = topic_of('a');
	YES(topic);
	session_pause(&a.port);
	IS(gets(topic, 1), '-');
	IS(a.port.session->queue_count, 1);
	session_resume(&a.port);
	IS_STR(said(&a).n ? STR("it") : STR("nothing"), "it");
	session_close(&a.port, 0, 0);
	IS(gets(topic, 1), 'b');
	OPEN(&a, .id = "a", .expiry = 60);
	IS(gets(topic, 0), 'a');
	end();
}

static void without_the_extension_a_colon_is_a_letter(void)
{
	begin(false);
	for (unsigned i = 0; i < 10; i++)
		IS(gets("t/1", 0), i & 1 ? 'b' : 'a');
	end();
}

RUN(a_name_and_one_or_two_numbers_are_sticky, anything_else_is_a_name_like_any_other,
    the_key_is_made_of_the_named_levels_only,
    a_member_that_joins_takes_its_part_and_nothing_else_moves,
    a_member_that_leaves_gives_its_part_to_all_others, parts_are_fair,
    the_same_levels_go_to_the_same_member, who_is_slow_keeps_its_part_and_who_is_away_does_not,
    without_the_extension_a_colon_is_a_letter)
