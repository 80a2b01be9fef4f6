/* door.h - the trusted MQTT door: plain MQTT 3.1, 3.1.1 and 5.0 on a Unix socket for local services
 * of the platform. Its sessions belong to the trusted world (customer 0): topics are inner names.
 * Who may connect is decided by the socket's mode and SO_PEERCRED uid.
 *
 * On home 0 only. door_open: main thread, before home_run. door_close: main thread, after home_end
 * (by then every session has closed its port with 0x8B, and what that said was flushed once).
 * `deliver` and the other port calls never call session_* from inside. */
#pragma once
#include "core/home.h"

struct door;

int door_open(struct door **out, struct home *h, const char *path, const char **why) MUST_CHECK;
void door_close(struct door **d);
