/* paho_client.c - drives paho's C library (MQTTAsync) for the flow tests as mqttjs.mjs drives
 * MQTT.js: a JSON command per line in, a JSON event per line out. End of input: ends at once, as a
 * process that died. */
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <MQTTAsync.h>

static MQTTAsync client;
static bool v5;

/* Callbacks come from threads of the library; a line is one write under stdout's lock. */
static void say(json_t *event)
{
	char *text = json_dumps(event, JSON_COMPACT);

	json_decref(event);
	if (!text)
		abort();
	(void)printf("%s\n", text);
	free(text);
}

/* ---- Answers ---- */

static void done(void *event, int token, int code)
{
	(void)token;
	say(json_pack("{s:s, s:i, s:n}", "event", (const char *)event, "code", code, "error"));
}

static void failed(void *event, int code, const char *why)
{
	say(json_pack("{s:s, s:i, s:s}", "event", (const char *)event, "code", code, "error",
	              why ? why : "no"));
}

static void on_success(void *event, MQTTAsync_successData *d)
{
	done(event, d ? d->token : 0, 0);
}

static void on_success5(void *event, MQTTAsync_successData5 *d)
{
	done(event, d ? d->token : 0, d ? (int)d->reasonCode : 0);
}

static void on_failure(void *event, MQTTAsync_failureData *d)
{
	failed(event, d ? d->code : 0, d ? d->message : NULL);
}

static void on_failure5(void *event, MQTTAsync_failureData5 *d)
{
	failed(event, d ? (int)d->reasonCode : 0, d ? d->message : NULL);
}

static void on_open(void *event, MQTTAsync_successData *d)
{
	say(json_pack("{s:s, s:b}", "event", (const char *)event, "present",
	              d->alt.connect.sessionPresent));
}

static void on_open5(void *event, MQTTAsync_successData5 *d)
{
	say(json_pack("{s:s, s:b}", "event", (const char *)event, "present",
	              d->alt.connect.sessionPresent));
}

static int on_message(void *context, char *topic, int topic_size, MQTTAsync_message *m)
{
	(void)context;
	say(json_pack("{s:s, s:s%, s:s%, s:i, s:b}", "event", "message", "topic", topic,
	              topic_size ? (size_t)topic_size : strlen(topic), "payload", m->payload,
	              (size_t)m->payloadlen, "qos", m->qos, "retain", m->retained));
	MQTTAsync_freeMessage(&m);
	MQTTAsync_free(topic);
	return 1;
}

static void on_lost(void *context, char *why)
{
	(void)context;
	(void)why;
	say(json_pack("{s:s}", "event", "close"));
}

static void on_connected(void *context, char *why)
{
	(void)context;
	(void)why;
	say(json_pack("{s:s}", "event", "connected"));
}

/* ---- Commands ---- */

static const char *text_of(const json_t *c, const char *key)
{
	return json_string_value(json_object_get(c, key));
}

static int number_of(const json_t *c, const char *key)
{
	return (int)json_integer_value(json_object_get(c, key));
}

static void check(int code, const char *what)
{
	if (code)
		say(json_pack("{s:s, s:i, s:s}", "event", "error", "code", code, "error", what));
}

static MQTTAsync_responseOptions answer_to(const char *event)
{
	MQTTAsync_responseOptions o = MQTTAsync_responseOptions_initializer;

	o.context = (void *)(size_t)event;
	if (v5) {
		o.onSuccess5 = on_success5;
		o.onFailure5 = on_failure5;
	} else {
		o.onSuccess = on_success;
		o.onFailure = on_failure;
	}
	return o;
}

