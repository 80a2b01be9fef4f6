/* uids.h - who may connect to a Unix socket of ours, by SO_PEERCRED (sock_peer_uid): root, our own
 * user, and those that a setting names. */
#pragma once
#include <sys/types.h>

#include "base/base.h"

enum { UIDS_MAX = 16 };

struct uids { /* zeroed: nobody besides root and ourselves */
	uid_t at[UIDS_MAX];
	size_t count;
};

/* text: numbers with commas between them; NULL or empty: none. 0, or -E_INVALID with *why. */
int uids_read(struct uids *u, const char *text, const char **why) MUST_CHECK;
bool uids_trust(const struct uids *u, uid_t uid);
