/* proxy_stage.h - what stands around the proxy in tests/fuzz/proxy_packets.c: clocks that only move
 * when told, an authentication that answers when told, and tokens whose rights change when told.
 * The functions here take the place of proxy/auth*.c and base/clock.c: everything else is the real
 * one, in one thread. */
#pragma once
#include "base/base.h"

#include "base/clock.h"
#include "base/mem.h"
#include "proxy/auth.h"
#include "proxy/badge.h"
#include "wire/mqtt.h"

/* ---- Clocks ---- */

static int64_t stage_now = 1000000;

int64_t clock_mono_ms(void)
{
	return stage_now;
}

int64_t clock_mono_us(void)
{
	return stage_now * 1000;
}

int64_t clock_thread_us(void)
{
	return clock_mono_us();
}

int64_t clock_wall_ms(void)
{
	return INT64_C(1700000000000) + stage_now;
}

void clock_shift(int64_t mono_ms, int64_t wall_ms)
{
	(void)wall_ms;
	stage_now += mono_ms;
}

/* ---- Tokens: two of customer 7, one of customer 8; each may much, little, or nothing any more
 * ---- */

enum { TOKENS = 3, RIGHTS = 3, NOTHING = 2 };

static unsigned stage_told; /* refusals asked about: every third is the first of its kind */

static struct stage_token {
	struct token token;
	struct verdict verdict[RIGHTS];
	unsigned rights, refs, given; /* given: how many were let in with it */
	uint64_t customer, id;
} stage_tokens[TOKENS] = { { .customer = 7, .id = 70 },
	                   { .customer = 7, .id = 71 },
	                   { .customer = 8, .id = 80 } };

static const char *const stage_access[RIGHTS] = {
	"{\"type\":2,\"acl\":[{\"uri\":\"mqtt\",\"topic\":\"a/"
	"#\",\"actions\":[\"publish\",\"subscribe\"]},"
	"{\"uri\":\"mqtt\",\"topic\":\"+/t\",\"actions\":[\"publish\",\"subscribe\"]},"
	"{\"uri\":\"mqtt\",\"topic\":\"b/+/#\",\"actions\":[\"subscribe\"]}]}",
	"{\"type\":2,\"acl\":[{\"uri\":\"mqtt\",\"topic\":\"a/"
	"b\",\"actions\":[\"publish\",\"subscribe\"]}]}",
	"{\"type\":2,\"acl\":[]}",
};

static struct acl *stage_acl(unsigned rights)
{
	static struct acl *acl[RIGHTS];
	json_error_t error;
	json_t *access;
	char why[200];

	if (!acl[rights]) {
		access = json_loads(stage_access[rights], 0, &error);
		MUST(access && acl_compile(&acl[rights], access, why, sizeof(why)) == 0);
		json_decref(access);
	}
	return acl[rights];
}

/* All may much again; nobody holds one. */
static void stage_tokens_reset(void)
{
	for (unsigned i = 0; i < TOKENS; i++) {
		struct stage_token *t = &stage_tokens[i];

		MUST(t->refs == 0);
		t->rights = t->given = 0;
		for (unsigned r = 0; r < RIGHTS; r++) {
			t->verdict[r] = (struct verdict){
				.reason = r == NOTHING ? RC_NOT_AUTHORIZED : RC_SUCCESS,
				.info = { .id = t->id,
				          .customer = t->customer,
				          .enabled = true,
				          .acl = stage_acl(r) },
				.fresh_until = INT64_MAX,
				.stale_until = INT64_MAX,
			};
		}
		t->token.verdict = &t->verdict[0];
	}
}

static const struct stage_token *stage_token_of(uint64_t customer, uint64_t id)
{
	for (unsigned i = 0; i < TOKENS; i++) {
		if (stage_tokens[i].customer == customer && stage_tokens[i].id == id)
			return &stage_tokens[i];
	}
	return NULL;
}

/* ---- proxy/auth.h, played. The first letter of a key says whose it is: a, b, c one of the tokens,
 * d refused, all others no answer; a key of even length must be asked about. ---- */

enum { ASKS = 16 };
static struct auth_ask *stage_asks[ASKS];
static unsigned stage_waiting;

