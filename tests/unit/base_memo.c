/* The table of remembered answers: it may forget, but never mixes anything up. */
#include "base/base.h"
#include "tests/kit/kit.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/memo.h"

static struct memo memo;

static void note(uint64_t a, uint64_t b, struct str key, uint64_t answer)
{
	uint64_t *to = memo_put(&memo, a, b, key);

	YES(to);
	*to = answer;
}

static uint64_t answer(uint64_t a, uint64_t b, struct str key) /* 0: not known */
{
	const uint64_t *found = memo_find(&memo, a, b, str_make(guard_put(key.p, key.n), key.n));

	return found ? *found : 0;
}

static void begin(void)
{
	memo = (struct memo){ .value = sizeof(uint64_t) };
}

static void an_answer_is_known_by_its_name_and_both_stamps(void)
{
	begin();
	IS(answer(1, 2, STR("a/b")), 0);
	note(1, 2, STR("a/b"), 7);
	IS(answer(1, 2, STR("a/b")), 7);
	IS(answer(2, 2, STR("a/b")), 0);
	IS(answer(1, 1, STR("a/b")), 0);
	IS(answer(1, 2, STR("a/c")), 0);
	IS(answer(1, 2, STR("a/")), 0);
	IS(answer(1, 2, STR("a/b/")), 0);
	memo_free(&memo);
}

static void a_newer_answer_takes_the_place_of_the_older_one(void)
{
	begin();
	note(1, 0, STR("name"), 7);
	note(1, 0, STR("name"), 8);
	IS(answer(1, 0, STR("name")), 8);
	memo_free(&memo);
}

static void answers_of_two_states_of_the_world_stay_beside_each_other(void)
{
	begin();
	note(1, 0, STR("name"), 8);
	note(2, 0, STR("name"), 9);
	note(2, 5, STR("name"), 10);
	IS(answer(1, 0, STR("name")), 8);
	IS(answer(2, 0, STR("name")), 9);
	IS(answer(2, 5, STR("name")), 10);
	memo_free(&memo);
}

/* As many names as an eighth of the places: hardly one of them pushes out another. */
static void few_names_are_all_known_again(void)
{
	unsigned known = 0, names = MEMO_PLACES / 8;
	char name[MEMO_KEY + 1];

	begin();
	for (unsigned i = 1; i <= names; i++)
		note(1, 1, str_make(name, (size_t)snprintf(name, sizeof(name), "device/%u", i)), i);
	for (unsigned i = 1; i <= names; i++) {
		size_t n = (size_t)snprintf(name, sizeof(name), "device/%u", i);

		known += answer(1, 1, str_make(name, n)) == i;
	}
	YES(known * 100 >= names * 99);
	memo_free(&memo);
}

/* Far more names than places: whatever is still known is right. */
static void names_that_share_a_place_are_told_apart(void)
{
	unsigned known = 0;
	char name[MEMO_KEY + 1];

	begin();
	for (unsigned i = 1; i <= 20 * MEMO_PLACES; i++)
		note(1, 1, str_make(name, (size_t)snprintf(name, sizeof(name), "device/%u", i)), i);
	for (unsigned i = 1; i <= 20 * MEMO_PLACES; i++) {
		size_t n = (size_t)snprintf(name, sizeof(name), "device/%u", i);
		/* no guard page for each: there are too many */
		const uint64_t *found = memo_find(&memo, 1, 1, str_make(name, n));

		YES(!found || *found == i);
		known += found != NULL;
	}
	YES(known > MEMO_PLACES / 2 && known <= MEMO_PLACES);
	memo_free(&memo);
}

static void every_length_up_to_the_longest_is_kept_and_no_longer_one(void)
{
	char name[MEMO_KEY + 1];

	memset(name, 'x', sizeof(name));
	begin();
	for (size_t n = 1; n <= MEMO_KEY; n++) {
		note(1, 1, str_make(name, n), n);
		IS(answer(1, 1, str_make(name, n)), n);
	}
	NO(memo_put(&memo, 1, 1, str_make(name, MEMO_KEY + 1)));
	NO(memo_find(&memo, 1, 1, str_make(name, MEMO_KEY + 1)));
	NO(memo_put(&memo, 1, 1, STR_NONE));
	NO(memo_find(&memo, 1, 1, STR_NONE));
	memo_free(&memo);
}

static void without_memory_or_without_room_for_answers_nothing_is_kept(void)
{
	begin();
	mem_fail_at(1, false);
	NO(memo_put(&memo, 1, 1, STR("a")));
	mem_fail_at(0, false);
	NO(memo_find(&memo, 1, 1, STR("a")));
	memo = (struct memo){ 0 };
	NO(memo_put(&memo, 1, 1, STR("a")));
	memo_free(&memo);
}

RUN(an_answer_is_known_by_its_name_and_both_stamps, a_newer_answer_takes_the_place_of_the_older_one,
    answers_of_two_states_of_the_world_stay_beside_each_other, few_names_are_all_known_again,
    names_that_share_a_place_are_told_apart,
    every_length_up_to_the_longest_is_kept_and_no_longer_one,
    without_memory_or_without_room_for_answers_nothing_is_kept)
