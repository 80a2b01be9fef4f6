/* core_rights.c - what RIGHTS does to retained messages and Wills (attacks C02, C03, O3): disabling
 * hides, deleting removes, enabling shows again; against a plain array and topic_match(). */
#include "tests/unit/core_help.h"

#include "core/rights.h"

static struct client a, b, w;
static bool no_memory; /* while RIGHTS is heard */

static void begin(void)
{
	world_begins();
	a.n = b.n = w.n = 0;
	OPEN(&w, .id = "watch");
	SUBBED(&w, "#");
}

static void end(void)
{
	struct client *all[] = { &a, &b, &w };

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (all[i]->port.session)
			session_close(&all[i]->port, 0, 0);
	}
	world_ends();
}

/* filters: NULL-terminated; flags 0: RIGHTS with these filters. */
static bool say(uint8_t flags, uint64_t customer, uint64_t token, const char *const *filters)
{
	struct buf buf = { 0 };
	struct room room;
	struct link_rights r;
	size_t frame = 0;
	bool fine;

	if (flags) {
		link_rights_say(&buf, flags, customer, token);
	} else {
		frame = link_rights_begin(&buf, customer, token);
		for (; filters && *filters; filters++)
			link_rights_add(&buf, frame, inner(&room, *filters), false);
		link_end(&buf, frame);
	}
	MUST(link_rights_read(str_skip(buf_str(&buf), LINK_HEAD), &r));
	if (no_memory)
		mem_fail_at(1, true);
	fine = rights_apply(home, flags, &r);
	mem_fail_at(0, false);
	buf_free(&buf);
	return fine;
}
#define RIGHTS(token, ...) YES(say(0, 7, (token), (const char *const[]){ __VA_ARGS__, NULL }))
#define HIDDEN(token)      YES(say(LINK_RIGHTS_HIDDEN, 7, (token), NULL))
#define DELETED(token)     YES(say(LINK_RIGHTS_DELETED, 7, (token), NULL))
#define CUSTOMER(flags)    YES(say(LINK_RIGHTS_CUSTOMER | (flags), 7, 0, NULL))

/* ---- What a new subscriber of "#" is shown: "a b/c " ---- */
struct seen {
	char text[2000];
	size_t n;
};

static void see(void *arg, struct msg *m)
{
	struct seen *s = arg;

	s->n +=
	    (size_t)snprintf(s->text + s->n, sizeof(s->text) - s->n, "%.*s ", STR_ARG(msg_name(m)));
	MUST(s->n < sizeof(s->text));
}

static struct str seen(void)
{
	static struct seen s;
	struct retained_walk walk = { 0 };
	struct customer *c = customer_find(home, 7);

	s.n = 0;
	s.text[0] = '\0';
	while (c && !walk.done)
		IS(retained_walk(c->retained, (struct filter){ STR("#"), true }, &walk, 3,
		                 home_wall(home), see, &s),
		   0);
	retained_walk_end(&walk);
	return str_make(s.text, s.n);
}
#define SEEN(literal) IS_STR(seen(), literal)

static void two_retained_of_token_9(void)
{
	OPEN(&a, .id = "x", .token = 9);
	PUB(&a, "r/1", "1", LINK_RETAIN, 0);
	PUB(&a, "s/1", "2", LINK_RETAIN, 0);
}

/* ---- The rule ---- */
static void disabling_hides_and_enabling_shows_again(void)
{
	begin();
	two_retained_of_token_9();
	HIDDEN(9);
	SEEN("");
	IS(retained_count(customer_find(home, 7)->retained), 2);
	RIGHTS(9, "#");
	SEEN("r/1 s/1 ");
	end();
}

static void narrowing_hides_what_may_not_be_published_any_more(void)
{
	begin();
	two_retained_of_token_9();
	RIGHTS(9, "s/#");
	SEEN("s/1 ");
	YES(say(0, 7, 9, NULL));
	SEEN("");
	RIGHTS(9, "r/+", "x");
	SEEN("r/1 ");
	RIGHTS(9, "#");
	SEEN("r/1 s/1 ");
	end();
}

