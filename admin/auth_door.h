/* auth_door.h - GET /auth/info for proxies, on a Unix socket, in a thread of its own.
 *
 * The fate of the proxies does not depend on what customers do to the public REST API: this thread
 * has its own connections, its own database connection (for reading only) and its own loop. Access
 * is decided by the folder (0750), the socket (0660) and the peer's uid (base/uids.h). Over it
 * nothing else can be had: what a token is worth, one answer for each request, in their order. */
#pragma once
#include "admin/config.h"
#include "admin/tokens.h"

struct auth_door;

/* Binds the socket; tokens: the authority, which outlives it. Without a path in the configuration
 * *out is NULL. why: a sentence. Main thread. */
int auth_door_open(struct auth_door **out, const struct admin_config *config,
                   const struct tokens *tokens, char *why, size_t why_size) MUST_CHECK;
int auth_door_start(struct auth_door *d) MUST_CHECK;   /* its thread; NULL is fine */
void auth_door_stop(struct auth_door **slot);          /* joins, removes the socket; NULL is fine */
const char *auth_door_path(const struct auth_door *d); /* "" without one */
