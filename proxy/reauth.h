/* reauth.h - another token for a connection that is open: AUTH with the method "token"
 * (MQTT5 4.12.1). Only for clients whose CONNECT named that method [MQTT-4.12.0-7]. Worker's thread
 * only. */
#pragma once
#include "proxy/conn.h"

/* The only method there is; authentication data is the key. */
#define REAUTH_METHOD STR("token")

/* the answer to an AUTH under way finds nobody; harmless without one */
void reauth_forget(struct conn *c);
