/* proxy_config.c - sections [listener NAME]: what they say, and what they leave to [proxy]. */
#include "proxy/config.h"

#include <stdio.h>

#include "base/bytes.h"
#include "tests/kit/kit.h"

static struct proxy_config config;
static struct opt_set set;
static char why[600];

static int read_conf(const char *text)
{
	int err;

	set = proxy_opts;
	set.config = &config;
	opts_free(&set);
	config = (struct proxy_config){ 0 };
	err = opts_read_text(&set, "m.conf", str_c(text), why, sizeof(why));
	config_settle(&config);
	return err;
}

static void done(void)
{
	opts_free(&set);
	YES(!config.listener && config.listeners == 0);
}

static void a_listener_has_what_it_says_and_the_rest_of_proxy(void)
{
	IS(read_conf(
	       "[listener lan]\nkind = ws\naddress = 127.0.0.1:8080, unix:/x\nws_path = /lan\n"
	       "ws_token_query = on\nconnect_deadline = 3s\n"
	       "[proxy]\nws_path = /all\nws_origins = https://a\nconnect_deadline = 9s\n"
	       "connections_per_ip = 5\n"
	       "[listener wan]\naddress = *:1\nconnections_per_ip = 7\n"),
	   0);
	IS(config.listeners, 2);
	IS_STR(str_c(config.listener[0].name), "lan");
	IS(config.listener[0].config.listener_kind, 2);
	IS_STR(str_c(config.listener[0].config.listener_address), "127.0.0.1:8080, unix:/x");
	IS_STR(str_c(config.listener[0].config.ws_path), "/lan");
	IS_STR(str_c(config.listener[0].config.ws_origins), "https://a");
	YES(config.listener[0].config.ws_token_query);
	IS(config.listener[0].config.connect_deadline, 3000);
	IS(config.listener[0].config.connections_per_ip, 5);
	IS(config.listener[1].config.listener_kind, 0);
	IS_STR(str_c(config.listener[1].config.ws_path), "/all");
	NO(config.listener[1].config.ws_token_query);
	IS(config.listener[1].config.connect_deadline, 9000);
	IS(config.listener[1].config.connections_per_ip, 7);
	IS_STR(str_c(config.ws_path), "/all");
	done();
}

static void an_empty_text_is_nothing_also_where_proxy_has_one(void)
{
	IS(read_conf("[proxy]\nproxy_protocol_from = 10.0.0.0/8\n"
	             "[listener x]\naddress = *:1\nproxy_protocol_from =\n"),
	   0);
	YES(!config.listener[0].config.proxy_protocol_from);
	done();
}

static void wrong_sections_are_refused_with_their_place(void)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "[listener]\n",
		  "m.conf:1: [listener] needs a name of letters, digits, _ - and ." },
		{ "[listener a b]\n",
		  "m.conf:1: [listener] needs a name of letters, digits, _ - and ." },
		{ "[listener a]\n[listener a]\n", "m.conf:2: [listener a]: stands twice" },
		{ "[listener a]\nworkers = 2\n",
		  "m.conf:2: workers: [listener] has no such key; mbus-proxy --help lists them" },
		{ "[listener a]\nkind = udp\n",
		  "m.conf:2: kind: udp is none of mqtt, mqtts, ws, wss" },
		{ "[listener a]\nws_path = /a\nws_path = /b\n",
		  "m.conf:3: ws_path: has a value already" },
		{ "[listener a]\nconnect_deadline = 1ms\n",
		  "m.conf:2: connect_deadline: 1ms is not between 100ms and 10m" },
		{ "[listener 12345678901234567890123456789012]\n",
		  "m.conf:1: [listener 12345678901234567890123456789012]: the name has more than "
		  "31 "
		  "bytes, or there are more than 16 listeners" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		IS(read_conf(rows[i].text) != 0, 1);
		YES(str_eq(str_c(why), str_c(rows[i].says)));
		done();
	}
}

static void there_are_at_most_sixteen(void)
{
	struct buf text = { 0 };

	for (unsigned i = 0; i < LISTENERS_MAX; i++)
		buf_printf(&text, "[listener l%u]\naddress = *:%u\n", i, i);
	buf_u8(&text, 0);
	IS(read_conf((const char *)buf_data(&text)), 0);
	IS(config.listeners, LISTENERS_MAX);
	buf_cut(&text, buf_len(&text) - 1);
	buf_printf(&text, "[listener more]\n");
	buf_u8(&text, 0);
	IS(read_conf((const char *)buf_data(&text)), -E_LIMIT);
	done();
	buf_free(&text);
}

static void a_listener_is_checked_as_proxy_is(void)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "[listener a]\nkind = mqtt\n", "[listener a]: address is missing" },
		{ "[listener a]\nkind = wss\naddress = *:1\n",
		  "[listener a]: mqtts and wss need tls_cert and tls_key" },
		{ "[listener a]\naddress = *:1\nunix_mode = rw\n",
		  "[listener a]: unix_mode is an octal number up to 0777, such as 0660" },
		{ "[listener a]\naddress = *:1\ntls_client_crl = x\n",
		  "[listener a]: tls_client_crl needs tls_client_ca" },
	};
	const char *reason = NULL;
	char text[256];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		(void)snprintf(text, sizeof(text), "[proxy]\ncore_dir = /x\nunix_mode = 0600\n%s",
		               rows[i].text);
		IS(read_conf(text), 0);
		IS(config_check(&config, &reason), -E_INVALID);
		YES(str_eq(str_c(reason), str_c(rows[i].says)));
		done();
	}
	IS(read_conf("[proxy]\ncore_dir = /x\nunix_mode = 0600\ntls_cert = a\ntls_key = b\n"
	             "[listener a]\nkind = mqtts\naddress = *:1\n"),
	   0);
	IS(config_check(&config, &reason), 0);
	done();
}

RUN(a_listener_has_what_it_says_and_the_rest_of_proxy,
    an_empty_text_is_nothing_also_where_proxy_has_one, wrong_sections_are_refused_with_their_place,
    there_are_at_most_sixteen, a_listener_is_checked_as_proxy_is)