/* {url, id, token, clean, expiry, keep, will: {topic, payload, qos}, ca} */
static void connect_command(const json_t *c)
{
	static MQTTAsync_willOptions will = MQTTAsync_willOptions_initializer;
	static MQTTAsync_SSLOptions ssl = MQTTAsync_SSLOptions_initializer;
	static MQTTProperties props = MQTTProperties_initializer;
	MQTTAsync_connectOptions o = MQTTAsync_connectOptions_initializer;
	MQTTAsync_connectOptions o5 = MQTTAsync_connectOptions_initializer5;
	MQTTAsync_createOptions create = MQTTAsync_createOptions_initializer5;
	MQTTProperty expiry = { .identifier = MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL };
	const json_t *w = json_object_get(c, "will");
	bool clean = json_is_true(json_object_get(c, "clean"));

	v5 = number_of(c, "version") == 5;
	create.MQTTVersion = v5 ? MQTTVERSION_5 : MQTTVERSION_3_1_1;
	create.sendWhileDisconnected = 1;
	check(MQTTAsync_createWithOptions(&client, text_of(c, "url"), text_of(c, "id"),
	                                  MQTTCLIENT_PERSISTENCE_NONE, NULL, &create),
	      "create");
	check(MQTTAsync_setCallbacks(client, NULL, on_lost, on_message, NULL), "callbacks");
	check(MQTTAsync_setConnected(client, NULL, on_connected), "connected");
	if (v5) {
		o = o5;
		o.cleanstart = clean;
		expiry.value.integer4 = (unsigned)number_of(c, "expiry");
		check(MQTTProperties_add(&props, &expiry), "expiry");
		o.connectProperties = &props;
		o.onSuccess5 = on_open5;
		o.onFailure5 = on_failure5;
	} else {
		o.MQTTVersion = MQTTVERSION_3_1_1;
		o.cleansession = clean;
		o.onSuccess = on_open;
		o.onFailure = on_failure;
	}
	o.context = (void *)(size_t) "connect";
	o.keepAliveInterval = 30;
	o.automaticReconnect = 1;
	o.minRetryInterval = 1;
	o.maxRetryInterval = 2;
	o.username = text_of(c, "token");
	o.password = "";
	if (w) {
		will.topicName = text_of(w, "topic");
		will.message = text_of(w, "payload");
		will.qos = number_of(w, "qos");
		o.will = &will;
	}
	if (strncmp(text_of(c, "url"), "ssl", 3) == 0 ||
	    strncmp(text_of(c, "url"), "wss", 3) == 0) {
		ssl.trustStore = text_of(c, "ca");
		ssl.enableServerCertAuth = 1;
		ssl.verify = 1;
		o.ssl = &ssl;
	}
	check(MQTTAsync_connect(client, &o), "connect");
}

static void subscribe_command(const json_t *c)
{
	MQTTAsync_responseOptions o = answer_to("subscribed");

	check(MQTTAsync_subscribe(client, text_of(c, "topic"), number_of(c, "qos"), &o),
	      "subscribe");
}

static void publish_command(const json_t *c)
{
	MQTTAsync_responseOptions o = answer_to("published");
	const json_t *payload = json_object_get(c, "payload");

	check(MQTTAsync_send(client, text_of(c, "topic"), (int)json_string_length(payload),
	                     json_string_value(payload), number_of(c, "qos"),
	                     json_is_true(json_object_get(c, "retain")), &o),
	      "publish");
}

static void end_command(const json_t *c)
{
	MQTTAsync_disconnectOptions o = MQTTAsync_disconnectOptions_initializer;
	MQTTAsync_disconnectOptions o5 = MQTTAsync_disconnectOptions_initializer5;

	(void)c;
	if (v5) {
		o = o5;
		o.onSuccess5 = on_success5;
	} else {
		o.onSuccess = on_success;
	}
	o.timeout = 5000;
	o.context = (void *)(size_t) "ended";
	check(MQTTAsync_disconnect(client, &o), "end");
}

static const struct {
	const char *word;
	void (*run)(const json_t *command);
} commands[] = {
	{ "connect", connect_command },
	{ "subscribe", subscribe_command },
	{ "publish", publish_command },
	{ "end", end_command },
};

int main(void)
{
	static json_t *command; /* the library borrows texts of the first one */
	char *line = NULL;
	size_t room = 0;

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	while (getline(&line, &room, stdin) > 0) {
		command = json_loads(line, 0, NULL);
		for (size_t i = 0; command && i < sizeof(commands) / sizeof(commands[0]); i++) {
			if (strcmp(text_of(command, "do"), commands[i].word) == 0)
				commands[i].run(command);
		}
	}
	_exit(0);
}
