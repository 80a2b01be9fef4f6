/* first.h - the first customer of an empty database and its master token, made exactly once. */
#pragma once
#include "admin/rest.h"

/* Does nothing when there is a customer already, or when first_customer is not set. The key goes
 * into the file token_out (0600) and is told nowhere else. why: a sentence. Main thread, before
 * HTTP. */
int first_customer(struct rest *r, char *why, size_t why_size) MUST_CHECK;
