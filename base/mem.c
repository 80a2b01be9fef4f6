/* mem.c - the allocator: malloc with a fault injector in front of it, so that tests can fail each
 * allocation in turn. */
#include "base/base.h"
#include "base/mem.h"

#include <malloc.h>
#include <stdlib.h>

/* Per thread, so that a test that fails its own allocations does not fail those of threads it
 * started. */
static _Thread_local struct {
	unsigned long count; /* allocations asked since mem_fail_at() */
	unsigned long at;    /* the one that fails; 0 = none */
	bool forever;
} fault;

static bool fault_strikes(void)
{
	fault.count++;
	if (likely(fault.at == 0))
		return false;
	return fault.forever ? fault.count >= fault.at : fault.count == fault.at;
}

void mem_fail_at(unsigned long n, bool forever)
{
	fault.count = 0;
	fault.at = n;
	fault.forever = forever;
}

unsigned long mem_count(void)
{
	return fault.count;
}

void *mem_alloc(size_t n)
{
	if (fault_strikes())
		return NULL;
	return malloc(n ? n : 1);
}

void *mem_zalloc(size_t n)
{
	if (fault_strikes())
		return NULL;
	return calloc(1, n ? n : 1);
}

void *mem_array(size_t count, size_t size)
{
	size_t n;

	if (fault_strikes() || __builtin_mul_overflow(count, size, &n))
		return NULL;
	return calloc(1, n ? n : 1);
}

void *mem_realloc(void *p, size_t n)
{
	if (fault_strikes())
		return NULL;
	return realloc(p, n ? n : 1); /* realloc(p, 0) would free p */
}

void mem_free(void *p)
{
	free(p);
}

void *mem_dup(const void *p, size_t n)
{
	void *copy = mem_alloc(n);

	if (copy && n)
		memcpy(copy, p, n);
	return copy;
}

void mem_wipe(void *p, size_t n)
{
	if (n)
		explicit_bzero(p, n);
}

void mem_start(void)
{
	/* No fastbins: what is freed there is put together all at once, whenever something large is
	 * freed. After the end of 1,500 sessions of 200 filters that took 65 ms. */
	(void)mallopt(M_MXFAST, 0);
	(void)mallopt(M_MMAP_THRESHOLD, 1 << 20);
	(void)mallopt(M_TRIM_THRESHOLD, 4 << 20);
}
