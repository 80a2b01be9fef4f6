/* session.h - what session*.c, subscription.c, group.c, replay.c and will.c share. Home's thread.
 *
 * A session is (customer, client id). A connection is a port. Everything a session owes its client
 * is a `struct out`, in one of two lists: `queue` (no packet id yet) and `flight` (has one), both
 * oldest first. */
#pragma once
#include "core/home_parts.h"
#include "core/sticky.h"
#include "core/work.h"

struct subscription;
struct group;

/* State, the states it may become. */
#define SESSION_STATES(S) \
	S(LIVE, TO(AWAY) | TO(GHOST) | TO(GONE)) /* has a port */ \
	S(AWAY, TO(LIVE) | TO(GHOST) | TO(GONE)) /* waits for its client, until ends_due */ \
	S(GHOST, \
	  TO(LIVE) | \
	      TO(GONE)) /* has ended; only its Will waits, for the client's link to come back */ \
	S(GONE, 0)
enum session_state {
#define S(name, next) SESSION_##name,
	SESSION_STATES(S)
#undef S
};

enum out_state {
	OUT_QUEUED, /* no packet id */
	/* sent on an earlier connection, not yet on this one */
	OUT_AGAIN,
	OUT_SENT,     /* waits for PUBACK or PUBREC */
	OUT_RELEASED, /* PUBREL sent, waits for PUBCOMP */
};

struct out {              /* one QoS 1 or 2 message owed to one session */
	struct list node; /* queue or flight; spare_outs; or loose in a group */
	/* Of the same subscription: in sub->outs or its sweep's. After UNSUBSCRIBE the ring has no
	 * head any more: no set of filters speaks for it, so a change of rights leaves it alone,
	 * and the proxy's gate, which has the rights, judges it. Released: in no list. */
	struct list peer;
	struct out *next; /* in its chain of the flight's index */
	struct msg *msg;  /* NULL once released */
	uint64_t number;  /* in the store */
	uint32_t subscription_id;
	uint16_t packet_id;
	uint8_t flags; /* LINK_QOS | LINK_RETAIN */
	uint8_t state; /* enum out_state */
};

struct flight_index; /* out_ack.c */
struct inbound;      /* session_in.c */
struct sweep;        /* sweep.c */
struct request;      /* request.c */

struct session {
	struct map_node node; /* in customer->sessions */
	/* in customer->idle: AWAY, and owed nothing since it is; in customer->held: LIVE */
	struct list place;
	struct customer *customer;
	struct port *port; /* LIVE only */
	/* enum session_state; session_enter is the only writer */
	uint8_t state;
	uint8_t qos_max; /* 0 for the links' own sessions */
	bool durable;    /* expiry > 0: the store knows it */
	bool redeliver;  /* resumed, flight not looked at yet */
	/* out */
	/* the client's receive maximum, at most window_max */
	uint16_t next_id, window;
	uint16_t live, again; /* of flight: SENT + RELEASED, AGAIN; ids are of 16 bits */
	uint32_t queue_count;
	/* subscriptions with a sweep: rights have changed, nothing that waits is sent meanwhile */
	uint32_t sweeps;
	uint32_t filters_bytes; /* of its subscriptions: OPENED lists them in one frame */
	uint32_t replays;       /* retained messages of so many are under way */
	struct list asleep;     /* struct replay that wait until the session takes more */
	struct list queue, flight;
	/* in flight: none before it is AGAIN; NULL: not known */
	struct list *again_from;
	struct flight_index *index; /* NULL: the flight is short */
	size_t queue_bytes, flight_bytes;
	uint64_t out_number;
	uint32_t dropped; /* QoS 1 and 2 for want of room */
	/* quota.c; 0 = nothing */
	uint32_t queue_messages_max, queue_bytes_max, subscriptions_max;
	/* in */
	struct inbound *inbound; /* QoS 2 ids waiting for PUBREL; NULL: none */
	/* subscriptions */
	struct map subs;         /* struct subscription, by the client's filter */
	struct request *request; /* SUBSCRIBE or the like under way; NULL: none */
	/* end */
	uint32_t expiry_s, will_delay_s;
	struct msg *will;
	uint64_t token;             /* of the last connection */
	struct account *account;    /* its; NULL: the trusted world has none */
	int64_t rights_until;       /* unix seconds, 0 = never */
	struct timer timer;         /* the earlier of the two below */
	int64_t will_due, ends_due; /* loop time; 0 = not pending */
	struct list due;            /* customer->due: one of them has come */
	/* loop time; its link was lost: who comes back before cancels the Will */
	int64_t grace_until;
	int64_t takeovers_due; /* loop time: the bucket of take-overs is full again */
	/* of the message with this stamp, so many copies (route.c) */
	uint64_t copies_stamp;
	uint32_t copies;
	uint16_t id_len;
	char id[];
};
static inline struct str session_id(const struct session *s)
{
	return str_make(s->id, s->id_len);
}
static inline struct home *session_home(const struct session *s)
{
	return s->customer->home;
}

