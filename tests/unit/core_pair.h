/* core_pair.h - a world with two clients: p publishes, a (who stays 60 s) listens. Include once. */
#pragma once
#include "tests/unit/core_help.h"

static struct client a, p;

static void begin(void)
{
	world_begins();
	a.n = p.n = 0;
	a.full = p.full = false;
	OPEN(&p, .id = "p");
	OPEN(&a, .id = "a", .expiry = 60);
}

static void end(void)
{
	if (a.port.session)
		session_close(&a.port, 0, 0);
	session_close(&p.port, 0, 0);
	world_ends();
}
