/* uplink.h - the core's side of the link (wire/link.h): a listening Unix socket per home, many
 * links on it, many clients on each link.
 *
 * A turn reads once from each link that has something, at most UPLINK_READ bytes (less
 * while two customers are active), works on the frames where they lie, and writes once to each link
 * that has something to be told, after the turn's commit. The socket's mode and the peer's uid
 * (SO_PEERCRED) decide which processes may connect.
 *
 * A link ends when it breaks, is silent for LINK_DEAD_MS, or talks nonsense; its clients then have
 * `will_grace` to come back. */
#pragma once
#include "core/home.h"

enum { UPLINK_READ = 192 << 10, UPLINK_READ_BESIDE = 64 << 10 };

struct uplink;

/* main thread, before home_run */
int uplink_open(struct uplink **out, struct home *h, const char *path, const char **why) MUST_CHECK;
/* main thread, after home_end; NULL is fine. Removes the socket */
void uplink_close(struct uplink **u);
/* home's thread, and tests: serves a connected socket; takes fd, also on error */
int uplink_take(struct uplink *u, int fd) MUST_CHECK;
size_t uplink_links(const struct uplink *u);