struct inner { /* one filter of a subscription's set */
	struct tree_leaf leaf;
	/* without the customer's prefix; bytes follow the set */
	struct str text;
};
struct inner_set { /* set.c */
	uint16_t count;
	bool shared;
	uint32_t charge; /* to customer->filter_bytes */
	struct inner at[];
};
struct subscription {
	struct map_node node; /* in session->subs */
	struct session *session;
	struct inner_set *set;       /* NULL: matches nothing (no rights left) */
	struct subscription *sharer; /* the next one of those that share it */
	struct member *member;       /* NULL: not shared */
	uint64_t stamp;              /* of the last message that matched */
	struct condition *condition; /* NULL: takes whatever its set matches */
	struct replay *replay;       /* retained messages on their way */
	struct list outs;            /* struct out, by peer: what its set was found to match */
	struct sweep *sweep;         /* the others of them */
	uint32_t id;
	uint32_t charge; /* to customer->filter_bytes */
	uint16_t filter_len;
	uint8_t opts;  /* MQTT's options byte, and LINK_EXTENDED */
	bool ends;     /* with its sweep */
	bool parts;    /* a member whose client unsubscribed: so does what was sent of its outs */
	char filter[]; /* as the client wrote it */
};
enum {
	SUB_QOS = 0x03,
	SUB_NO_LOCAL = 0x04,
	SUB_AS_PUBLISHED = 0x08,
	SUB_HANDLING = 4, /* shift, and two bits */
	SUB_HANDLING_MASK = 3
};
enum { INNER_MAX = 1024 }; /* filters in one set */

struct member {           /* a shared subscription, in its group */
	struct list node; /* in group->members */
	struct group *group;
	struct subscription *sub;
	uint64_t chosen; /* when the group last chose it */
};
static inline struct group *sub_group(const struct subscription *sub) /* NULL: not shared */
{
	return sub->member ? sub->member->group : NULL;
}

enum rank { RANK_NOW, RANK_CONNECTED, RANK_WAITING, RANK_NONE };

struct choice { /* among the members of a group, for one message */
	struct subscription *best;
	enum rank rank;
	uint64_t key, weight; /* in a sticky group */
};

/* $share/<group>/<filter> of one customer: the key is what stands behind "$share/" */
struct group {
	struct map_node node; /* in customer->groups */
	struct customer *customer;
	struct list members; /* struct member, in the order of their last turn */
	struct sticky sticky;
	/* What members that left did not get, on its way to others: struct out that no session has,
	 * charged to the customer; the job that goes on with it, in no list while `loose` is empty;
	 * for the first of them, which member is looked at next and the best one so far */
	struct list loose;
	struct work move;
	struct list *looking; /* NULL: not begun */
	struct choice choice;
	/* while one message is matched: do the members' conditions, which are one, hold? */
	uint64_t asked;
	bool passes;
	/* and the best of the members that were hit so far, or lost: that one has left; while there
	 * are any, in the list of the match */
	bool lost;
	uint64_t stamp;
	struct choice offer;
	struct list hit;
	uint32_t charge; /* to customer->filter_bytes */
	uint16_t key_len;
	char key[];
};

/* ---- session.c ---- */
struct session *session_find(const struct customer *c, struct str client_id);
/* at the end of the program: no Will fires */
void session_free_all(struct customer *c);
/* SIGTERM: every port is closed */
void sessions_close(struct home *h, uint8_t reason);
/* For session_open.c. */
/* the only writer of s->state */
void session_enter(struct session *s, enum session_state to);
/* AWAY, in the customer's map; NULL: out of memory */
struct session *session_new(struct customer *c, struct str client_id);
/* It is not in its customer's table any more. */
void session_unlist(struct session *s);
/* Its memory: it is in no table, and has nothing any more. */
void session_free(struct session *s);
/* Whose session it is from now on; an account that is left empty goes. */
void session_take_token(struct session *s, uint64_t token, int64_t rights_until,
                        struct account *account);
