/* log.h - one line per event on stderr: time LEVEL subject ev=event key=value ...
 *   2026-03-01T10:15:02.113Z INFO conn=w2.1f3a cid=7 client=lamp-1 ev=close why=keepalive age=93s
 * Values are our own numbers and words, by printf formats. Client bytes go through
 * %s of log_esc() only. Passwords, tokens and payloads are never arguments. Any thread; never
 * blocks the loop: when stderr is full, lines are dropped and counted (log_dropped). At most
 * LOG_RATE lines per second and call site (R22); the next line of that site then carries
 * suppressed=N. */
#pragma once
#include "base/base.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum { LOG_RATE = 20 };

struct log_site { /* one per call site, static; touched with atomics only */
	int64_t second;
	uint32_t lines, suppressed;
};

void log_start(const char *program, enum log_level least); /* before threads */
bool log_wants(enum log_level level);
void log_line(struct log_site *site, enum log_level level, const char *subject, const char *event,
              const char *format, ...) PRINTF_LIKE(5, 6);
uint64_t log_dropped(void);

/* subject: "conn=w2.1f3a cid=7" or ""; event: one word; format: "why=%s age=%" PRId64 "s" or "" */
#define LOG_AT(level, subject, event, ...) \
	do { \
		static struct log_site log_site_; \
		if (log_wants(level)) \
			log_line(&log_site_, level, subject, event, __VA_ARGS__); \
	} while (0)
#define LOG_DEBUG(subject, event, ...) LOG_AT(LOG_DEBUG, subject, event, __VA_ARGS__)
#define LOG_INFO(subject, event, ...)  LOG_AT(LOG_INFO, subject, event, __VA_ARGS__)
#define LOG_WARN(subject, event, ...)  LOG_AT(LOG_WARN, subject, event, __VA_ARGS__)
#define LOG_ERROR(subject, event, ...) LOG_AT(LOG_ERROR, subject, event, __VA_ARGS__)

/* Escapes bytes of a stranger into a rotating per-thread buffer (4 places of 300 bytes): no control
 * characters, no spaces or quotes, no bidi marks, at most 256 bytes shown ("..." after), empty
 * shown as "-". Borrowed until the 4th next call. */
const char *log_esc(struct str bytes);