static void deleting_removes_for_good_in_slices(void)
{
	char name[20];

	begin();
	two_retained_of_token_9();
	for (unsigned i = 0; i < 600; i++) {
		(void)snprintf(name, sizeof(name), "t/%u", i);
		PUB(&a, name, "", LINK_RETAIN, 0); /* empty: clears nothing */
		PUB(&a, name, "x", LINK_RETAIN, 0);
		w.n = 0;
	}
	w.n = 0;
	OPEN(&b, .id = "y", .token = 8);
	PUB(&b, "u", "8", LINK_RETAIN, 0);
	DELETED(9);
	SEEN("u ");
	loop_turn(home->loop, 0);
	YES(retained_count(customer_find(home, 7)->retained) > 300);
	for (unsigned i = 0; i < 5; i++)
		turn();
	IS(retained_count(customer_find(home, 7)->retained), 1);
	IS(home->counters.retained_purged, 602);
	RIGHTS(9, "#");
	SEEN("u ");
	end();
}

static void what_a_deleted_token_left_is_gone_with_its_customer(void)
{
	begin();
	two_retained_of_token_9();
	DELETED(9);
	session_close(&a.port, 0, 0);
	session_close(&w.port, 0, 0);
	turn();
	turn();
	YES(!customer_find(home, 7));
	end();
}

static void blocking_hides_all_and_unblocking_shows_what_was_shown(void)
{
	begin();
	two_retained_of_token_9();
	OPEN(&b, .id = "y", .token = 8);
	PUB(&b, "u", "8", LINK_RETAIN, 0);
	HIDDEN(8);
	CUSTOMER(LINK_RIGHTS_HIDDEN);
	SEEN("");
	CUSTOMER(0);
	SEEN("r/1 s/1 ");
	RIGHTS(8, "#");
	SEEN("r/1 s/1 u ");
	end();
}

static void who_is_let_in_shows_that_its_customer_is_not_blocked(void)
{
	begin();
	two_retained_of_token_9();
	CUSTOMER(LINK_RIGHTS_HIDDEN);
	OPEN(&b, .id = "y", .token = 8);
	SEEN("r/1 s/1 ");
	end();
}

static void a_deleted_customer_leaves_nothing(void)
{
	begin();
	two_retained_of_token_9();
	CUSTOMER(LINK_RIGHTS_DELETED);
	CUSTOMER(0);
	SEEN("");
	turn();
	turn();
	IS(retained_count(customer_find(home, 7)->retained), 0);
	PUB(&a, "r/2", "1", LINK_RETAIN, 0);
	CUSTOMER(0);
	SEEN("r/2 ");
	end();
}

static void the_proxy_is_asked_for_rights_that_are_known_as_less_than_all(void)
{
	begin();
	two_retained_of_token_9();
	NO(a.port.tell_rights);
	HIDDEN(9);
	OPEN(&b, .id = "y", .token = 9);
	YES(b.port.tell_rights);
	SEEN("");
	RIGHTS(9, "#");
	session_close(&b.port, 0, 0);
	OPEN(&b, .id = "y", .token = 9);
	NO(b.port.tell_rights);
	end();
}

static void what_is_published_after_a_token_was_used_again_is_shown(void)
{
	struct link_token nine = { .token = 9 };

	begin();
	two_retained_of_token_9();
	HIDDEN(9);
	OPEN(&b, .id = "y", .token = 8);
	session_token(&b.port, &nine);
	PUB(&b, "r/2", "1", LINK_RETAIN, 0);
	SEEN("r/2 ");
	end();
}

static void without_room_what_was_there_is_hidden_and_what_comes_is_shown(void)
{
	begin();
	two_retained_of_token_9();
	config.rights_bytes = 100;
	RIGHTS(9, "s/#");
	SEEN("");
	IS(home->counters.rights_over, 1);
	PUB(&a, "s/2", "1", LINK_RETAIN, 0);
	SEEN("s/2 ");
	config.rights_bytes = 1 << 20;
	RIGHTS(9, "s/#");
	SEEN("s/1 s/2 ");
	end();
}

