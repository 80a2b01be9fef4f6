/* What an access object must look like, and what is said about one that does not (attack C14). */
#include "base/base.h"
#include "tests/kit/kit.h"
#include "tests/unit/acl_help.h"

static const struct bad_row {
	const char *access, *why;
} bad_rows[] = {
	{ "[]", "access must be an object" },
	{ "{}", "access.type must be 0, 1 or 2" },
	{ "{\"type\":3}", "access.type must be 0, 1 or 2" },
	{ "{\"type\":-1}", "access.type must be 0, 1 or 2" },
	{ "{\"type\":\"1\"}", "access.type must be 0, 1 or 2" },
	{ "{\"type\":1.0}", "access.type must be 0, 1 or 2" },
	{ "{\"type\":true}", "access.type must be 0, 1 or 2" },
	{ "{\"type\":1,\"master\":true}", "access has a key other than type and acl" },
	{ "{\"type\":2,\"acl\":{}}", "access.acl must be a list" },
	{ "{\"type\":2,\"acl\":null}", "access.acl must be a list" },
	{ "{\"type\":1,\"acl\":[{\"uri\":\"ai\"}]}", "access.acl belongs to type 2 only" },
};

static const struct bad_row bad_entries[] = {
	{ "1", "acl[0]: must be an object" },
	{ "{\"uri\":\"ai\"},{}", "acl[1].uri: is missing" },
	{ "{\"uri\":1}", "acl[0].uri: must be a string" },
	{ "{\"uri\":\"platform/tokens\"}", "acl[0].uri: \"platform/tokens\" is not known" },
	{ "{\"uri\":\"MQTT\"}", "acl[0].uri: \"MQTT\" is not known" },
	{ "{\"uri\":\"a\\u001b[2J\"}", "acl[0].uri: \"a?[2J\" is not known" },
	{ "{\"uri\":\"ai\",\"deny\":true}", "acl[0]: \"deny\" is no key of an entry" },
	{ "{\"uri\":\"ai\",\"topic\":\"a\",\"actions\":[\"publish\"]}",
	  "acl[0].topic: belongs to uri \"mqtt\" only" },
	{ "{\"uri\":\"ai\",\"actions\":[\"publish\"]}",
	  "acl[0].actions: belongs to uri \"mqtt\" only" },
	{ "{\"uri\":\"mqtt\",\"topic\":\"a\"}",
	  "acl[0].actions: is missing: what may be done to the topic?" },
	{ "{\"uri\":\"mqtt\",\"actions\":[\"publish\"]}",
	  "acl[0].topic: is missing: to what do the actions apply?" },
	{ "{\"uri\":\"mqtt\",\"topic\":\"a\",\"actions\":[]}",
	  "acl[0].actions: must be a list of \"publish\" and \"subscribe\"" },
	{ "{\"uri\":\"mqtt\",\"topic\":\"a\",\"actions\":\"publish\"}",
	  "acl[0].actions: must be a list of \"publish\" and \"subscribe\"" },
	{ "{\"uri\":\"mqtt\",\"topic\":\"a\",\"actions\":[\"read\"]}",
	  "acl[0].actions: must be a list of \"publish\" and \"subscribe\"" },
	{ "{\"uri\":\"mqtt\",\"topic\":\"a\",\"actions\":[1]}",
	  "acl[0].actions: must be a list of \"publish\" and \"subscribe\"" },
	{ "{\"uri\":\"mqtt\",\"topic\":1,\"actions\":[\"publish\"]}",
	  "acl[0].topic: must be a string" },
	{ "{\"uri\":\"mqtt\",\"topic\":\"\",\"actions\":[\"publish\"]}",
	  "acl[0].topic: \"\" is not a topic filter" },
	{ "{\"uri\":\"mqtt\",\"topic\":\"a/#/b\",\"actions\":[\"publish\"]}",
	  "acl[0].topic: \"a/#/b\" is not a topic filter" },
	{ "{\"uri\":\"mqtt\",\"topic\":\"a+\",\"actions\":[\"publish\"]}",
	  "acl[0].topic: \"a+\" is not a topic filter" },
	{ "{\"uri\":\"mqtt\",\"topic\":\"a\\u0007\",\"actions\":[\"publish\"]}",
	  "acl[0].topic: \"a?\" is not a topic filter" },
	{ "{\"uri\":\"ai\"},{\"uri\":\"ai\"},{\"uri\":\"mqtt\",\"topic\":\"flespi/"
	  "#\",\"actions\":[\"subscribe\"]}",
	  "acl[2].topic: \"flespi/#\" is reserved, no grant may name it" },
	{ "{\"uri\":\"mqtt\",\"topic\":\"flespi\",\"actions\":[\"subscribe\"]}",
	  "acl[0].topic: \"flespi\" is reserved, no grant may name it" },
	{ "{\"uri\":\"mqtt\",\"topic\":\"$share/g/a\",\"actions\":[\"subscribe\"]}",
	  "acl[0].topic: \"$share/g/a\": a grant names the filter alone, without $share" },
	{ "{\"uri\":\"ai\",\"methods\":\"GET\"}", "acl[0].methods: must be a list of methods" },
	{ "{\"uri\":\"ai\",\"methods\":[1]}", "acl[0].methods: must be a list of methods" },
	{ "{\"uri\":\"ai\",\"methods\":[\"get\"]}", "acl[0].methods: \"get\" is no method" },
	{ "{\"uri\":\"ai\",\"ids\":\"some\"}",
	  "acl[0].ids: must be \"all\", \"in-groups\" or a list of ids" },
	{ "{\"uri\":\"ai\",\"ids\":[0]}",
	  "acl[0].ids: must be \"all\", \"in-groups\" or a list of ids" },
	{ "{\"uri\":\"ai\",\"ids\":[\"1\"]}",
	  "acl[0].ids: must be \"all\", \"in-groups\" or a list of ids" },
	{ "{\"uri\":\"ai\",\"ids\":7}",
	  "acl[0].ids: must be \"all\", \"in-groups\" or a list of ids" },
	{ "{\"uri\":\"mqtt\",\"ids\":[7],\"methods\":[\"GET\"]}",
	  "acl[0].ids: can only be \"all\" with uri \"mqtt\"" },
	{ "{\"uri\":\"ai\",\"submodules\":{}}", "acl[0].submodules: must be a list" },
	{ "{\"uri\":\"ai\",\"submodules\":[\"logs\"]}",
	  "acl[0].submodules: each must be {\"name\":..,\"methods\":[..]}" },
	{ "{\"uri\":\"ai\",\"submodules\":[{\"name\":\"logs\"}]}",
	  "acl[0].submodules: each must be {\"name\":..,\"methods\":[..]}" },
	{ "{\"uri\":\"ai\",\"submodules\":[{\"name\":\"logs\",\"methods\":[],\"x\":1}]}",
	  "acl[0].submodules: each must be {\"name\":..,\"methods\":[..]}" },
	{ "{\"uri\":\"ai\",\"submodules\":[{\"name\":\"secrets\",\"methods\":[]}]}",
	  "acl[0].submodules: \"secrets\" is not known" },
	{ "{\"uri\":\"ai\",\"submodules\":[{\"name\":\"logs\",\"methods\":[\"LOOK\"]}]}",
	  "acl[0].submodules: \"LOOK\" is no method" },
};

