/* credential.c - which of user name and password is the credential, and which strings may be one at
 * all.
 *
 * With auth_key_form = mbus only keys with our checksum and short credentials pass. With `any`, the
 * endpoint decides what a key is: every run of visible ASCII passes, so the strict forms are looked
 * for first, and what holds spaces, controls or UTF-8 is never put into a header line. When both
 * fields could be a key, auth_key_in decides: a user name beside a password usually names a device.
 */
#include "base/base.h"
#include "proxy/auth.h"

#include "proxy/auth_parts.h"
#include "wire/token.h"

/* Visible ASCII only: what passes here is written into a line of HTTP (header injection). */
static bool visible(struct str key)
{
	if (key.n == 0 || key.n > CREDENTIAL_MAX)
		return false;
	for (size_t i = 0; i < key.n; i++) {
		if (key.p[i] <= ' ' || key.p[i] > '~')
			return false;
	}
	return true;
}

bool credential_ok(const struct credential *c, bool any_form)
{
	if (c->short_id)
		return c->key.n == TOKEN_SHORT && visible(c->key);
	return any_form ? visible(c->key) : token_key_ok(c->key);
}

static bool is_key(struct str key, bool any_form, struct credential *out)
{
	const struct credential c = { .key = key };

	if (!credential_ok(&c, any_form))
		return false;
	*out = c;
	return true;
}

bool credential_find(struct str username, bool has_username, struct str password, bool has_password,
                     enum credential_form form, struct credential *out)
{
	struct str name = has_username ? token_strip(username) : STR_NONE;
	struct str word = has_password ? token_strip(password) : STR_NONE;
	uint64_t id;

	if (is_key(name, false, out) || is_key(word, false, out))
		return true;
	if (has_username && has_password && token_short_ok(username, password, &id)) {
		*out = (struct credential){ .key = password, .short_id = id };
		return true;
	}
	if (form == CREDENTIAL_USERNAME)
		return is_key(name, true, out) || is_key(word, true, out);
	return form == CREDENTIAL_PASSWORD && (is_key(word, true, out) || is_key(name, true, out));
}

enum credential_form credential_form(const struct proxy_config *config)
{
	if (config->auth_key_form == 0)
		return CREDENTIAL_MBUS;
	return config->auth_key_in == 0 ? CREDENTIAL_PASSWORD : CREDENTIAL_USERNAME;
}
