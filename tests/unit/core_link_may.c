/* core_link_may.c - what a link may say: what its HELLO states, and on channel 0 records of logs
 * out, changes in (attack I41). */
#include "tests/unit/core_link_help.h"

static void the_link_itself_publishes_records_of_logs_and_nothing_else(void)
{
	static const char *const topics[] = { "/mbus/token/7/1",
		                              "/mbus/customer/7",
		                              "/mbus/all",
		                              "/customer/7/a",
		                              "/customer/7/flespi/state/x",
		                              "/customer/7/flespi/log",
		                              "/customer/07/flespi/log/x",
		                              "/customer/flespi/log/x",
		                              "/flespi/log/x" };

	for (size_t i = 0; i < ARRAY_LEN(topics); i++) {
		begin();
		say_pub(0, 0, topics[i], "forged", 0, 0);
		talk();
		YES(is_closed());
		IS(home->counters.published, 0);
		end();
	}
	begin();
	say_pub(0, 0, "/customer/7/flespi/log/x", "kept", LINK_RETAIN, 0);
	talk();
	YES(is_closed());
	end();
}

static void the_link_itself_hears_no_customer(void)
{
	static const char *const filters[] = { "/#", "/customer/7/#", "/+/token/#", "/mbus" };

	for (size_t i = 0; i < ARRAY_LEN(filters); i++) {
		begin();
		say_sub(0, 0, filters[i], 0);
		talk();
		YES(is_closed());
		end();
	}
}

static void begin_silent(void)
{
	const char *why;

	world_begins();
	MUST(uplink_open(&uplink, home, temp_file("link-0.sock", NULL), &why) == 0);
	plug_in();
	talk();
}

static void a_link_does_what_its_hello_said_and_nothing_else(void)
{
	struct link_hello h = { .major = LINK_MAJOR, .minor = LINK_MINOR, .name = STR("test") };
	static const struct {
		uint32_t may;
		bool clients, log, rights;
	} rows[] = { { 0, false, false, false },
		     { LINK_MAY_CLIENTS, true, false, false },
		     { LINK_MAY_LOG, false, true, false },
		     { LINK_MAY_RIGHTS, false, false, true },
		     { LINK_MAY_ALL, true, true, true } };

	for (size_t i = 0; i < 3 * ARRAY_LEN(rows); i++) {
		const bool ok[] = { rows[i / 3].clients, rows[i / 3].log, rows[i / 3].rights };

		begin_silent();
		h.features = rows[i / 3].may;
		link_hello_write(&to, &h);
		if (i % 3 == 0)
			say_open(1, 1, "x", 0);
		else if (i % 3 == 1)
			say_pub(0, 0, "/customer/7/flespi/log/x", "event", 0, 0);
		else
			link_end(&to, link_rights_begin(&to, 7, 5));
		talk();
		IS(is_closed(), !ok[i % 3]);
		end();
	}
}

RUN(the_link_itself_publishes_records_of_logs_and_nothing_else, the_link_itself_hears_no_customer,
    a_link_does_what_its_hello_said_and_nothing_else)