static void refused(const char *text, const char *expected)
{
	json_t *access = json_of(text);
	struct acl *acl = NULL;
	char why[160] = "";

	if (acl_compile(&acl, access, why, sizeof(why)) != -E_INVALID || acl)
		fail_msg("accepted: %s", text);
	IS_BYTES(str_c(why), str_c(expected));
	why[0] = 'x';
	IS(acl_compile(&acl, access, guard_put(why, 1), 1),
	   -E_INVALID); /* no room to say why is no reason to crash */
	json_decref(access);
	guard_reset();
}

static void an_object_that_is_not_understood_is_refused_with_the_reason(void)
{
	for (size_t i = 0; i < ARRAY_LEN(bad_rows); i++)
		refused(bad_rows[i].access, bad_rows[i].why);
}

static void an_entry_that_is_not_understood_is_refused_with_its_place(void)
{
	for (size_t i = 0; i < ARRAY_LEN(bad_entries); i++) {
		char text[512];

		(void)snprintf(text, sizeof(text), "{\"type\":2,\"acl\":[%s]}",
		               bad_entries[i].access);
		refused(text, bad_entries[i].why);
	}
}

static const char *const good[] = {
	"{\"type\":0}",
	"{\"type\":1}",
	"{\"type\":1,\"acl\":[]}",
	"{\"type\":2}",
	"{\"type\":2,\"acl\":[]}",
	"{\"type\":2,\"acl\":[{\"uri\":\"gw/devices\",\"methods\":[\"GET\"]}]}",
	"{\"type\":2,\"acl\":[{\"uri\":\"mqtt\",\"topic\":\"/a/b/"
	"#\",\"actions\":[\"publish\",\"subscribe\"]}]}",
	"{\"type\":2,\"acl\":[{\"uri\":\"mqtt\",\"topic\":\"a\",\"actions\":[\"publish\"],"
	"\"methods\":[\"GET\",\"POST\",\"PUT\",\"DELETE\",\"PATCH\"],\"ids\":\"all\"}]}",
	"{\"type\":2,\"acl\":[{\"uri\":\"gw/"
	"channels\",\"ids\":[1,9007199254740993],\"submodules\":[{\"name\":\"commands-queue\","
	"\"methods\":[]}]}]}",
	"{\"type\":2,\"acl\":[{\"uri\":\"storage/"
	"cdns\",\"ids\":\"in-groups\"},{\"uri\":\"ai\"},{\"uri\":\"mqtt\"}]}",
};

