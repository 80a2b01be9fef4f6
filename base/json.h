/* json.h - the one door to jansson: bounded, strict parsing and the few accessors that check types.
 * Duplicate keys, trailing bytes, NUL in strings, nesting over `depth` and sizes over `most` are
 * refused before or while parsing. */
#pragma once
#include <jansson.h>

#include "base/base.h"

enum { JSON_DEPTH = 16 };

int json_read(json_t **out, struct str text, size_t most, unsigned depth, char *why,
              size_t why_size) MUST_CHECK;
/* What somebody else calls JSON: any value, the last of doubled keys counts. Whole numbers beyond
 * 64 bits make all whole numbers of the text floating ones. 0, -E_INVALID (also when it is too
 * deep), -E_NOMEM. */
int json_read_any(json_t **out, struct str text, unsigned depth) MUST_CHECK;
/* It has no more values and names than this; one look at each byte. */
size_t json_size(struct str text);
/* Most texts that are no JSON show it in their first byte. */
bool json_may_be(struct str text);
/* Typed look-ups: false when the key is missing or of another type; out untouched then. */
bool json_get_str(const json_t *object, const char *key, struct str *out); /* borrowed */
bool json_get_int(const json_t *object, const char *key, int64_t *out);
bool json_get_bool(const json_t *object, const char *key, bool *out);

/* json_write.c. A value whose text is known already: json_write copies it, nothing looks into it,
 * and the look-ups above do not find it. The caller knows that the text is JSON. NULL: no memory.
 */
json_t *json_raw(struct str text);
bool json_raw_text(const json_t *value, struct str *out); /* borrowed; false: it is another value */
struct buf;
/* Compact, appended; nested at most 64 deep. -E_INVALID: too deep, or NULL; nothing was appended.
 */
int json_write(struct buf *out, const json_t *value) MUST_CHECK;
