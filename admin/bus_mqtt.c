/* bus_mqtt.c - what admin says to the core and hears from it, in MQTT 5. The core is family: what
 * it says against the standard ends the connection and is logged. */
#include "base/base.h"
#include "admin/bus.h"

#include <inttypes.h>

#include "admin/bus_parts.h"
#include "base/log.h"

enum {
	WINDOW = 128,
	PACKET_MOST = 8 << 20,
	OUT_HIGH = 1 << 20,
	KEEP_ALIVE_S = 60,
	FOLLOW_ID = 65535
};
#define LOG_FILTER "customer/+/flespi/log/#"

void bus_greet(struct bus *b)
{
	struct mqtt_connect c = {
		.version = MQTT_V5,
		.clean_start = true,
		.keep_alive = KEEP_ALIVE_S,
		.client_id = STR("mbus-admin"),
		.props = { .has = UINT64_C(1) << PROP_MAXIMUM_PACKET_SIZE,
		           .maximum_packet_size = PACKET_MOST },
	};

	mqtt_connect_write(&b->out, &c);
}

void bus_say_follow(struct bus *b)
{
	const struct str filter = STR(LOG_FILTER);
	const struct mqtt_sub_opts opts = { .qos = 0, .retain_handling = 2 };

	if (b->following)
		mqtt_subscribe_write(&b->out, MQTT_V5, FOLLOW_ID, &filter, &opts, 1, NULL);
	else
		mqtt_unsubscribe_write(&b->out, MQTT_V5, FOLLOW_ID, &filter, 1, NULL);
}

/* ---- Publishing ---- */
static struct mqtt_publish publish_of(const struct bus_item *item)
{
	return (struct mqtt_publish){
		.qos = 1,
		.packet_id = item->packet_id,
		.topic = str_make(item->bytes, item->topic_size),
		.payload = str_make(item->bytes + item->topic_size, item->payload_size),
	};
}

/* The window is far smaller than the numbers there are, and acknowledgements come in order: a
 * number is free again long before it comes round. FOLLOW_ID is left out. */
static uint16_t next_id(struct bus *b)
{
	b->last_id = b->last_id >= FOLLOW_ID - 1 ? 1 : (uint16_t)(b->last_id + 1);
	return b->last_id;
}

/* One that the core would not take must not end the connection again and again. */
static void drop_too_large(struct bus *b, struct bus_item *item)
{
	uint64_t dropped = atomic_fetch_add(&b->dropped, 1) + 1;

	LOG_WARN("", "bus-drop", "why=too-large size=%zu dropped=%" PRIu64, item->payload_size,
	         dropped);
	bus_item_free(b, item);
	b->missed = true;
}

static void say_all(struct bus *b)
{
	struct mqtt_publish all = { .qos = 0, .topic = STR("mbus/all"), .payload = STR("{}") };

	b->missed = false;
	mqtt_publish_write(&b->out, MQTT_V5, &all);
}

void bus_pump(struct bus *b)
{
	struct bus_item *item;

	while (b->in_flight_count < b->window && buf_len(&b->out) < OUT_HIGH &&
	       (item = list_first(&b->queue, struct bus_item, node))) {
		struct mqtt_publish p;

		item->packet_id = next_id(b);
		p = publish_of(item);
		if (mqtt_publish_size(MQTT_V5, &p) > b->packet_most) {
			drop_too_large(b, item);
			continue;
		}
		mqtt_publish_write(&b->out, MQTT_V5, &p);
		list_del(&item->node);
		list_add_tail(&b->in_flight, &item->node);
		b->in_flight_count++;
		atomic_fetch_add(&b->published, 1);
	}
	if (atomic_exchange(&b->overflowed, false))
		b->missed = true;
	if (b->missed && list_empty(&b->queue))
		say_all(b);
}

