/* connack.c - CONNACK of an accepted client: the limits in force, who it is, where it may be
 * answered (MQTT5 3.2; flespi.md 3.4). */
#include "base/base.h"
#include "proxy/greet.h"

#include <inttypes.h>

#include "base/json.h"
#include "proxy/badge.h"
#include "proxy/gate.h"
#include "proxy/grants.h"
#include "proxy/reauth.h"
#include "proxy/share.h"
#include "proxy/worker.h"
#include "wire/mqtt_write.h"

/* ---- User properties ---- */

/* flespi.md 3.4: clients learn who they are, and what they are subscribed to, without a REST call.
 */
static void token_property(struct conn *c, struct buf *out)
{
	const struct badge *b = c->badge;
	struct str access = acl_source(b->acl);
	struct buf text = { 0 };

	buf_printf(&text, "{\"id\":%" PRIu64 ",\"cid\":%" PRIu64 ",\"access\":", b->id,
	           b->customer);
	if (access.n)
		buf_str_add(&text, access);
	else
		buf_printf(&text, "{\"type\":%d}", (int)acl_type(b->acl));
	buf_u8(&text, '}');
	if (buf_ok(&text))
		mqtt_user_property(out, STR("token"), buf_str(&text));
	buf_free(&text);
}

static int subscription_json(const struct link_sub *sub, json_t *list)
{
	json_t *item = json_pack("{s:o, s:i, s:b, s:b, s:i}", "topic",
	                         json_stringn(sub->filter.p, sub->filter.n), "qos", sub->opts & 3,
	                         "no_local", sub->opts >> 2 & 1, "rap", sub->opts >> 3 & 1,
	                         "retain_handling", sub->opts >> 4 & 3);

	if (item && sub->id &&
	    json_object_set_new(item, "subscription_id", json_integer(sub->id))) {
		json_decref(item);
		return -E_NOMEM;
	}
	return json_array_append_new(list, item) ? -E_NOMEM : 0;
}

enum { LOOKS = 32 }; /* at levels of grants are a unit (slice.h) */

/* The session may have been another token's: what that was subscribed to is told as far as this one
 * may receive some of it (attack I44). */
static void subscriptions_property(struct conn *c, struct link_opened o, struct buf *out)
{
	json_t *list = json_array();
	struct buf text = { 0 };
	struct link_sub sub;
	size_t looked = 0;
	bool whole = true;

	while (list && whole && link_opened_next(&o, &sub)) {
		if (grants_may(c, sub.filter, &looked))
			whole = subscription_json(&sub, list) == 0;
		whole = whole && looked <= GRANTS_LOOK_MOST;
	}
	share_charge(c, (uint32_t)(looked / LOOKS));
	if (list && whole && json_write(&text, list) == 0 && buf_len(&text) <= UINT16_MAX)
		mqtt_user_property(out, STR("subscriptions"), buf_str(&text));
	json_decref(list);
	buf_free(&text);
}

/* ---- What is in force ---- */

static void set(struct mqtt_props *p, enum mqtt_prop id)
{
	p->has |= UINT64_C(1) << id;
}

static void connack_props(struct conn *c, struct mqtt_props *p)
{
	const struct greet *g = c->greet;
	const struct mqtt_connect *m = &g->connect;

	if (m->props.session_expiry !=
	    g->session_expiry) { /* attack R20: told when it is not what was asked */
		set(p, PROP_SESSION_EXPIRY);
		p->session_expiry = g->session_expiry;
	}
	set(p, PROP_RECEIVE_MAXIMUM);
	p->receive_maximum = c->receive_maximum;
	set(p, PROP_MAXIMUM_PACKET_SIZE);
	p->maximum_packet_size = c->packet_limit;
	if (c->auth_method) { /* [MQTT-4.12.0-5] */
		set(p, PROP_AUTH_METHOD);
		p->auth_method = REAUTH_METHOD;
	}
	if (g->assigned) {
		set(p, PROP_ASSIGNED_CLIENT_ID);
		p->assigned_client_id = conn_client_id(c);
	}
	if (m->keep_alive * 1500u != c->keep_alive_ms) {
		set(p, PROP_SERVER_KEEP_ALIVE);
		p->server_keep_alive = (uint16_t)(c->keep_alive_ms / 1500);
	}
	if (c->alias_most) {
		set(p, PROP_TOPIC_ALIAS_MAXIMUM);
		p->topic_alias_maximum = c->alias_most;
	}
}

