/* mem.h - the only allocator of the house. Tests can make each allocation fail in turn.
 * Any thread. Sizes are checked against overflow; a zero size is allowed and gives a unique
 * pointer. */
#pragma once
#include "base/base.h"

void *mem_alloc(size_t n) MUST_CHECK; /* uninitialised, or NULL */
void *mem_zalloc(size_t n) MUST_CHECK;
/* zeroed; NULL also when count * size overflows */
void *mem_array(size_t count, size_t size) MUST_CHECK;
void *mem_realloc(void *p, size_t n) MUST_CHECK; /* on NULL, p is still the caller's */
void mem_free(void *p);                          /* NULL is fine */
void *mem_dup(const void *p, size_t n) MUST_CHECK;
/* At the start: freed memory of a few MiB is kept. Else work that takes and frees as much each time
 * pays for fresh pages more than for itself. */
void mem_start(void);
void mem_wipe(void *p, size_t n); /* for secrets; not optimised away */

/* Tests only: the n-th allocation of this thread from now on fails, and (if forever) all later
 * ones. n = 0 switches it off. */
void mem_fail_at(unsigned long n, bool forever);
unsigned long mem_count(void); /* allocations asked of this thread since mem_fail_at() */