void session_port_off(struct session *s);
void sessions_due_init(struct customer *c);
uint32_t session_clamp_expiry(const struct home *h, uint32_t expiry_s);
/* after will_due or ends_due changed */
void session_rearm(struct session *s);
/* may something be sent to the client now? */
static inline bool session_flowing(const struct session *s)
{
	return s->port && !s->port->paused && !(s->port->full && *s->port->full) &&
	       !s->customer->egress_over;
}

/* ---- session_end.c ---- */
/* Everything the session has, but its Will, at once. Group members' messages go to others. */
void session_empty(struct session *s);
/* The same, in slices. What is left: the session of its name, s or another one, with its Will. */
struct session *session_anew(struct session *s);
/* Its end; its Will, if one is left, is sent now (MQTT5 3.1.3.2.2). The customer stays. */
void session_finish(struct session *s);

/* ---- quota.c ---- */
struct told { /* what a proxy said about quotas, in the order of levels */
	struct limits l;
	struct limit_told at[LIMITS_MOST];
};
/* entries: link_limits_next; what is not known here is left out */
void quota_read(struct told *out, struct str entries);
/* what holds from now on, for the customer (told NULL: nothing was said), for a token's account,
 * for a session */
void quota_customer(struct customer *c, const struct limits *told);
void quota_account(struct account *a, const struct limits *told);
void quota_session(struct session *s, const struct limits *told);

/* ---- egress.c: what goes out to a customer's clients per second (attack R16) ---- */
void egress_init(struct customer *c);
void egress_count(struct customer *c, size_t bytes); /* may set c->egress_over */
static inline void egress_take(struct customer *c, size_t bytes)
{
	if (unlikely(c->egress != LIMIT_NONE))
		egress_count(c, bytes);
}
/* s has something for its client, and waits for room if that is why; harmless otherwise */
void egress_hold(struct session *s);
/* s, LIVE, has more for its client than this slice is enough for */
void egress_later(struct session *s);

/* ---- session_out.c ---- */
struct out_how {
	uint8_t qos;
	bool retain;
};
/* To the session of sub. Borrows m; false: dropped, and counted. */
bool out_add(struct subscription *sub, struct msg *m, const struct out_how *how);
bool out_ready(const struct session *s, uint8_t qos); /* would be sent at once */
/* would at least be queued */
bool out_room(const struct session *s, size_t size);
void out_pump(struct session *s); /* sends what may be sent */
/* what was sent on the last connection will be sent again */
void out_connected(struct session *s);
/* takes it out of its lists and frees it */
void out_drop(struct session *s, struct out *o);
/* One that no session has, charged to the customer; NULL: out of memory. */
struct out *out_loose(struct customer *c, struct msg *m);
/* QoS 2 in flight: what is left to keep is the id */
void out_release(struct session *s, struct out *o);
/* It leaves the session, but stays charged to the customer; node is in no list. */
void out_loosen(struct session *s, struct out *o);
/* such a one; the customer is no longer charged */
void out_free(struct customer *c, struct out **o);
void outs_free(struct home *h); /* the spare ones */

/* ---- out_ack.c: the flight by packet id ---- */
void flight_enter(struct session *s, struct out *o); /* it has its id, and is in s->flight */
void flight_leave(struct session *s, struct out *o);
void out_ack(struct session *s, enum mqtt_type type, uint16_t packet_id, uint8_t reason);

/* ---- sweep.c: rights have changed (attack C05) ---- */
/* The set of sub is another one: what waits by the old one is judged before it is sent. */
void sweep_start(struct subscription *sub);
void sweep_finish(struct subscription *sub); /* now, all of it; harmless without one */
void sweep_stop(struct subscription *sub);   /* the session ends: no more judging */

/* ---- session_in.c ---- */
bool inbound_any(const struct session *s);
void inbound_clear(struct session *s);

/* ---- request.c ---- */
/* The client of a SUBSCRIBE under way is gone; or (ends) the session. Harmless without one. */
void request_leave(struct session *s, bool ends);

