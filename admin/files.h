/* files.h - writing a small secret so that it is there whole or not at all, readable by us alone.
 */
#pragma once
#include "base/base.h"

/* Replaces path (mode 0600) by way of a new file beside it, flushed to disk, as is its folder. dir:
 * path's folder. */
int file_write_private(const char *dir, const char *path, struct str content) MUST_CHECK;
