/* certs.h - the certificates in force: read at the start, again on SIGHUP and when a file has
 * changed, and given to all workers and listeners together or to none. Main thread. */
#pragma once
#include "proxy/tls.h"
#include "proxy/transport_tls.h"

struct listen;
struct worker;

enum { CERTS_TICK_MS = 1000 };

struct certs {
	const struct listen *listen;
	struct worker **workers;
	unsigned count;
	uint64_t tried; /* mark of the files that were read last */
	uint64_t seen;  /* at the last tick: files are read when they have stopped changing */
	/* in force, of each listener with TLS; one reference each */
	struct tls_files *files[TLS_SIDE_MAX];
	const char *name[TLS_SIDE_MAX]; /* of that listener */
	int64_t ends_at, warned_at;     /* wall ms: the first one ends; we have said so */
};

/* before the workers run; listen and workers are borrowed. 0, or -E_* and why */
int certs_start(struct certs *c, const struct listen *listen, struct worker **workers,
                unsigned count, char why[TLS_WHY]) MUST_CHECK;
void certs_tick(struct certs *c);   /* once in CERTS_TICK_MS */
void certs_reload(struct certs *c); /* a bad set of files leaves everything as it is, and says so */
/* Seconds until the first certificate in force ends, negative: it has; INT64_MAX: none was read. */
int64_t certs_left_s(const struct certs *c);
void certs_tell(const struct certs *c); /* logs each one in force, and what is left of it */
void certs_free(struct certs *c);       /* zeroed, and twice, is fine */