/* ---- set.c ---- */
/* bytes: of the names. False: one is outside the customer's space, or no filter. */
bool set_measure(const struct customer *c, struct link_item item, size_t *bytes);
bool set_same(const struct subscription *sub, struct link_item item);
bool set_matches(const struct subscription *sub, const struct msg *m);
/* The new set in the place of the old one. -E_NOMEM, -E_LIMIT: as it was. */
int set_take(struct subscription *sub, struct link_item item, size_t bytes);
void set_leave(struct subscription *sub); /* harmless without one */
/* leaf->shared: the subscriptions that it stands for, once for each stamp */
void set_each(struct tree_leaf *leaf, uint64_t stamp,
              void (*each)(void *arg, struct subscription *sub), void *arg);

/* ---- subscription.c ---- */
struct subscription *sub_find(const struct session *s, struct str filter);
/* One item. *code: what SUBACK says at its place. False: names outside the customer's space. */
bool sub_subscribe(struct session *s, uint32_t id, const struct link_item *item, uint8_t *code);
uint8_t sub_unsubscribe(struct session *s, struct str filter);
bool sub_regrant(struct session *s, const struct link_item *item); /* false: as above */
/* It is no more. Its session ends with it, or what came by it and waits stays with the session. */
void sub_drop(struct subscription *sub, bool session_ends);
/* matches, and its condition holds; what is too dear to know counts as wanted */
bool sub_wants(const struct subscription *sub, struct msg *m);

/* ---- conditions.c ---- */
/* of a subscription with a condition. *unsure: the message's budget ran out, false was said */
bool condition_passes(const struct subscription *sub, struct msg *m, bool *unsure);
/* A message that is matched in slices has one budget: what is left of it, if conditions were asked
 * about m, and that it goes on with that. */
bool conditions_left(const struct home *h, const struct msg *m, uint32_t *steps);
void conditions_go_on(struct home *h, struct msg *m, uint32_t steps);
/* what was made of the last message is given back */
void conditions_forget(struct home *h);

/* ---- group.c ---- */
int group_join(struct subscription *sub, struct str key) MUST_CHECK; /* 0 or -E_NOMEM */
/* its name is read as its members' filters are */
void group_read(struct group *g, bool extended);
/* The session of a member ends: one message that waits for it, or was sent with QoS 1, goes to
 * others; QoS 2 that was sent is left alone. False: there is none. */
bool group_part(struct subscription *sub);
void group_leave(struct subscription *sub); /* and all that group_part would do */
/* What the member sub is not to have any more, and has not begun to take with QoS 2, goes to
 * another member. */
void group_take_back(struct subscription *sub, struct out *o);
/* A message is matched: its group is hit, then each member that was hit is considered, then one of
 * them gets it. What happens meanwhile to the one that was chosen is taken into account. */
void group_hit(struct group *g, const struct msg *m);
void group_consider(struct subscription *sub, const struct msg *m);
void group_give(struct group *g, struct msg *m);

/* ---- replay.c ---- */
void replay_start(struct subscription *sub);
void replay_stop(struct subscription *sub);
/* While the client is away they wait where they are. */
void replays_pause(struct session *s);
void replays_unpause(struct session *s);
void replay_go_on(struct session *s);                      /* there is room again */
void replays_go_on(struct customer *c);                    /* it is not stopped any more */
void replay_run(struct inbox_item *item);                  /* the slices of one turn */
void replay_show(struct subscription *sub, struct msg *m); /* one retained message */
/* a trusted filter within c's store: without its first two levels ("customer/<id>/"). False:
 * matches nothing there */
bool replay_inside(struct str text, const struct customer *c, struct str *rest);

/* ---- far.c ---- */
/* home 0, a trusted subscription: retained messages of the other homes */
void far_ask(struct subscription *sub);
/* one of them, on home 0; name: client id and filter */
void far_came(struct home *h, struct msg *m, struct str name, size_t id_len);
void fars_free(struct home *h);

/* ---- will.c ---- */
struct msg *will_new(struct home *h, const struct link_open *o); /* NULL: out of memory */
/* has the customer room for it, in place of that of s (or NULL)? */
bool will_fits(const struct customer *c, const struct session *s, const struct msg *will);
void will_set(struct session *s, struct msg *will, uint32_t delay_s); /* takes will */
void will_release(struct session *s); /* it, and its room; harmless without */
/* publishes and forgets it; NULL is fine */
void will_fire(struct session *s);
void will_forget(struct session *s);
void will_change_token(struct session *s); /* to s->token; harmless without a Will */