static int stage_judge(const char *key, size_t n, struct token **out)
{
	struct stage_token *t;

	if (n == 0 || key[0] > 'c' || key[0] < 'a')
		return n && key[0] == 'd' ? RC_BAD_USER_NAME_OR_PASSWORD : RC_SERVER_UNAVAILABLE;
	t = &stage_tokens[key[0] - 'a'];
	if (t->rights == NOTHING)
		return RC_NOT_AUTHORIZED;
	t->refs++;
	t->given++;
	*out = &t->token;
	return RC_SUCCESS;
}

int auth_look(struct auth *a, const struct credential *c, const struct sock_addr *peer,
              struct token **out)
{
	(void)a;
	(void)peer;
	return c->key.n % 2 == 0 ? -1 : stage_judge(c->key.p, c->key.n, out);
}

struct auth_ask *auth_ask_new(const struct credential *c, const struct sock_addr *peer,
                              struct inbox *reply_to, void (*done)(struct auth_ask *), void *owner)
{
	struct auth_ask *ask = mem_zalloc(sizeof(*ask) + c->key.n);

	(void)reply_to;
	MUST(ask);
	ask->done = done;
	ask->owner = owner;
	ask->peer = *peer;
	ask->key_size = c->key.n;
	memcpy(ask->key, c->key.p, c->key.n);
	list_init(&ask->waiting);
	return ask;
}

void auth_ask(struct auth *a, struct auth_ask *ask)
{
	(void)a;
	MUST(stage_waiting < ASKS);
	stage_asks[stage_waiting++] = ask;
}

void auth_ask_free(struct auth_ask **slot)
{
	struct auth_ask *ask = *slot;

	*slot = NULL;
	if (!ask)
		return;
	auth_token_put(&ask->token);
	mem_free(ask);
}

/* The oldest ask gets its answer, as the worker's inbox would bring it. */
static void stage_answer(void)
{
	struct auth_ask *ask = stage_asks[0];

	if (!stage_waiting)
		return;
	stage_waiting--;
	memmove(stage_asks, stage_asks + 1, stage_waiting * sizeof(stage_asks[0]));
	ask->reason = (uint8_t)stage_judge(ask->key, ask->key_size, &ask->token);
	if (ask->reason == RC_BAD_USER_NAME_OR_PASSWORD) { /* somebody's, but ended */
		ask->customer = 7;
		ask->id = 72;
	}
	ask->done(ask);
}

struct token *auth_token_get(struct token *t)
{
	container_of(t, struct stage_token, token)->refs++;
	return t;
}

void auth_token_put(struct token **slot)
{
	struct token *t = *slot;

	*slot = NULL;
	if (!t)
		return;
	MUST(container_of(t, struct stage_token, token)->refs > 0);
	container_of(t, struct stage_token, token)->refs--;
}

void auth_notice_free(struct auth_notice **slot)
{
	struct auth_notice *n = *slot;

	*slot = NULL;
	auth_token_put(&n->token);
	acl_put(&n->acl);
	mem_free(n);
}

/* A token has other rights from now on, and the worker hears of it. */
static void stage_change(struct worker *w, unsigned which, unsigned rights)
{
	struct stage_token *t = &stage_tokens[which % TOKENS];
	struct auth_notice *n = mem_zalloc(sizeof(*n));

	MUST(n);
	t->rights = rights % RIGHTS;
	t->token.verdict = &t->verdict[t->rights];
	n->worker = w;
	n->token = auth_token_get(&t->token);
	n->customer = t->customer;
	n->id = t->id;
	n->acl = t->rights == NOTHING ? NULL : acl_get(stage_acl(t->rights));
	n->reason = t->rights == NOTHING ? RC_NOT_AUTHORIZED : RC_SUCCESS;
	n->tell = t->rights == NOTHING ? TELL_HIDDEN : TELL_RIGHTS;
	rights_notice(n);
}

void auth_refused_form(struct auth *a)
{
	(void)a;
}

bool auth_untold(struct auth *a, const struct credential *c, uint64_t *customer, uint64_t *id)
{
	(void)a;
	(void)c;
	*customer = 7;
	*id = 72;
	return stage_told++ % 3 == 0;
}

void auth_push(struct auth *a, struct str topic, struct str payload)
{
	(void)a;
	(void)payload;
	MUST(str_starts(topic, STR("mbus/")));
}

void auth_stale_all(struct auth *a)
{
	(void)a;
}
