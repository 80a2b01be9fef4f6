/* ctl_http.c - mbusctl's door to libcurl, and where it learns the server and the token from. The
 * key goes into one header and nowhere else: no argv, no message, and it is wiped at the end. */
#include "admin/ctl/ctl.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

/* ---- Where and who ---- */

static int file_read(const char *path, struct buf *out, size_t most)
{
	FILE *f = fopen(path, "re");
	uint8_t *room;

	if (!f)
		return -E_NOTFOUND;
	while (buf_len(out) <= most && (room = buf_reserve(out, 4096)) != NULL) {
		size_t n = fread(room, 1, 4096, f);

		buf_commit(out, n);
		if (n == 0)
			break;
	}
	int err = ferror(f) || !buf_ok(out) || buf_len(out) > most ? -E_IO : 0;
	fclose(f);
	return err;
}

static char *file_key(const char *path)
{
	struct buf text = { 0 };
	char *key = NULL;

	if (file_read(path, &text, 4096) == 0) {
		struct str s = buf_str(&text);

		while (s.n && (s.p[s.n - 1] == '\n' || s.p[s.n - 1] == '\r' || s.p[s.n - 1] == ' '))
			s.n--;
		key = str_dup_z(s);
	}
	if (text.p)
		mem_wipe(text.p, text.cap);
	buf_free(&text);
	return key;
}

/* DIR/ready.json, written by scripts/stack. */
static void from_state(struct ctl_server *s, const char *dir)
{
	struct buf text = { 0 };
	json_t *ready = NULL;
	struct str value;
	char path[4096], why[128];

	snprintf(path, sizeof(path), "%s/ready.json", dir);
	if (file_read(path, &text, 65536) == 0 &&
	    json_read(&ready, buf_str(&text), 65536, JSON_DEPTH, why, sizeof(why)) == 0) {
		if (!s->url && json_get_str(ready, "api", &value))
			s->url = str_dup_z(value);
		if (!s->key && json_get_str(ready, "token", &value))
			s->key = str_dup_z(value);
	}
	json_decref(ready);
	if (text.p)
		mem_wipe(text.p, text.cap);
	buf_free(&text);
}

int ctl_server_find(struct ctl_server *out, const struct ctl_args *a)
{
	struct ctl_server s = { .cid = a->cid };
	const char *env_api = getenv("MBUS_API"), *env_key = getenv("MBUS_TOKEN"),
		   *env_state = getenv("MBUS_STATE");

	if (a->api || env_api)
		s.url = str_dup_z(str_c(a->api ? a->api : env_api));
	if (a->token_file) {
		s.key = file_key(a->token_file);
		if (!s.key) {
			fprintf(stderr, "mbusctl: cannot read the token from %s: %s\n",
			        a->token_file, strerror(errno));
			ctl_server_free(&s);
			return -E_NOTFOUND;
		}
	} else if (env_key) {
		s.key = str_dup_z(str_c(env_key));
	}
	if (!s.url || !s.key)
		from_state(&s, a->state ? a->state : env_state ? env_state : ".state");
	if (!s.url || !s.key) {
		fprintf(stderr,
		        "mbusctl: %s: give --api and --token-file (or MBUS_API and MBUS_TOKEN), or "
		        "--state DIR of a running stack\n",
		        s.url ? "no token" : "no server");
		ctl_server_free(&s);
		return -E_NOTFOUND;
	}
	for (size_t n = strlen(s.url); n && s.url[n - 1] == '/'; n--)
		s.url[n - 1] = '\0';
	*out = s;
	return 0;
}

void ctl_server_free(struct ctl_server *s)
{
	if (s->key)
		mem_wipe(s->key, strlen(s->key));
	mem_free(s->key);
	mem_free(s->url);
	s->key = s->url = NULL;
}

/* ---- Calls ---- */

struct stream { /* what a transfer hands its bytes to */
	struct buf body;
	void (*line)(void *arg, struct str text);
	void *arg;
};

