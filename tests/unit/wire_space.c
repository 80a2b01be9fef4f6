/* customer/<id>/<name>: injective, one spelling, nobody's bare prefix. */
#include "base/base.h"
#include "tests/kit/kit.h"
#include "wire/space.h"
#include "wire/topic.h"

static struct str mapped(struct buf *b, uint64_t customer, struct str name)
{
	struct space s;

	space_make(&s, customer);
	buf_reset(b);
	space_map(&s, name, b);
	return buf_str(b);
}

static void a_name_is_put_behind_the_customers_prefix(void)
{
	struct buf b = { 0 };

	IS_STR(mapped(&b, 7, STR("a/b")), "customer/7/a/b");
	IS_STR(mapped(&b, 7, STR("/")), "customer/7//");
	IS_STR(mapped(&b, 7, STR("a/+/#")), "customer/7/a/+/#");
	IS_STR(mapped(&b, 7, STR("$x")), "customer/7/$x");
	IS_STR(mapped(&b, 1234567890, STR("x")), "customer/1234567890/x");
	IS_STR(mapped(&b, UINT64_MAX, STR("x")), "customer/18446744073709551615/x");
	buf_free(&b);
}

static void names_are_appended_to_what_the_buffer_holds(void)
{
	struct buf b = { 0 };
	struct space s;

	space_make(&s, 10);
	space_map(&s, STR("a"), &b);
	space_map(&s, STR("b"), &b);
	IS_STR(buf_str(&b), "customer/10/acustomer/10/b");
	buf_free(&b);
}

static void customer_zero_has_no_space(void)
{
	struct space s;

	DIES(space_make(&s, 0));
}

static void what_was_mapped_comes_back(void)
{
	static const char *names[] = { "a",          "/",      "customer/7/x", "$SYS/x",
		                       "flespi/log", "../8/x", "\xff" };
	struct buf b = { 0 };
	struct space s;
	uint64_t customer;
	struct str name;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct str inner = guard_str(mapped(&b, 7, str_c(names[i])));

		space_make(&s, 7);
		YES(space_owns(&s, inner));
		YES(space_unmap(&s, inner, &name));
		IS_BYTES(name, str_c(names[i]));
		YES(space_of(inner, &customer, &name));
		IS(customer, 7);
		IS_BYTES(name, str_c(names[i]));
	}
	buf_free(&b);
}

static void the_bare_prefix_is_nobodys(void) /* attack T08 */
{
	static const char *bare[] = { "customer/7/", "customer/7", "customer/", "customer", "" };
	struct space s;
	uint64_t customer;
	struct str name;

	space_make(&s, 7);
	for (size_t i = 0; i < ARRAY_LEN(bare); i++) {
		struct str inner = guard_str(str_c(bare[i]));

		NO(space_owns(&s, inner));
		NO(space_unmap(&s, inner, &name));
		NO(space_of(inner, &customer, &name));
	}
}

static void another_spelling_of_an_id_is_nobodys(void)
{
	static const char *wrong[] = { "customer/07/x",
		                       "customer/0/x",
		                       "customer/00/x",
		                       "customer/+7/x",
		                       "customer/-7/x",
		                       "customer/ 7/x",
		                       "customer/7 /x",
		                       "customer/7x/x",
		                       "customer//x",
		                       "customer/18446744073709551616/x",
		                       "customer/99999999999999999999999/x",
		                       "Customer/7/x",
		                       "/customer/7/x",
		                       "customers/7/x",
		                       "customer/+/x" };
	uint64_t customer;
	struct str name;

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		NO(space_of(guard_str(str_c(wrong[i])), &customer, &name));
	YES(space_of(STR("customer/18446744073709551615/x"), &customer, &name));
	IS(customer == UINT64_MAX, 1);
}