/* ---- Hearing ---- */
static void on_connack(struct bus *b, struct str body)
{
	struct mqtt_connack ack;

	if (b->state != BUS_OPENING || mqtt_connack_read(body, MQTT_V5, &ack)) {
		bus_drop(b, "strange CONNACK");
		return;
	}
	if (ack.code != RC_SUCCESS) {
		bus_drop(b, mqtt_reason_text(ack.code));
		return;
	}
	b->window = WINDOW;
	if (mqtt_has(&ack.props, PROP_RECEIVE_MAXIMUM) && ack.props.receive_maximum < WINDOW)
		b->window = ack.props.receive_maximum;
	b->packet_most = MQTT_REMAINING_MAX;
	if (mqtt_has(&ack.props, PROP_MAXIMUM_PACKET_SIZE))
		b->packet_most = ack.props.maximum_packet_size;
	bus_is_up(b);
}

static void on_puback(struct bus *b, struct str body)
{
	struct mqtt_ack ack;
	struct bus_item *item;

	if (mqtt_ack_read(body, MQTT_PUBACK, MQTT_V5, &ack)) {
		bus_drop(b, "strange PUBACK");
		return;
	}
	list_each(item, &b->in_flight, struct bus_item, node) {
		if (item->packet_id != ack.packet_id)
			continue;
		if (ack.code >= RC_UNSPECIFIED_ERROR) {
			atomic_fetch_add(&b->dropped, 1);
			b->missed = true;
			LOG_WARN("", "bus-refused", "code=%u", ack.code);
		}
		b->in_flight_count--;
		bus_item_free(b, item);
		return;
	}
	bus_drop(b, "PUBACK for nothing");
}

static void on_publish(struct bus *b, uint8_t flags, struct str body)
{
	struct mqtt_publish p;

	if (mqtt_publish_read(body, flags, MQTT_V5, false, &p) || p.qos > 1) {
		bus_drop(b, "strange PUBLISH");
		return;
	}
	if (p.qos == 1)
		mqtt_ack_write(&b->out, MQTT_PUBACK, MQTT_V5, p.packet_id, RC_SUCCESS, NULL);
	if (!p.retain && b->record)
		b->record(b->arg, p.topic, p.payload);
}

static void on_suback(struct bus *b, struct str body)
{
	struct mqtt_suback ack;

	if (mqtt_suback_read(body, MQTT_SUBACK, MQTT_V5, &ack) || ack.codes.n != 1) {
		bus_drop(b, "strange SUBACK");
		return;
	}
	if ((uint8_t)ack.codes.p[0] >= RC_UNSPECIFIED_ERROR)
		LOG_ERROR("", "follow-refused", "code=%u", (uint8_t)ack.codes.p[0]);
}

static void on_packet(struct bus *b, const struct mqtt_head *h, struct str body)
{
	if (b->state != BUS_OPEN && h->type != MQTT_CONNACK) {
		bus_drop(b, "no CONNACK first");
		return;
	}
	switch (h->type) {
	case MQTT_CONNACK:
		on_connack(b, body);
		break;
	case MQTT_PUBACK:
		on_puback(b, body);
		break;
	case MQTT_PUBLISH:
		on_publish(b, h->flags, body);
		break;
	case MQTT_SUBACK:
		on_suback(b, body);
		break;
	case MQTT_UNSUBACK:
		break;
	case MQTT_PINGRESP:
		b->pinged = false;
		break;
	case MQTT_DISCONNECT:
		bus_drop(b, "the core ends the connection");
		break;
	default:
		bus_drop(b, "a packet that no server sends");
		break;
	}
}

void bus_read(struct bus *b)
{
	while (b->state != BUS_DOWN) {
		struct str bytes = buf_str(&b->in);
		struct mqtt_head h;
		enum parse parse = bytes.n ? mqtt_head_read(bytes, &h) : PARSE_MORE;

		if (parse == PARSE_BAD || (parse == PARSE_OK && h.remaining > PACKET_MOST)) {
			bus_drop(b, "not MQTT");
			return;
		}
		if (parse == PARSE_MORE || bytes.n - h.size < h.remaining)
			return;
		on_packet(b, &h, str_make(bytes.p + h.size, h.remaining));
		if (b->state != BUS_DOWN)
			buf_consume(&b->in, h.size + h.remaining);
	}
}
