/* client_ids.c - which client ids a token is for (client_ids.h).
 *
 * A mask is cut at its stars. The first piece begins the id, the last one ends it, and each piece
 * between them is looked for behind the one before: where it is found first leaves most room for
 * the rest, so that nothing is tried twice. */
#include "base/base.h"
#include "acl/client_ids.h"

#include <stdio.h>

#include "base/mem.h"
#include "wire/mqtt.h"

/* Between masks. No client id, and so no mask, has control characters. */
#define BETWEEN '\n'

/* ---- Reading ---- */

static bool mask_ok(const json_t *value)
{
	struct str mask = str_make(json_string_value(value), json_string_length(value));

	return json_is_string(value) && mask.n > 0 && mask.n <= CLIENT_ID_MASK_MAX &&
	       mqtt_client_id_ok(mask);
}

static bool list_ok(const json_t *list, size_t *size)
{
	size_t i;
	json_t *value;

	if (!json_is_array(list) || json_array_size(list) > CLIENT_IDS_MAX)
		return false;
	*size = 0;
	json_array_foreach(list, i, value)
	{
		if (!mask_ok(value))
			return false;
		*size += json_string_length(value) + 1;
	}
	return *size <= CLIENT_IDS_BYTES;
}

int client_ids_read(char **out, const json_t *list, char *why, size_t why_size)
{
	size_t i, size;
	json_t *value;
	char *text, *at;

	if (!list_ok(list, &size)) {
		(void)snprintf(why, why_size,
		               "client_ids must be a list of at most %d masks such as \"lamp-*\", "
		               "each of 1 to %d bytes, all of %d",
		               CLIENT_IDS_MAX, CLIENT_ID_MASK_MAX, CLIENT_IDS_BYTES);
		return -E_INVALID;
	}
	text = size ? mem_alloc(size) : NULL;
	if (size && !text)
		return -E_NOMEM;
	at = text;
	json_array_foreach(list, i, value)
	{
		size_t n = json_string_length(value);

		memcpy(at, json_string_value(value), n);
		at += n;
		*at++ = BETWEEN;
	}
	if (text)
		at[-1] = '\0';
	*out = text;
	return 0;
}

/* ---- Matching ---- */

/* Where `piece` first ends in text, or 0 (Knuth, Morris, Pratt). piece is not empty. */
static size_t find_end(struct str text, struct str piece)
{
	/* Of the first i + 1 bytes of piece: the longest beginning that is their end, too. */
	uint8_t border[CLIENT_ID_MASK_MAX];
	size_t k = 0;

	border[0] = 0;
	for (size_t i = 1; i < piece.n; i++) {
		while (k && piece.p[i] != piece.p[k])
			k = border[k - 1];
		k += piece.p[i] == piece.p[k];
		border[i] = (uint8_t)k;
	}
	k = 0;
	for (size_t i = 0; i < text.n; i++) {
		while (k && text.p[i] != piece.p[k])
			k = border[k - 1];
		k += text.p[i] == piece.p[k];
		if (k == piece.n)
			return i + 1;
	}
	return 0;
}

/* The text up to `end`, or all of it; *rest: behind. False: `end` was not there. */
static bool cut(struct str text, char end, struct str *first, struct str *rest)
{
	const char *at = text.n ? memchr(text.p, end, text.n) : NULL;

	*first = str_make(text.p, at ? (size_t)(at - text.p) : text.n);
	*rest = at ? str_skip(text, first->n + 1) : STR_NONE;
	return at;
}

static bool mask_fits(struct str mask, struct str id)
{
	struct str piece;
	size_t end;

	if (!cut(mask, '*', &piece, &mask))
		return str_eq(piece, id);
	if (!str_starts(id, piece))
		return false;
	id = str_skip(id, piece.n);
	while (cut(mask, '*', &piece, &mask)) {
		end = piece.n ? find_end(id, piece) : 0;
		if (piece.n && !end)
			return false;
		id = str_skip(id, end);
	}
	return id.n >= piece.n && str_eq(str_skip(id, id.n - piece.n), piece);
}

bool client_ids_allow(const char *masks, struct str id)
{
	struct str rest = str_c(masks), mask;

	if (!masks)
		return true;
	while (rest.n) {
		(void)cut(rest, BETWEEN, &mask, &rest);
		if (mask_fits(mask, id))
			return true;
	}
	return false;
}