static void without_memory_nothing_is_shown_that_may_not_be(void)
{
	begin();
	two_retained_of_token_9();
	no_memory = true;
	RIGHTS(9, "s/#");
	no_memory = false;
	SEEN("");
	RIGHTS(9, "s/#");
	SEEN("s/1 ");
	end();
}

/* ---- F: what it costs ---- */
enum { MANY_NAMES = 4000, MANY_FILTERS = 400 };

static const char *const *many_filters(void)
{
	static char text[MANY_FILTERS][16];
	static const char *list[MANY_FILTERS + 1];

	for (unsigned i = 0; i < MANY_FILTERS; i++) {
		(void)snprintf(text[i], sizeof(text[i]), "t/%u/#", i);
		list[i] = text[i];
	}
	return list;
}

/* RIGHTS itself walks no message, and no message is compared with each grant when it is shown. */
static void rights_over_many_retained_messages_cost_what_their_filters_do(void)
{
	char name[20];
	uint64_t before;
	struct retained_walk walk = { 0 };
	static struct seen s;

	begin();
	OPEN(&a, .id = "x", .token = 9);
	for (unsigned i = 0; i < MANY_NAMES; i++) {
		(void)snprintf(name, sizeof(name), "t/%u", i);
		PUB(&a, name, "x", LINK_RETAIN, 0);
		w.n = 0;
	}
	before = home->spent;
	YES(say(0, 7, 9, many_filters()));
	YES(home->spent - before <= 2 * MANY_FILTERS);
	before = home->spent;
	HIDDEN(9);
	DELETED(8);
	YES(home->spent - before < 10);
	YES(say(0, 7, 9, many_filters()));
	before = home->spent;
	while (!walk.done) {
		s.n = 0;
		IS(retained_walk(customer_find(home, 7)->retained,
		                 (struct filter){ STR("#"), true }, &walk, 100, home_wall(home),
		                 see, &s),
		   0);
	}
	retained_walk_end(&walk);
	YES(home->spent - before < MANY_FILTERS * 60 + MANY_NAMES * 10);
	end();
}

static void a_customer_may_want_to_keep_all(void)
{
	begin();
	retained_judge(customer_find(home, 7)->retained, false);
	config.retained_of_revoked = REVOKED_KEEP;
	two_retained_of_token_9();
	HIDDEN(9);
	SEEN("r/1 s/1 ");
	DELETED(9);
	turn();
	SEEN("r/1 s/1 ");
	end();
}

static void rights_outside_the_customer_are_nonsense(void)
{
	begin();
	NO(say(0, 7, 9, (const char *const[]){ "/customer/8/#", NULL }));
	NO(say(0, 7, 9, (const char *const[]){ "a#", NULL }));
	NO(say(0, 7, 0, NULL));
	NO(say(0, 0, 9, NULL));
	NO(say(LINK_RIGHTS_CUSTOMER, 7, 9, NULL));
	NO(say(LINK_RIGHTS_HIDDEN | LINK_RIGHTS_DELETED, 7, 9, NULL));
	YES(say(LINK_RIGHTS_HIDDEN, 99, 9, NULL));
	end();
}

/* ---- Wills ---- */
static void waiting_will(struct client *c, const char *id, const char *topic, uint64_t token)
{
	OPEN(c, .id = id, .will = topic, .expiry = 60, .delay = 10, .token = token);
	session_close(&c->port, LINK_CLOSE_WILL, 0);
}

static void a_waiting_will_is_judged_when_it_is_sent(void)
{
	begin();
	waiting_will(&a, "x", "w/1", 9);
	waiting_will(&b, "y", "v", 8);
	RIGHTS(9, "w/+");
	HIDDEN(8);
	later(11000);
	SAID(&w, "w/1=bye q0");
	IS(home->counters.wills_dropped, 1);
	end();
}