/* Digits are looked at eight at a time: as one by one, wherever they end and whatever follows. */
static void an_id_of_any_length_is_read_digit_by_digit_or_eight_at_a_time(void)
{
	static const char after[] = "/x09:;\x2f.\xff";

	for (unsigned i = 0; i < 20000; i++) {
		char text[64] = "customer/";
		size_t n = 9, digits = any_below(24), whole;
		uint64_t value = 0, customer = 0;
		struct str name;
		bool good;

		for (size_t k = 0; k < digits; k++)
			text[n++] = (char)('0' + any_below(10));
		good = digits && text[9] != '0' && str_to_u64(str_make(text + 9, digits), &value);
		whole = n + any_below(12);
		while (n < whole)
			text[n++] = after[any_below(sizeof(after) - 1)];
		/* what follows may begin with digits, which belong to it then */
		for (whole = 9 + digits; whole < n && text[whole] >= '0' && text[whole] <= '9';
		     whole++)
			good =
			    text[9] != '0' && str_to_u64(str_make(text + 9, whole + 1 - 9), &value);
		good = good && n > whole + 1 && text[whole] == '/';
		IS(space_of(guard_str(str_make(text, n)), &customer, &name), good);
		if (good) {
			YES(customer == value);
			IS_BYTES(name, str_make(text + whole + 1, n - whole - 1));
		}
	}
}

static void no_customer_owns_what_another_was_given(void)
{
	static const uint64_t ids[] = { 1, 7, 10, 70, 77, 100, 701, UINT64_MAX };
	static const char *names[] = { "a", "/",   "0/a", "7/a",  "/7/a",
		                       "#", "+/#", "//#", "../#", "../70/a" };
	struct buf b = { 0 };
	struct space other;

	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		for (size_t j = 0; j < ARRAY_LEN(ids); j++) {
			space_make(&other, ids[j]);
			for (size_t n = 0; n < ARRAY_LEN(names); n++)
				IS(space_owns(&other, mapped(&b, ids[i], str_c(names[n]))), i == j);
		}
	}
	buf_free(&b);
}

static void no_filter_reaches_over_its_own_tree(void) /* attack T05 */
{
	static const char *filters[] = { "#",     "+/#",       "//#",          "../#",
		                         "+/+/+", "../../8/#", "customer/8/#", "/customer/8/x" };
	static const char *names[] = { "customer/8/x", "customer/8//x", "customer/70/x",
		                       "customer/8/customer/7/x", "x" };
	struct buf b = { 0 };

	for (size_t f = 0; f < ARRAY_LEN(filters); f++) {
		struct filter inner = { mapped(&b, 7, str_c(filters[f])), true };

		for (size_t n = 0; n < ARRAY_LEN(names); n++)
			NO(topic_match(inner, str_c(names[n])));
	}
	buf_free(&b);
}

static void mapping_is_injective(void)
{
	struct buf a = { 0 }, b = { 0 };
	char x[8], y[8];

	for (unsigned i = 0; i < 300000; i++) {
		uint64_t p = 1 + any_below(120), q = 1 + any_below(120);
		struct str m, n;

		for (size_t j = 0; j < sizeof(x); j++) {
			x[j] = "/017c"[any_below(5)];
			y[j] = "/017c"[any_below(5)];
		}
		m = str_make(x, 1 + any_below(3));
		n = str_make(y, 1 + any_below(3));
		if (str_eq(mapped(&a, p, m), mapped(&b, q, n)) != (p == q && str_eq(m, n)))
			fail_msg("%.*s", STR_ARG(buf_str(&a)));
	}
	buf_free(&a);
	buf_free(&b);
}

static void no_memory_leaves_the_buffer_broken_and_as_it_was(void)
{
	struct space s;

	space_make(&s, 7);
	each_alloc_failure(n)
	{
		struct buf b = { 0 };

		space_map(&s, STR("a/b"), &b);
		IS(buf_len(&b), buf_ok(&b) ? 14 : 0);
		buf_free(&b);
	}
}

RUN(a_name_is_put_behind_the_customers_prefix, names_are_appended_to_what_the_buffer_holds,
    customer_zero_has_no_space, what_was_mapped_comes_back, the_bare_prefix_is_nobodys,
    another_spelling_of_an_id_is_nobodys,
    an_id_of_any_length_is_read_digit_by_digit_or_eight_at_a_time,
    no_customer_owns_what_another_was_given, no_filter_reaches_over_its_own_tree,
    mapping_is_injective, no_memory_leaves_the_buffer_broken_and_as_it_was)
