/* store.h - what must survive. The home tells it each change as it makes it, and asks for a commit
 * at the end of its turn; what the turn has to say (acks and deliveries alike) leaves only when the
 * commit is done (design section 7). One store per home, home's thread. `memory` keeps nothing and
 * is always done at once; the journal store takes the same calls. Mode in force: store_name(). */
#pragma once
#include "core/msg.h"

struct store;
/* home's thread; errors are fatal inside the store */
struct store_commit {
	void (*done)(struct store_commit *c);
};

/* kind: "memory" */
int store_open(struct store **out, const char *kind, const char *dir, const char **why) MUST_CHECK;
void store_close(struct store **s);
const char *store_name(const struct store *s);

/* Changes. A session is named by (customer, client id); queue entries by a number unique within
 * their session. */
void store_session_put(struct store *s, uint64_t customer, struct str client_id, uint32_t expiry_s,
                       int64_t ended_wall_ms);
void store_session_del(struct store *s, uint64_t customer, struct str client_id);
void store_sub_put(struct store *s, uint64_t customer, struct str client_id,
                   const struct link_sub *sub);
void store_sub_del(struct store *s, uint64_t customer, struct str client_id, struct str filter);
void store_queue_put(struct store *s, uint64_t customer, struct str client_id, uint64_t number,
                     const struct msg *m, uint8_t qos, uint32_t subscription_id);
/* step: MQTT_PUBLISH, MQTT_PUBREL */
void store_queue_sent(struct store *s, uint64_t customer, struct str client_id, uint64_t number,
                      uint16_t packet_id, uint8_t step);
void store_queue_del(struct store *s, uint64_t customer, struct str client_id, uint64_t number);
/* QoS 2 ids waiting for PUBREL */
void store_inbound_put(struct store *s, uint64_t customer, struct str client_id,
                       uint16_t packet_id);
void store_inbound_del(struct store *s, uint64_t customer, struct str client_id,
                       uint16_t packet_id);
void store_will_put(struct store *s, uint64_t customer, struct str client_id,
                    const struct msg *will, int64_t due_wall_ms);
void store_will_del(struct store *s, uint64_t customer, struct str client_id);
void store_retained_put(struct store *s, const struct msg *m);
void store_retained_del(struct store *s, struct str inner_topic);

/* All changes since the last commit. true: done already, c->done will not be called. false: c->done
 * comes later; at most one commit is under way. */
bool store_commit(struct store *s, struct store_commit *c);