static void a_will_of_a_token_that_was_deleted_is_not_sent(void)
{
	begin();
	waiting_will(&a, "x", "w/1", 9);
	waiting_will(&b, "y", "w/2", 8);
	YES(say(0, 7, 9, NULL));
	DELETED(8);
	turn();
	later(11000);
	SAID(&w, "");
	IS(home->counters.wills_dropped, 2);
	end();
}

static void a_token_that_is_enabled_in_time_has_its_will_sent(void)
{
	begin();
	waiting_will(&a, "x", "w/1", 9);
	HIDDEN(9);
	RIGHTS(9, "#");
	CUSTOMER(LINK_RIGHTS_HIDDEN);
	CUSTOMER(0);
	later(11000);
	SAID(&w, "w/1=bye q0");
	end();
}

static void no_will_of_a_blocked_customer_is_sent(void)
{
	begin();
	waiting_will(&a, "x", "w/1", 9);
	CUSTOMER(LINK_RIGHTS_HIDDEN);
	later(11000);
	SAID(&w, "");
	end();
}

static void with_another_token_only_that_one_counts(void)
{
	struct link_token nine = { .token = 9, .rights_until = 0 };

	begin();
	OPEN(&a, .id = "x", .will = "w", .token = 8, .rights_until = 1);
	PUB(&a, "r/8", "1", LINK_RETAIN, 0);
	session_token(&a.port, &nine);
	PUB(&a, "r/9", "2", LINK_RETAIN, 0);
	w.n = 0;
	HIDDEN(8);
	SEEN("r/9 ");
	session_close(&a.port, LINK_CLOSE_WILL, 0);
	SAID(&w, "w=bye q0");
	HIDDEN(9);
	SEEN("");
	end();
}

/* ---- Against a plain array ---- */
enum { TOKENS = 3, NAMES = 12, FILTERS = 8 };
static const char *const names[NAMES] = { "a",   "a/b", "a/b/c", "a-b", "b",   "b/c",
	                                  "b/d", "c",   "c/a/b", "e",   "e/a", "d" };
static const char *const filters[FILTERS] = {
	"a/#", "+", "b/+", "#", "e/+", "+/b/#", "d", "c/+/b"
};

static const char *const client_ids[TOKENS] = { "0", "1", "2" };

struct oracle {
	unsigned token[NAMES]; /* who has one under this name; TOKENS: nobody */
	unsigned set[TOKENS];  /* bit per filter; the highest: all */
	bool hidden[TOKENS], blocked;
};
enum { ALL = 1u << FILTERS };

static bool oracle_shows(const struct oracle *o, unsigned name)
{
	unsigned t = o->token[name];

	if (t == TOKENS || o->blocked || o->hidden[t])
		return false;
	for (unsigned f = 0; f < FILTERS; f++) {
		if ((o->set[t] & 1u << f) &&
		    topic_match((struct filter){ str_c(filters[f]), false }, str_c(names[name])))
			return true;
	}
	return o->set[t] & ALL;
}

static bool oracle_holds(const struct oracle *o)
{
	struct str found = seen();
	char expected[2000] = " ", all[2100];

	(void)snprintf(all, sizeof(all), " %.*s", STR_ARG(found));
	for (unsigned i = 0; i < NAMES; i++) {
		(void)snprintf(expected, sizeof(expected), " %s ", names[i]);
		if (oracle_shows(o, i) != (strstr(all, expected) != NULL)) {
			(void)fprintf(stderr, "%s: shown=%d all=%s\n", names[i],
			              !oracle_shows(o, i), all);
			return false;
		}
	}
	return true;
}

static bool has_any(const struct oracle *o, unsigned token)
{
	for (unsigned i = 0; i < NAMES; i++) {
		if (o->token[i] == token)
			return true;
	}
	return false;
}

static void oracle_rights(struct oracle *o, unsigned t, unsigned set)
{
	const char *chosen[FILTERS + 1] = { NULL };
	unsigned n = 0;

	for (unsigned f = 0; f < FILTERS; f++) {
		if (set & 1u << f)
			chosen[n++] = filters[f];
	}
	YES(say(0, 7, t + 1, chosen));
	o->hidden[t] = false;
	o->set[t] = has_any(o, t) ? set : ALL;
}