static void what_flespi_documents_is_accepted(void)
{
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		json_t *access = json_of(good[i]);
		struct acl *acl = NULL;
		char why[160] = "";

		if (acl_compile(&acl, access, why, sizeof(why)))
			fail_msg("%s: %s", why, good[i]);
		json_decref(access);
		acl_put(&acl);
	}
}

static void a_list_is_bounded(void)
{
	json_t *access = json_of("{\"type\":2,\"acl\":[]}"), *list = json_object_get(access, "acl");
	struct acl *acl = NULL;
	char why[160] = "";

	for (unsigned i = 0; i < ACL_ENTRIES_MAX; i++)
		IS(json_array_append_new(
		       list,
		       json_of("{\"uri\":\"mqtt\",\"topic\":\"a\",\"actions\":[\"publish\","
		               "\"subscribe\"],\"methods\":[\"GET\"],"
		               "\"submodules\":[{\"name\":\"logs\",\"methods\":[\"GET\"]}]}")),
		   0);
	IS(acl_compile(&acl, access, why, sizeof(why)), 0);
	acl_put(&acl);
	IS(json_array_append_new(list, json_of("{\"uri\":\"ai\"}")), 0);
	IS(acl_compile(&acl, access, why, sizeof(why)), -E_INVALID);
	json_decref(access);
}

static void every_failed_allocation_is_an_error_and_nothing_else(void)
{
	static const char *lists[] = { "standard", "master", "",
		                       "ps a/#, s a/b, p +/x, logs, state" };

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		json_t *access = access_of(lists[i]);

		each_alloc_failure(n)
		{
			struct acl *acl = NULL;
			char why[160] = "";
			int err = acl_compile(&acl, access, why, sizeof(why));

			IS(err == 0, acl != NULL);
			if (err) {
				IS(err, -E_NOMEM);
				IS_STR(str_c(why), "out of memory");
			}
			acl_put(&acl);
		}
		json_decref(access);
	}
}

RUN(an_object_that_is_not_understood_is_refused_with_the_reason,
    an_entry_that_is_not_understood_is_refused_with_its_place, what_flespi_documents_is_accepted,
    a_list_is_bounded, every_failed_allocation_is_an_error_and_nothing_else)
