/* opts_parts.h - between the files of opts only. All functions say why in words and return 0 or
 * -E_*. Main thread. */
#pragma once
#include "base/opts.h"

enum { OPT_WHY = 512, OPT_FILE_MOST = 1 << 20 };

/* Sets the field of one option; folder is where file:PATH begins ("" = here). why gets the reason
 * alone, without place and key. */
int opt_set_value(const struct opt_set *set, const struct opt *o, struct str value,
                  const char *folder, char *why, size_t why_size);
/* '-' and '_' are the same; NULL */
const struct opt *opt_find(const struct opt_set *set, struct str name);
int opt_presets(const struct opt_set *set, char *why, size_t why_size);
bool opt_is_bool_word(struct str s);

int opt_read_file(const struct opt_set *set, const char *path, char *why, size_t why_size);
/* The whole file, *text is the caller's to mem_free; regular files of at most `most` bytes only. */
int opt_slurp(const char *path, size_t most, char **text, size_t *n, char *why, size_t why_size);

void opt_print_help(const struct opt_set *set);