static size_t take_body(char *p, size_t size, size_t count, void *arg)
{
	struct stream *s = arg;

	if (buf_len(&s->body) + size * count > CTL_ANSWER_MAX)
		return 0;
	buf_bytes(&s->body, p, size * count);
	return buf_ok(&s->body) ? size * count : 0;
}

static size_t take_events(char *p, size_t size, size_t count, void *arg)
{
	struct stream *s = arg;
	const char *end;

	if (take_body(p, size, count, arg) != size * count)
		return 0;
	while (buf_len(&s->body) &&
	       (end = memchr(buf_data(&s->body), '\n', buf_len(&s->body))) != NULL) {
		struct str text =
		    str_make(buf_data(&s->body), (size_t)(end - (const char *)buf_data(&s->body)));

		if (str_starts(text, STR("data: ")))
			s->line(s->arg, str_skip(text, 6));
		buf_consume(&s->body, text.n + 1);
	}
	return size * count;
}

static struct curl_slist *headers(const struct ctl_server *s, bool body)
{
	struct curl_slist *list = NULL;
	char line[512];

	snprintf(line, sizeof(line), "Authorization: FlespiToken %s", s->key);
	list = curl_slist_append(list, line);
	mem_wipe(line, sizeof(line));
	if (s->cid) {
		snprintf(line, sizeof(line), "x-flespi-cid: %s", s->cid);
		list = curl_slist_append(list, line);
	}
	list = curl_slist_append(list, "x-flespi-app: mbusctl");
	list = curl_slist_append(list, "Expect:");
	if (body)
		list = curl_slist_append(list, "Content-Type: application/json");
	return list;
}

static CURL *transfer(const struct ctl_server *s, const char *method, const char *path,
                      struct stream *to, struct curl_slist *with)
{
	CURL *c = curl_easy_init();
	char url[4096];

	if (!c)
		return NULL;
	snprintf(url, sizeof(url), "%s%s", s->url, path);
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, with);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(c, CURLOPT_PROXY, "");
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, 5L);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, to->line ? take_events : take_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, to);
	return c;
}

static int perform(CURL *c, const struct ctl_server *s, long *status)
{
	CURLcode code = curl_easy_perform(c);

	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, status);
	if (code == CURLE_OK)
		return 0;
	fprintf(stderr, "mbusctl: %s: %s\n", s->url, curl_easy_strerror(code));
	return -E_IO;
}

int ctl_call(const struct ctl_server *s, const char *method, const char *path, const json_t *body,
             long *status, json_t **answer)
{
	struct stream to = { 0 };
	struct buf text = { 0 };
	struct curl_slist *with = headers(s, body != NULL);
	CURL *c = transfer(s, method, path, &to, with);
	char why[160];
	int err = -E_NOMEM;

	if (!c || (body && json_write(&text, body) != 0))
		goto end;
	if (body) {
		curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)buf_len(&text));
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, (const char *)buf_data(&text));
	}
	curl_easy_setopt(c, CURLOPT_TIMEOUT, 30L);
	err = perform(c, s, status);
	if (err)
		goto end;
	err = json_read(answer, buf_str(&to.body), CTL_ANSWER_MAX, 64, why, sizeof(why));
	if (err)
		fprintf(stderr, "mbusctl: %s answered %ld with something that is not JSON: %s\n",
		        s->url, *status, why);
end:
	if (c)
		curl_easy_cleanup(c);
	curl_slist_free_all(with);
	buf_free(&text);
	buf_free(&to.body);
	return err;
}

int ctl_follow(const struct ctl_server *s, const char *path,
               void (*line)(void *arg, struct str text), void *arg)
{
	struct stream to = { .line = line, .arg = arg };
	struct curl_slist *with = headers(s, false);
	CURL *c = transfer(s, "GET", path, &to, with);
	long status = 0;
	int err = c ? perform(c, s, &status) : -E_NOMEM;

	if (err == 0 && status != 200) {
		fprintf(stderr, "mbusctl: %s refused with status %ld: %.*s\n", s->url, status,
		        STR_ARG(buf_str(&to.body)));
		err = -E_DENIED;
	}
	if (c)
		curl_easy_cleanup(c);
	curl_slist_free_all(with);
	buf_free(&to.body);
	return err;
}
