/* Numbers from text, error texts, MUST, the allocator. */
#include "base/base.h"
#include "tests/kit/kit.h"

static void digits_become_a_number(void)
{
	uint64_t v;

	YES(str_to_u64(STR("0"), &v));
	IS(v, 0);
	YES(str_to_u64(STR("0042"), &v));
	IS(v, 42);
	YES(str_to_u64(STR("18446744073709551615"), &v));
	YES(v == UINT64_MAX);
}

static void what_is_not_only_digits_or_too_large_is_no_number(void)
{
	static const char *const bad[] = { "",
		                           "-1",
		                           "+1",
		                           " 1",
		                           "1 ",
		                           "1a",
		                           "0x10",
		                           "1.0",
		                           "18446744073709551616",
		                           "99999999999999999999" };
	uint64_t v = 7;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		NO(str_to_u64(guard_str(str_c(bad[i])), &v));
	NO(str_to_u64(STR("1\0"), &v));
	IS(v, 7);
}

static void every_error_has_its_text(void)
{
	IS_STR(str_c(err_text(0)), "ok");
	IS_STR(str_c(err_text(-E_NOMEM)), "out of memory");
	IS_STR(str_c(err_text(-E_CORRUPT)), "damaged data");
	IS_STR(str_c(err_text(-99)), "unknown error");
	IS_STR(str_c(err_text(INT32_MIN)), "unknown error");
}

static void must_ends_the_program_only_when_it_does_not_hold(void)
{
	MUST(1 + 1 == 2);
	DIES(MUST(1 + 1 == 3));
}

static void a_copied_slice_is_terminated(void)
{
	char *z = str_dup_z(guard_str(STR("abc")));

	YES(z);
	IS_STR(str_c(z), "abc");
	mem_free(z);
	z = str_dup_z(STR_NONE);
	YES(z);
	IS(z[0], 0);
	mem_free(z);
}

static void slices_compare_by_bytes_and_length(void)
{
	YES(str_eq(STR_NONE, STR("")));
	YES(str_eq(STR("a\0b"), STR("a\0b")));
	NO(str_eq(STR("a\0b"), STR("a\0c")));
	NO(str_eq(STR("a"), STR("ab")));
	YES(str_starts(STR("abc"), STR("")));
	YES(str_starts(STR("abc"), STR("abc")));
	NO(str_starts(STR("ab"), STR("abc")));
	IS_STR(str_skip(STR("abc"), 1), "bc");
	IS(str_c(NULL).n, 0);
}

static void a_zero_size_still_gives_a_pointer(void)
{
	void *a = mem_alloc(0), *b = mem_zalloc(0), *c = mem_array(0, 8), *d = mem_dup(NULL, 0);

	YES(a && b && c && d);
	a = mem_realloc(a, 0);
	YES(a);
	mem_free(a);
	mem_free(b);
	mem_free(c);
	mem_free(d);
	mem_free(NULL);
}

static void an_array_whose_size_overflows_is_refused(void)
{
	/* volatile: the compiler would warn about what is tested */
	volatile size_t half = SIZE_MAX / 2 + 1;

	YES(mem_array(half, 2) == NULL);
	YES(mem_array(half, half) == NULL);
}

static void only_the_chosen_allocation_fails(void)
{
	void *kept, *p[3];

	mem_fail_at(2, false);
	for (size_t i = 0; i < 3; i++)
		p[i] = mem_alloc(1);
	YES(p[0] && !p[1] && p[2]);
	IS(mem_count(), 3);
	mem_fail_at(0, false);
	IS(mem_count(), 0);
	kept = p[0];
	mem_fail_at(1, true);
	YES(mem_realloc(kept, 100) == NULL);
	YES(mem_zalloc(1) == NULL && mem_array(1, 1) == NULL && mem_dup("a", 1) == NULL &&
	    str_dup_z(STR("a")) == NULL);
	mem_fail_at(0, false);
	mem_free(kept);
	mem_free(p[2]);
}

static void each_alloc_failure_ends_with_a_round_without_failure(void)
{
	unsigned long rounds = 0;
	bool whole = false;

	each_alloc_failure(n)
	{
		void *a = mem_alloc(1), *b = mem_alloc(1);

		rounds++;
		IS(n, rounds);
		whole = a && b;
		mem_free(a);
		mem_free(b);
	}
	IS(rounds, 3);
	YES(whole);
}

static void wiped_memory_is_zero(void)
{
	char secret[8] = "secret";

	mem_wipe(secret, sizeof(secret));
	for (size_t i = 0; i < sizeof(secret); i++)
		IS(secret[i], 0);
	mem_wipe(NULL, 0);
}

static void the_kit_cuts_everywhere_and_guards_the_edge(void)
{
	size_t rounds = 0;
	const char *edge = guard_put("x", 1);

	each_split(s, STR("abc"))
	{
		IS(s.first.n, rounds);
		IS(s.first.n + s.rest.n, 3);
		YES(memcmp(s.rest.p, &"abc"[s.cut], s.rest.n) == 0);
		rounds++;
	}
	IS(rounds, 4);
	rounds = 0;
	each_prefix(p, STR("abc")) IS(p.first.n, rounds++);
	IS(rounds, 3);
	IS(edge[0], 'x');
}

RUN(digits_become_a_number, what_is_not_only_digits_or_too_large_is_no_number,
    every_error_has_its_text, must_ends_the_program_only_when_it_does_not_hold,
    a_copied_slice_is_terminated, slices_compare_by_bytes_and_length,
    a_zero_size_still_gives_a_pointer, an_array_whose_size_overflows_is_refused,
    only_the_chosen_allocation_fails, each_alloc_failure_ends_with_a_round_without_failure,
    wiped_memory_is_zero, the_kit_cuts_everywhere_and_guards_the_edge)
