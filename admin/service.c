/* service.c - the parts of mbus-admin and their order (service.h).
 *
 * main: opens and closes. Service thread: HTTP, SQLite, followers, housekeeping. Bus thread: bus.c.
 * Auth thread: auth_door.c.
 */
#include "base/base.h"
#include "admin/service.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#include "admin/auth_door.h"
#include "admin/bus.h"
#include "admin/expiry.h"
#include "admin/first.h"
#include "admin/follow.h"
#include "admin/router.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

struct service {
	const struct admin_config *config;
	struct rest rest;
	struct http *http;
	struct bus *bus;
	struct auth_door *auth;
	pthread_t thread;
	bool running;
	int64_t kept_house; /* monotonic ms */
	struct expiry expiry;
};

/* ---- Housekeeping ---- */
static void keep_house(struct service *s)
{
	int64_t now = clock_mono_ms();
	int err;

	if (now - s->kept_house < s->config->accessed_every && !tokens_should_flush(s->rest.tokens))
		return;
	s->kept_house = now;
	err = tokens_flush(s->rest.tokens);
	if (!err)
		err = expiry_run(&s->expiry, &s->rest);
	if (err)
		LOG_WARN("", "housekeeping-put-off", "why=%s", log_esc(str_c(db_trouble(err))));
}

/* ---- Between the parts ---- */
static bool on_admits(void *arg, const struct http_req *req, struct http_resp *resp)
{
	return router_admits(&((struct service *)arg)->rest, req, resp);
}

static void on_handle(void *arg, const struct http_req *req, struct http_resp *resp)
{
	router_handle(&((struct service *)arg)->rest, req, resp);
}

static void on_tick(void *arg)
{
	struct service *s = arg;

	follow_tick(s->rest.follow);
	keep_house(s);
}

static void on_woken(void *arg)
{
	follow_drain(((struct service *)arg)->rest.follow);
}

static void on_publish(void *arg, struct str topic, struct str payload)
{
	bus_publish(((struct service *)arg)->bus, topic, payload);
}

static void on_record(void *arg, struct str topic, struct str payload)
{
	follow_record(((struct service *)arg)->rest.follow, topic, payload);
}

static void on_wanted(void *arg, bool on)
{
	struct service *s = arg;

	if (s->bus)
		bus_follow(s->bus, on);
}

static void on_wake(void *arg)
{
	http_wake(((struct service *)arg)->http);
}

/* ---- Opening ---- */
static int open_store(struct service *s, char *why, size_t why_size)
{
	const struct admin_config *config = s->config;
	int err = db_open(&s->rest.db, config->dir, config->busy_timeout, why, why_size);

	if (!err)
		err = tokens_open(&s->rest.tokens, s->rest.db, config->dir, why, why_size);
	if (!err) {
		err = expiry_open(&s->expiry, &s->rest, config->token_grace);
		if (err)
			(void)snprintf(why, why_size, "the tokens cannot be read");
	}
	if (!err)
		err = first_customer(&s->rest, why, why_size);
	return err;
}

static int open_http(struct service *s, char *why, size_t why_size)
{
	const struct admin_config *config = s->config;
	struct http_handler handler = { on_admits, on_handle, on_tick, on_woken, s };
	struct http_config http = {
		.connections_max = config->connections_max,
		.connections_per_address = config->connections_per_address,
		.header_max = config->header_max,
		.body_max = config->body_max,
		.request_deadline_ms = config->request_deadline,
		.idle_deadline_ms = config->idle_deadline,
		.stream_buffer = config->follower_buffer,
	};
	char host[CONFIG_HOST];

	if (!config_listen(config->listen, host, &http.port)) {
		(void)snprintf(why, why_size,
		               "listen: expected host:port, as in 127.0.0.1:9005 or [::1]:9005");
		return -E_INVALID;
	}
	http.host = host;
	return http_open(&s->http, &http, &handler, why, why_size);
}

static int open_bus(struct service *s, char *why, size_t why_size)
{
	struct bus_config bus = {
		.path = s->config->core,
		.queue_most = (size_t)s->config->bus_queue,
		.queue_bytes = (size_t)s->config->bus_queue_bytes,
		.record = on_record,
		.arg = s,
	};
	int err;

	if (!s->config->core || !*s->config->core)
		return 0;
	err = bus_start(&s->bus, &bus);
	if (err)
		(void)snprintf(why, why_size, "cannot start the bus: %s", err_text(err));
	else
		s->rest.outlet = (struct outlet){ on_publish, s };
	return err;
}

int service_open(struct service **out, const struct admin_config *config, char *why,
                 size_t why_size)
{
	struct service *s = mem_zalloc(sizeof(*s));
	struct follow_hooks hooks = { on_wanted, on_wake, s };
	int err = -E_NOMEM;

	(void)snprintf(why, why_size, "out of memory");
	if (!s)
		return err;
	s->config = config;
	s->rest.config = config;
	err = follow_open(&s->rest.follow, &s->rest, &hooks);
	if (!err)
		err = open_store(s, why, why_size);
	if (!err)
		err = auth_door_open(&s->auth, config, s->rest.tokens, why, why_size);
	if (!err)
		err = open_http(s, why, why_size);
	if (!err)
		err = open_bus(s, why, why_size);
	if (err)
		service_stop(&s);
	else
		*out = s;
	return err;
}

uint16_t service_port(const struct service *s)
{
	return http_port(s->http);
}

const char *service_auth_socket(const struct service *s)
{
	return auth_door_path(s->auth);
}

enum { SERVICE_NICE = 5 };

static void *service_main(void *arg)
{
	struct service *s = arg;

	(void)pthread_setname_np(pthread_self(), "service");
	/* This thread alone (Linux): clients of MQTT wait for the others. Without it all works,
	 * they only wait longer where CPUs are short. */
	(void)setpriority(PRIO_PROCESS, 0, SERVICE_NICE);
	http_run(s->http);
	return NULL;
}

int service_start(struct service *s)
{
	sigset_t all, before;
	int number;

	(void)sigfillset(&all);
	MUST(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
	number = pthread_create(&s->thread, NULL, service_main, s);
	MUST(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
	s->running = number == 0;
	return number ? -E_LIMIT : auth_door_start(s->auth);
}

/* No new calls, then the last messages, then what both threads shared. The bus thread wakes HTTP,
 * so it ends first; the streams that HTTP ends afterwards do not ask for a bus any more. */
void service_stop(struct service **slot)
{
	struct service *s = *slot;

	*slot = NULL;
	if (!s)
		return;
	if (s->running) {
		http_stop(s->http);
		(void)pthread_join(s->thread, NULL);
	}
	auth_door_stop(&s->auth);
	bus_stop(&s->bus);
	http_close(&s->http);
	if (s->rest.tokens)
		tokens_close(&s->rest.tokens);
	db_close(&s->rest.db);
	if (s->rest.calls.refused)
		LOG_INFO("", "over-quota", "api_calls=%" PRIu64, s->rest.calls.refused);
	calls_free(&s->rest.calls);
	rights_free(&s->rest.rights);
	follow_close(&s->rest.follow);
	mem_free(s);
}
