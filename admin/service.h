/* service.h - everything of mbus-admin put together: database, tokens, bus, followers, HTTP; and
 * the housekeeping. */
#pragma once
#include "admin/config.h"

struct service;

/* Opens all; the listening socket is open on return. why: a sentence. Main thread. */
int service_open(struct service **out, const struct admin_config *config, char *why,
                 size_t why_size) MUST_CHECK;
uint16_t service_port(const struct service *s);
const char *service_auth_socket(const struct service *s); /* "" = none */
int service_start(struct service *s) MUST_CHECK;          /* its threads */
void service_stop(
    struct service **slot); /* ends threads, writes what is to be kept, closes; half-open is fine */
