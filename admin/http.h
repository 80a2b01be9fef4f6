/* http.h - a small HTTP/1.1 server over libwebsockets: whole bounded requests in, whole answers,
 * answers in slices or streams out. Knows no route.
 *
 * One service thread runs http_run(); the handler is called in it, with the request whole. Refused
 * here, before the handler, and the connection ends with that answer: Transfer-Encoding (411),
 * POST, PUT and PATCH without a length (411), a body with another method (400), a length over the
 * limit (413). Closed without an answer: any Upgrade, heads over header_max, what is no HTTP/1.1.
 *
 * A whole request waits for the turn of its customer, or of its address while its token was not
 * seen before; so does each slice of an answer (http_share.c).
 *
 * Connections have a most in all and per address (of IPv6: per /64). When one more comes, the one
 * of that address, or of the address with most of them, ends that has been waited for the longest:
 * it is idle, its request is not whole yet, or it does not read its answer. */
#pragma once
#include "base/bytes.h"
#include "base/list.h"

enum http_method {
	HTTP_GET,
	HTTP_HEAD,
	HTTP_OPTIONS,
	HTTP_POST,
	HTTP_PUT,
	HTTP_PATCH,
	HTTP_DELETE,
	HTTP_METHODS
};
enum { HTTP_ARGS = 16, HTTP_HEADERS = 8, HTTP_PEER = 64 };

struct http_req {
	enum http_method method;
	struct str
	    path; /* decoded, without the query; this and all others live as long as the answer */
	struct str args[HTTP_ARGS]; /* "name=value", decoded */
	size_t arg_count;
	struct str authorization, content_type, origin, cid, app;
	bool has_authorization, has_cid, preflight;
	struct str body; /* empty while the head is looked at; only until the handler returns */
	struct str peer; /* the caller's address as text */
};

/* An answer that has no end: its owner sends, http.c writes as fast as the reader takes it. */
struct http_stream {
	void (*closed)(
	    struct http_stream *s); /* the connection is gone; s is the owner's again, once */
	void *conn;                 /* http.c's */
};

/* An answer that is made while it is written: a slice whenever the reader has taken the last one,
 * other connections are served in between. */
enum http_next { HTTP_MORE, HTTP_LAST, HTTP_BROKEN /* the connection is cut, so that it shows */ };
struct http_slices {
	enum http_next (*next)(struct http_slices *s, struct buf *body); /* appends */
	void (*done)(struct http_slices *s); /* s is the owner's again, once; whatever happened */
};

/* Work that is more than a turn of its caller, behind handle(): done piece by piece, other callers
 * are served in between; then the answer is in resp. It is done to the end, also when its
 * connection goes, and when the server ends. */
struct http_resp;
struct http_work {
	/* False: all is done, and w freed. resp NULL: there is nobody to answer any more */
	bool (*some)(struct http_work *w, struct http_resp *resp);
	struct list orphan; /* http.c's */
};

struct http_resp {
	unsigned status;
	struct buf body;
	const char *content_type; /* static; NULL = application/json */
	struct {
		const char *name; /* with its colon, lower case; static */
		struct str value; /* of the request or static */
	} headers[HTTP_HEADERS];
	size_t header_count;
	char allow[64];             /* with 405: what would be possible */
	struct http_stream *stream; /* taken: the answer goes on until either side ends it */
	struct http_slices *slices; /* taken: what comes after body */
	struct http_work *work;     /* taken: what is to be done before there is an answer */
	bool close;                 /* end the connection after this answer */
	bool counted;               /* the handler's: admits() has charged this request */
	uint64_t cid, token;        /* who asked, for the log line */
};

struct http_handler {
	/* The head is here, a body is to come: false = the answer is in resp and the body is not
	 * read. */
	bool (*admits)(void *arg, const struct http_req *req, struct http_resp *resp);
	void (*handle)(void *arg, const struct http_req *req, struct http_resp *resp);
	void (*tick)(void *arg);  /* about every second */
	void (*woken)(void *arg); /* after http_wake() */
	void *arg;
};

struct http_config {
	const char *host;
	uint16_t port;
	int64_t connections_max, connections_per_address, header_max, body_max, request_deadline_ms,
	    idle_deadline_ms, stream_buffer;
};

struct http;
/* why: a sentence. The socket listens on return, at the configured address and at no other. Main
 * thread. */
int http_open(struct http **out, const struct http_config *config,
              const struct http_handler *handler, char *why, size_t why_size) MUST_CHECK;
uint16_t http_port(const struct http *h);
void http_run(struct http *h);  /* the service thread; returns after http_stop */
void http_stop(struct http *h); /* any thread */
void http_wake(struct http *h); /* any thread: handler.woken soon, in the service thread */
void http_close(
    struct http **slot); /* after http_run has returned; ends streams (closed is called) */

void http_header(struct http_resp *resp, const char *name, struct str value);
/* Service thread. False: the reader is too slow, the stream is being cut; closed() comes later. */
bool http_stream_send(struct http_stream *s, struct str bytes);
void http_stream_end(
    struct http_stream *s); /* what is waiting is still sent; closed() comes later */

const char *http_method_name(enum http_method m);
/* Path for the log: long runs of letters and digits, which could be a key, become "...". */
void http_mask(struct str path, char *out, size_t size);
