/* account.c - the accounts of a customer's tokens (account.h). */
#include "base/base.h"
#include "core/account.h"

#include "base/mem.h"

static uint64_t account_hash(uint64_t token)
{
	return hash_mix(token, 1);
}

struct account *account_find(const struct map *accounts, uint64_t token)
{
	for (struct map_node *n = map_first(accounts, account_hash(token)); n; n = map_next(n)) {
		struct account *a = container_of(n, struct account, node);

		if (a->token == token)
			return a;
	}
	return NULL;
}

struct account *account_get(struct map *accounts, uint64_t token)
{
	struct account *a = account_find(accounts, token);

	MUST(token); /* callers ask first: an endpoint need not tell an id, and then OPEN says 0 */
	if (a)
		return a;
	a = mem_zalloc(sizeof(*a));
	if (!a)
		return NULL;
	a->accounts = accounts;
	a->token = token;
	list_init(&a->entries);
	list_init(&a->grave);
	a->most_sessions = a->most_retained = a->most_retained_bytes = LIMIT_NONE;
	if (map_add(accounts, &a->node, account_hash(token))) {
		mem_free(a);
		return NULL;
	}
	return a;
}

void account_settle(struct account **slot)
{
	struct account *a = *slot;

	*slot = NULL;
	if (!a || a->sessions || a->retained)
		return;
	if (a->accounts) {
		map_del(a->accounts, &a->node);
		map_trim(a->accounts);
	}
	list_del(&a->grave);
	rights_free(a);
	mem_free(a);
}

void accounts_free(struct map *accounts)
{
	MUST(accounts->count == 0);
	map_free(accounts);
}