static void oracle_delete(struct oracle *o, struct client clients[TOKENS], unsigned t)
{
	DELETED(t + 1);
	session_close(&clients[t].port, 0, 0);
	clients[t].n = 0;
	OPEN(&clients[t], .id = client_ids[t], .token = t + 1); /* an id that came again */
	o->blocked = false;
	for (unsigned i = 0; i < NAMES; i++) {
		if (o->token[i] == t)
			o->token[i] = TOKENS;
	}
	o->hidden[t] = false;
	o->set[t] = ALL;
}

/* The tokens' clients stay connected: their accounts are there all the time. */
static void oracle_publish(struct oracle *o, struct client clients[TOKENS], unsigned t, unsigned i,
                           bool clear)
{
	PUB(&clients[t], names[i], clear ? "" : "x", LINK_RETAIN, 0);
	o->token[i] = clear ? TOKENS : t;
}

static void oracle_step(struct oracle *o, struct client clients[TOKENS], uint64_t random)
{
	unsigned t = random % TOKENS, i = (random >> 8) % NAMES;

	switch ((random >> 16) % 12) {
	case 0:
	case 1:
		oracle_rights(o, t, (unsigned)(random >> 24) % ALL);
		break;
	case 2:
		HIDDEN(t + 1);
		o->hidden[t] = true;
		break;
	case 3:
		if ((random >> 24) % 4 == 0)
			oracle_delete(o, clients, t);
		break;
	case 4:
		o->blocked = (random >> 24) & 1;
		CUSTOMER(o->blocked ? LINK_RIGHTS_HIDDEN : 0);
		break;
	case 5:
		turn();
		break;
	default:
		oracle_publish(o, clients, t, i, (random >> 24) % 4 == 0);
	}
}

static void any_order_of_changes_shows_what_the_last_word_allows(void)
{
	static struct client clients[TOKENS];
	struct oracle o = { .set = { ALL, ALL, ALL } };
	uint64_t random = 1;

	begin();
	for (unsigned i = 0; i < NAMES; i++)
		o.token[i] = TOKENS;
	for (unsigned t = 0; t < TOKENS; t++) {
		clients[t].n = 0;
		OPEN(&clients[t], .id = client_ids[t], .token = t + 1);
	}
	for (unsigned round = 0; round < 20000; round++) {
		random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		oracle_step(&o, clients, random >> 20);
		w.n = 0;
		if (!oracle_holds(&o)) {
			YES(false);
			break;
		}
	}
	YES(customer_find(home, 7)->rights_bytes < 100000);
	for (unsigned t = 0; t < TOKENS; t++)
		session_close(&clients[t].port, 0, 0);
	end();
}

RUN(disabling_hides_and_enabling_shows_again, narrowing_hides_what_may_not_be_published_any_more,
    deleting_removes_for_good_in_slices, what_a_deleted_token_left_is_gone_with_its_customer,
    blocking_hides_all_and_unblocking_shows_what_was_shown,
    who_is_let_in_shows_that_its_customer_is_not_blocked, a_deleted_customer_leaves_nothing,
    the_proxy_is_asked_for_rights_that_are_known_as_less_than_all,
    what_is_published_after_a_token_was_used_again_is_shown,
    without_room_what_was_there_is_hidden_and_what_comes_is_shown,
    without_memory_nothing_is_shown_that_may_not_be,
    rights_over_many_retained_messages_cost_what_their_filters_do, a_customer_may_want_to_keep_all,
    rights_outside_the_customer_are_nonsense, a_waiting_will_is_judged_when_it_is_sent,
    a_will_of_a_token_that_was_deleted_is_not_sent,
    a_token_that_is_enabled_in_time_has_its_will_sent, no_will_of_a_blocked_customer_is_sent,
    with_another_token_only_that_one_counts, any_order_of_changes_shows_what_the_last_word_allows)
