/* acl_rest.c - the words of an access list that are about REST (flespi.md 2.1), and what a token
 * may do there. Tables only: a word that is not in them does not exist. */
#include "base/base.h"
#include "acl/acl_parts.h"

static const struct str methods[ACL_METHODS] = {
	STR_INIT("GET"), STR_INIT("POST"), STR_INIT("PUT"), STR_INIT("DELETE"), STR_INIT("PATCH"),
};

static const struct str submodules[ACL_SUBMODULES] = {
	STR_INIT("logs"),      STR_INIT("messages"),       STR_INIT("telemetry"),
	STR_INIT("settings"),  STR_INIT("connections"),    STR_INIT("devices"),
	STR_INIT("channels"),  STR_INIT("groups"),         STR_INIT("geofences"),
	STR_INIT("calculate"), STR_INIT("media"),          STR_INIT("packets"),
	STR_INIT("commands"),  STR_INIT("commands-queue"), STR_INIT("commands-result"),
	STR_INIT("sms"),       STR_INIT("files"),          STR_INIT("intervals"),
	STR_INIT("idents"),
};

static const struct str uris[ACL_URIS] = {
	STR_INIT("mqtt"),      STR_INIT("gw/channels"),        STR_INIT("gw/devices"),
	STR_INIT("gw/groups"), STR_INIT("gw/streams"),         STR_INIT("gw/modems"),
	STR_INIT("gw/calcs"),  STR_INIT("gw/plugins"),         STR_INIT("gw/geofences"),
	STR_INIT("gw/assets"), STR_INIT("storage/containers"), STR_INIT("storage/cdns"),
	STR_INIT("ai"),
};

const int acl_uri_mqtt = 0, acl_submodule_logs = 0;

static int word_of(const struct str *words, size_t count, struct str word)
{
	for (size_t i = 0; i < count; i++) {
		if (str_eq(words[i], word))
			return (int)i;
	}
	return -1;
}

int acl_method_of(struct str word)
{
	return word_of(methods, ARRAY_LEN(methods), word);
}

int acl_submodule_of(struct str word)
{
	return word_of(submodules, ARRAY_LEN(submodules), word);
}

int acl_uri_of(struct str word)
{
	return word_of(uris, ARRAY_LEN(uris), word);
}

static bool is_platform(struct str uri)
{
	return str_starts(uri, STR("platform")) && (uri.n == 8 || uri.p[8] == '/');
}

bool acl_may_rest(const struct acl *a, struct str uri, struct str submodule, struct str method)
{
	int u = acl_uri_of(uri), m = acl_method_of(method),
	    s = submodule.n ? acl_submodule_of(submodule) : -1;

	if (a->type != ACL_LISTED)
		return a->type == ACL_MASTER || !is_platform(uri);
	if (u < 0 || m < 0 || (submodule.n && s < 0))
		return false; /* nothing under platform/ can be granted at all */
	return a->rest[u][1 + s] >> m & 1;
}
