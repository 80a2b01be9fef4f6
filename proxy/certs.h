/* certs.h - the certificates in force: read at the start, again on SIGHUP and when a file has
 * changed, and given to all workers and listeners together or to none. Main thread. */
#pragma once
#include "proxy/tls.h"

struct listen;
struct worker;

struct certs {
	const struct listen *listen;
	struct worker **workers;
	unsigned count;
	uint64_t tried; /* mark of the files that were read last */
	uint64_t seen;  /* at the last tick: files are read when they have stopped changing */
	int64_t ends_at, told_at; /* wall ms: the first certificate ends; we have said so */
};

enum { CERTS_TICK_MS = 1000 };

/* before the workers run; listen and workers are borrowed. 0, or -E_* and why */
int certs_start(struct certs *c, const struct listen *listen, struct worker **workers,
                unsigned count, char why[TLS_WHY]) MUST_CHECK;
void certs_tick(struct certs *c);   /* once in CERTS_TICK_MS */
void certs_reload(struct certs *c); /* a bad set of files leaves everything as it is, and says so */