/* ---- Response Information, MQTT5 3.1.2.11.6 ---- */

/* A byte of a client id that stands for itself in a level of a name. */
static bool is_plain(char c)
{
	return c > ' ' && c != 0x7f && !strchr("/+#%,", c);
}

/* "response/<client id>/", what is not plain percent-encoded. */
static void response_prefix(const struct conn *c, struct buf *out)
{
	struct str id = conn_client_id(c);

	buf_str_add(out, STR("response/"));
	for (size_t i = 0; i < id.n; i++) {
		if (is_plain(id.p[i]) || (id.p[i] & 0x80))
			buf_u8(out, (uint8_t)id.p[i]);
		else
			buf_printf(out, "%%%02X", (unsigned char)id.p[i]);
	}
	buf_u8(out, '/');
}

static void is_whole(void *arg, struct filter f)
{
	struct str *wanted = arg;

	if (str_eq(f.text, *wanted))
		*wanted = STR_NONE;
}

/* Only what the token may receive all of, or answers would be lost. */
static void response_info(struct conn *c, struct mqtt_props *p, struct buf *room)
{
	const int64_t *most = c->badge->quotas.token;
	struct str wanted;

	if (!c->greet->connect.props.request_response_info) /* [MQTT-3.1.2-28] */
		return;
	buf_reset(room);
	response_prefix(c, room);
	buf_u8(room, '#');
	wanted = buf_str(room);
	if (!buf_ok(room) || !mqtt_name_ok(wanted) || (int64_t)wanted.n > most[LIMIT_TOPIC_SIZE] ||
	    most[LIMIT_TOPIC_LEVELS] < 3 ||
	    acl_intersect(c->badge->acl, wanted, is_whole, &wanted) != 1 || wanted.n)
		return;
	buf_cut(room, buf_len(room) - 1);
	set(p, PROP_RESPONSE_INFO);
	p->response_info = buf_str(room);
}

/* ---- The packet ---- */

static bool try(struct conn *c, bool present, const struct mqtt_props *props)
{
	struct buf *out = conn_out(c);
	size_t before = buf_len(out);

	mqtt_connack_write(out, c->version, present, RC_SUCCESS, props);
	if (!c->packet_most || buf_len(out) - before <= c->packet_most)
		return true;
	buf_cut(out, before);
	return false;
}

/* What a client cannot do without comes last: a small one is told less [MQTT-3.2.2-20]. */
static bool write_v5(struct conn *c, bool present, const struct link_opened *o, struct buf *user,
                     struct buf *room)
{
	struct mqtt_props props = { 0 };
	size_t token;

	connack_props(c, &props);
	response_info(c, &props, room);
	token_property(c, user);
	token = buf_len(user);
	if (present)
		subscriptions_property(c, *o, user);
	props.user_count = present ? 2 : 1;
	props.user = buf_ok(user) ? buf_str(user) : STR_NONE;
	if (try(c, present, &props))
		return true;
	props.user_count = 1;
	props.user.n = size_min(props.user.n, token);
	if (try(c, present, &props))
		return true;
	props.user_count = 0;
	props.user = STR_NONE;
	if (try(c, present, &props))
		return true;
	props.has &= ~(UINT64_C(1) << PROP_RESPONSE_INFO);
	return try(c, present, &props);
}

bool connack_write(struct conn *c, bool present, const struct link_opened *o)
{
	struct mqtt_props none = { 0 };
	struct buf user = { 0 }, room = { 0 };
	bool written;

	if (c->version < MQTT_V5)
		return try(c, present, &none);
	written = write_v5(c, present, o, &user, &room);
	buf_free(&user);
	buf_free(&room);
	return written;
}
