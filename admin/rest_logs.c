/* rest_logs.c - logs: the live stream (`?follow=1`, follow.h). Answering from the past needs the
 * log keeper, which is not here. */
#include "base/base.h"
#include "admin/rest.h"

#include "admin/follow.h"

void rest_logs_history(struct call *c)
{
	call_fail(c, REST_NOT_HERE_YET, 0,
	          "past log records are not kept yet; follow the log live with ?follow=1 on "
	          "/platform/customer/logs or /mqtt/logs, "
	          "or subscribe to flespi/log/# over MQTT");
}

static void answer(struct call *c, const struct follow_right *right)
{
	struct str wanted;
	int err = -E_LIMIT;

	if (!call_arg(c, STR("follow"), &wanted)) {
		rest_logs_history(c);
		return;
	}
	if (!str_eq(wanted, STR("1"))) {
		call_fail(c, REST_BAD_REQUEST, 0, "follow must be 1");
		return;
	}
	if (c->rest->follow)
		err = follow_add(c->rest->follow, &c->caller, c->scope, right, &c->resp->stream);
	if (err == -E_LIMIT)
		call_fail(c, REST_TOO_MANY, 0, "too many follow the log already");
	else if (err)
		call_fail_store(c, err);
	if (err)
		return;
	c->resp->status = 200;
	c->resp->content_type = "text/event-stream";
	buf_str_add(&c->resp->body,
	            STR(": following\n\n")); /* so that the reader knows at once that it does */
}

void rest_logs_platform(struct call *c)
{
	static const struct follow_right right = { "platform/customer", STR_INIT("flespi/log/") };

	answer(c, &right);
}

void rest_logs_mqtt(struct call *c)
{
	static const struct follow_right right = { "mqtt", STR_INIT("flespi/log/mqtt/") };

	answer(c, &right);
}
