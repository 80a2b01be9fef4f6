/* The body of an endpoint's answer. Whatever is believed must make sense. */
#include "base/base.h"
#include "acl/verdict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void nothing_forbidden(void *arg, struct filter f)
{
	const struct acl *acl = arg;

	MUST(topic_filter_ok(f.text));
	MUST(acl_type(acl) != ACL_LISTED || !topic_is_system(f.text) ||
	     str_starts(f.text, STR("flespi/state/mqtt/")) ||
	     str_starts(f.text, STR("flespi/log/mqtt/")));
}

static void use(struct acl *acl)
{
	char why[300];
	int n = acl_intersect(acl, STR("#"), nothing_forbidden, acl);

	MUST(n >= 0 || n == -E_LIMIT);
	(void)acl_publishable(acl, nothing_forbidden, acl);
	MUST(!acl_may_publish(acl, STR("flespi/x")) && !acl_may_publish(acl, STR("$x")));
	acl_explain(acl, true, STR("a/b"), why, sizeof(why));
	MUST(acl_type(acl) == ACL_MASTER ||
	     !acl_may_rest(acl, STR("platform/tokens"), STR(""), STR("GET")));
	MUST(acl_same(acl, acl));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct token_info t = { 0 };
	char why[200] = "";
	int err = token_info_read_reply(&t, str_make(data, size), why, sizeof(why));

	if (err) {
		MUST(why[0] && !t.acl && !t.ips && !t.certs && !t.client_ids);
		return 0;
	}
	MUST(t.customer && t.acl && t.expire >= 0);
	if (t.ips)
		(void)token_ips_allow(t.ips, STR("10.0.0.1"));
	if (t.certs) {
		MUST(token_certs_ok(str_c(t.certs)) && !token_certs_allow(t.certs, STR_NONE));
		(void)token_certs_allow(t.certs, STR("l\xc3\xa4mp 7"));
	}
	if (t.client_ids)
		MUST(*t.client_ids &&
		     (!client_ids_allow(t.client_ids, STR_NONE) || strchr(t.client_ids, '*')));
	use(t.acl);
	token_info_free(&t);
	return 0;
}
