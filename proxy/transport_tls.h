/* transport_tls.h - TLS between the socket and the plain bytes (transport.h). OpenSSL never touches
 * the socket: what one recv brought is decrypted to the worker's room, what a turn has to say
 * leaves with one send, as on plain TCP. An idle connection keeps nothing but OpenSSL's state. */
#pragma once
#include "base/loop.h"
#include "proxy/transport.h"

struct tls_context;
struct tls_seed;
struct tls_side; /* what the TLS connections of a worker share */

int tls_side_new(struct tls_side **out, struct loop *loop, const struct tls_seed *seed) MUST_CHECK;
void tls_side_free(struct tls_side **slot); /* after the last connection; harmless without one */
/* for tls_context_new; of this worker, constant address */
struct tls_ring *tls_side_ring(struct tls_side *side);
enum { TLS_SIDE_MAX = 17 }; /* listeners with TLS */
/* Takes x, of the listener with that number: connections that begin from now on use it, the others
 * keep theirs. Worker's thread, or before it runs. */
void tls_side_take(struct tls_side *side, unsigned listener, struct tls_context *x);

extern const struct transport_ops transport_tls;
