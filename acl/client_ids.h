/* client_ids.h - which client ids a token is for: a list of masks, in each of which `*` stands for
 * any characters (none, too) and everything else for itself. Pure. */
#pragma once
#include "base/json.h"

enum {
	CLIENT_IDS_MAX = 64,      /* masks */
	CLIENT_ID_MASK_MAX = 255, /* bytes of one */
	CLIENT_IDS_BYTES = 4096,  /* of all, each with one more */
};

/* A JSON list of masks, each of what a client id may be. *out: the masks as one text, owned by the
 * caller, equal for equal lists; NULL for an empty list, which is "any". -E_INVALID with why, or
 * -E_NOMEM. */
int client_ids_read(char **out, const json_t *list, char *why, size_t why_size) MUST_CHECK;
/* masks: as it was read; NULL allows. Takes time in proportion to the bytes of masks, and to those
 * of id for each mask, whatever stands in them. */
bool client_ids_allow(const char *masks, struct str id);
