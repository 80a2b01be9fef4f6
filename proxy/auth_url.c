/* auth_url.c - where the endpoint is, and whether tokens may be sent there at all. Pure but for
 * memory. */
#include "base/base.h"
#include "proxy/auth_http.h"

#include <curl/curl.h>

#include "base/mem.h"
#include "proxy/config.h"

/* Digits and dots only after "127.": "127.example.com" is a name like any other. libcurl never asks
 * a resolver for "localhost". */
static bool is_loopback(const char *host)
{
	if (strncmp(host, "127.", 4) == 0)
		return strspn(host, "0123456789.") == strlen(host);
	return strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0;
}

/* NULL or why not. */
static const char *check_url(struct auth_target *t, const struct proxy_config *config, CURLU *url)
{
	char *scheme = NULL, *host = NULL, *user = NULL;
	const char *why = NULL;

	if (curl_url_set(url, CURLUPART_URL, t->url, 0) != CURLUE_OK ||
	    curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
	    curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK)
		why = "auth_url: not a URL; write http://127.0.0.1:9005/auth/info, https://... or "
		      "unix:/path";
	else if (curl_url_get(url, CURLUPART_USER, &user, 0) == CURLUE_OK)
		why = "auth_url: a user name in the URL is not supported";
	else if (strcmp(scheme, "https") == 0)
		t->tls = true;
	else if (strcmp(scheme, "http") != 0)
		why = "auth_url: only http, https and unix: are supported";
	else if (!config->auth_insecure_http && !is_loopback(host))
		why = "auth_url: plain http would send tokens readable over the network; use "
		      "https, or set auth_insecure_http = on";
	curl_free(scheme);
	curl_free(host);
	curl_free(user);
	return why;
}

int auth_target_find(struct auth_target *t, const struct proxy_config *config, const char **why)
{
	struct str url = str_c(config->auth_url);
	CURLU *parsed;

	*why = "out of memory";
	if (str_starts(url, STR("unix:"))) {
		t->unix_path = str_dup_z(str_skip(url, 5));
		t->url = str_dup_z(STR("http://localhost/auth/info"));
		if (!t->unix_path || !t->url)
			return -E_NOMEM;
		if (t->unix_path[0] == '/' && strlen(t->unix_path) < 108)
			return 0;
		*why = "auth_url: unix: needs an absolute path of at most 107 bytes";
		return -E_INVALID;
	}
	t->url = str_dup_z(url);
	parsed = curl_url();
	if (!t->url || !parsed) {
		curl_url_cleanup(parsed);
		return -E_NOMEM;
	}
	*why = check_url(t, config, parsed);
	curl_url_cleanup(parsed);
	return *why ? -E_INVALID : 0;
}

void auth_target_free(struct auth_target *t)
{
	mem_free(t->url);
	mem_free(t->unix_path);
	*t = (struct auth_target){ 0 };
}
