/* rights.h - what a token may still publish: which of its retained messages are shown, and whether
 * its Wills are sent (attacks C02, C03; docs/core.md, "Rights of what waits").
 *
 * Told by proxies (RIGHTS). Nothing is walked then: the account of the token remembers what was
 * said, and each message is judged when it is to be shown. So a right that comes back shows again
 * what it hid, whoever is connected. Filters are kept as they came, and made into an index when the
 * first message is judged. What a deleted token left is hidden at once and removed in slices.
 * Home's thread. */
#pragma once
#include "core/account.h"
#include "wire/topic.h"

struct customer;
struct home;
struct inbox_item;
struct link_rights;

/* May the token still publish there? a: SOME (account.h). Out of memory: no. What it cost, in units
 * of work.h, is spent, and added to *cost. */
bool rights_allow(struct account *a, struct str name, size_t *cost);
/* What c's client has told by its OPEN: its customer is not blocked. True: what its token (a, or
 * NULL) may publish is known as less than all, or as nothing; the proxy is to say it again. */
bool rights_opened(struct customer *c, const struct account *a);
/* TOKEN: the account's token is in use. What it publishes from now on is shown. */
void rights_used(struct account *a);
/* A frame RIGHTS. False: it is nonsense. */
bool rights_apply(struct home *h, uint8_t flags, const struct link_rights *r);
void rights_bury(
    struct inbox_item *item); /* home->grave_item: a slice of what deleted tokens left */
