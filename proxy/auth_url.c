/* auth_url.c - where the endpoint is, and whether tokens may be sent there at all: by the
 * configuration, and by who listens on a Unix socket. */
#include "base/base.h"
#include "proxy/auth_http.h"

#include <curl/curl.h>
#include <libgen.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/sock.h"
#include "proxy/config.h"

enum { PATH_ROOM = 108 };

/* NULL or why not. */
static const char *check_url(struct auth_target *t, const struct proxy_config *config, CURLU *url)
{
	char *scheme = NULL, *host = NULL, *user = NULL;
	const char *why = NULL;

	if (curl_url_set(url, CURLUPART_URL, t->url, 0) != CURLUE_OK ||
	    curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
	    curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK)
		why = "auth_url: not a URL; write unix:/path, https://... or http://...";
	else if (curl_url_get(url, CURLUPART_USER, &user, 0) == CURLUE_OK)
		why = "auth_url: a user name in the URL is not supported";
	else if (strcmp(scheme, "https") == 0)
		t->tls = true;
	else if (strcmp(scheme, "http") != 0)
		why = "auth_url: only http, https and unix: are supported";
	else if (!config->auth_insecure)
		why =
		    "auth_url: plain http gives every token to whoever is on the way or holds the "
		    "port, on this machine too; use unix:/path (mbus-admin's auth_socket) or "
		    "https, or set auth_insecure = on";
	curl_free(scheme);
	curl_free(host);
	curl_free(user);
	return why;
}

/* A name without a slash is beside the core's sockets. */
static int find_path(struct auth_target *t, const struct proxy_config *config, struct str name,
                     const char **why)
{
	bool beside = name.n && !memchr(name.p, '/', name.n) && config->core_dir;
	char path[PATH_ROOM];
	int n = snprintf(path, sizeof(path), "%s%s%.*s", beside ? config->core_dir : "",
	                 beside ? "/" : "", STR_ARG(name));

	*why = "auth_url: unix: needs an absolute path of at most 107 bytes, or a name without a "
	       "slash for a socket in core_dir";
	if (n >= (int)sizeof(path) || (!beside && path[0] != '/'))
		return -E_INVALID;
	*why = "out of memory";
	t->unix_path = str_dup_z(str_c(path));
	t->url = str_dup_z(STR("http://localhost/auth/info"));
	return t->unix_path && t->url ? 0 : -E_NOMEM;
}

int auth_target_find(struct auth_target *t, const struct proxy_config *config, const char **why)
{
	struct str url = str_c(config->auth_url);
	CURLU *parsed;

	*why = "out of memory";
	if (str_starts(url, STR("unix:")))
		return find_path(t, config, str_skip(url, 5), why);
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

/* ---- Who listens there ---- */
/* A folder that everybody may write to says nothing: anybody's socket may stand in it. */
static bool owns_folder(const char *path, uid_t uid)
{
	char copy[PATH_ROOM];
	struct stat st;

	(void)snprintf(copy, sizeof(copy), "%s", path);
	return stat(dirname(copy), &st) == 0 && st.st_uid == uid && !(st.st_mode & S_IWOTH);
}

static bool is_trusted(const char *path, int fd)
{
	uid_t uid = (uid_t)-1;

	if (sock_peer_uid(fd, &uid) == 0 &&
	    (uid == 0 || uid == geteuid() || owns_folder(path, uid)))
		return true;
	LOG_ERROR("auth", "endpoint-stranger", "path=%s uid=%u", log_esc(str_c(path)),
	          (unsigned)uid);
	return false;
}

static curl_socket_t make_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct auth_peer *p = arg;

	(void)purpose;
	p->fresh = socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
	return p->fresh < 0 ? CURL_SOCKET_BAD : p->fresh;
}

/* Connected, and nothing sent: later requests on the same connection were looked at with its first.
 */
static int before_request(void *arg, char *peer, char *local, int peer_port, int local_port)
{
	struct auth_peer *p = arg;
	int fd = p->fresh;

	(void)peer;
	(void)local;
	(void)peer_port;
	(void)local_port;
	p->fresh = -1;
	return fd < 0 || is_trusted(p->path, fd) ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

int auth_peer_guard(struct auth_peer *p, const struct auth_target *t, void *easy)
{
	*p = (struct auth_peer){ .path = t->unix_path, .fresh = -1 };
	if (!t->unix_path)
		return 0;
	if (curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, t->unix_path) != CURLE_OK ||
	    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, make_socket) != CURLE_OK ||
	    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, (void *)p) != CURLE_OK ||
	    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, before_request) != CURLE_OK ||
	    curl_easy_setopt(easy, CURLOPT_PREREQDATA, (void *)p) != CURLE_OK)
		return -E_NOMEM;
	return 0;
}
