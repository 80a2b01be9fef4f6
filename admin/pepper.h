/* pepper.h - the secret of this installation under which keys are hashed: a file beside the
 * database, not in it, so that a stolen copy of the database alone is worth nothing (attack M10).
 */
#pragma once
#include "admin/db.h"

enum { PEPPER = 32 };

/* Reads dir/pepper. Makes it only while the database knows of none; afterwards a missing or other
 * file is an error, because every key would be refused under a new one. Main thread, at the start.
 */
int pepper_open(uint8_t out[PEPPER], struct db *db, const char *dir, char *why,
                size_t why_size) MUST_CHECK;
