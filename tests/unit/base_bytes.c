/* struct take and struct buf. */
#include "base/base.h"
#include "tests/kit/kit.h"

#include "base/bytes.h"

/* ---- take ---- */
static struct take at(struct str s)
{
	return take_from(s.p, s.n);
}

static void numbers_come_out_in_their_byte_order(void)
{
	struct str bytes = guard_str(STR("\x01\x02\x03\x04\x05\x06\x07\x88\x80"));
	struct take t = at(bytes);
	uint8_t u8;
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;

	YES(take_u8(&t, &u8) && take_u16(&t, &u16) && take_u32(&t, &u32));
	IS(u8, 0x01);
	IS(u16, 0x0203);
	IS(u32, 0x04050607);
	t = at(bytes);
	YES(take_le16(&t, &u16) && take_le32(&t, &u32));
	IS(u16, 0x0201);
	IS(u32, 0x06050403);
	t = at(str_skip(bytes, 1));
	YES(take_le64(&t, &u64));
	YES(u64 == 0x8088070605040302u);
	IS(take_left(&t), 0);
	t = at(str_skip(bytes, 5));
	YES(take_u32(&t, &u32));
	YES(u32 == 0x06078880u);
	NO(take_u8(&t, &u8));
}

static void too_little_moves_nothing_and_writes_nothing(void)
{
	each_prefix(p, STR("\xff\xff\xff\xff\xff\xff\xff\xff"))
	{
		struct take t = at(p.first);
		uint64_t u64 = 7;
		uint32_t u32 = 7;
		uint16_t u16 = 7;
		uint8_t u8 = 7;
		struct str s = STR("kept");

		NO(take_le64(&t, &u64));
		NO(take_bytes(&t, p.first.n + 1, &s));
		NO(take_bytes(&t, SIZE_MAX, &s));
		if (p.first.n < 4)
			NO(take_u32(&t, &u32) || take_le32(&t, &u32));
		if (p.first.n < 2)
			NO(take_u16(&t, &u16) || take_le16(&t, &u16));
		if (p.first.n < 1)
			NO(take_u8(&t, &u8));
		IS(take_left(&t), p.first.n);
		YES(u64 == 7 && u32 == 7 && u16 == 7 && u8 == 7);
		IS_STR(s, "kept");
	}
}

static void bytes_are_borrowed_not_copied(void)
{
	struct str bytes = guard_str(STR("abc")), s;
	struct take t = at(bytes);

	YES(take_bytes(&t, 0, &s));
	IS(s.n, 0);
	YES(take_bytes(&t, 3, &s));
	YES(s.p == bytes.p);
	t = take_from(NULL, 0);
	IS(take_left(&t), 0);
	YES(take_bytes(&t, 0, &s));
}

/* ---- buf ---- */
static void what_is_written_can_be_taken_again(void)
{
	struct buf b = { 0 };
	struct take t;
	uint8_t u8;
	uint16_t u16[2];
	uint32_t u32[2];
	uint64_t u64;
	struct str s;

	IS(buf_str(&b).n, 0);
	buf_u8(&b, 0xfe);
	buf_u16(&b, 0xfedc);
	buf_u32(&b, 0xfedcba98);
	buf_le16(&b, 0xfedc);
	buf_le32(&b, 0xfedcba98);
	buf_le64(&b, 0xfedcba9876543210);
	buf_str_add(&b, STR("text"));
	buf_str_add(&b, STR_NONE);
	YES(buf_ok(&b));
	IS(buf_len(&b), 1 + 2 + 4 + 2 + 4 + 8 + 4);
	t = take_from(buf_data(&b), buf_len(&b));
	YES(take_u8(&t, &u8) && take_u16(&t, &u16[0]) && take_u32(&t, &u32[0]));
	YES(take_le16(&t, &u16[1]) && take_le32(&t, &u32[1]) && take_le64(&t, &u64) &&
	    take_bytes(&t, 4, &s));
	IS(u8, 0xfe);
	YES(u16[0] == 0xfedc && u16[1] == 0xfedc && u32[0] == 0xfedcba98 && u32[1] == 0xfedcba98);
	YES(u64 == 0xfedcba9876543210);
	IS_STR(s, "text");
	IS(buf_data(&b)[1], 0xfe); /* big-endian first */
	buf_free(&b);
	IS(b.cap, 0);
}

static void consumed_bytes_make_room_without_growing(void)
{
	struct buf b = { 0 };
	size_t cap;

	buf_bytes(&b, "0123456789", 10);
	cap = b.cap;
	for (unsigned i = 0; i < 10000; i++) {
		buf_bytes(&b, "0123456789", 10);
		IS(memcmp(buf_data(&b), "0123456789", 10), 0);
		buf_consume(&b, 10);
	}
	IS(b.cap, cap);
	IS_STR(buf_str(&b), "0123456789");
	buf_consume(&b, 10);
	IS(b.head, 0);
	IS(b.tail, 0);
	buf_free(&b);
}

static void appending_and_consuming_agree_with_a_plain_copy(void)
{
	enum { MOST = 1 << 16 };
	static uint8_t model[MOST];
	struct buf b = { 0 };
	size_t n = 0;

	for (unsigned round = 0; round < 5000; round++) {
		uint8_t some[300];
		size_t add = any_below(sizeof(some)), drop;

		any_bytes(some, add);
		if (n + add <= MOST) {
			buf_bytes(&b, some, add);
			memcpy(model + n, some, add);
			n += add;
		}
		drop = any_below(n + 1) / (1 + any_below(3));
		buf_consume(&b, drop);
		memmove(model, model + drop, n - drop);
		n -= drop;
		IS_BYTES(buf_str(&b), str_make(model, n));
		YES(b.cap <= 2 * (MOST + sizeof(some)));
	}
	buf_free(&b);
}

static void without_memory_a_buf_is_broken_and_keeps_what_it_had(void)
{
	struct buf b = { 0 };
	static uint8_t large[1000];

	buf_bytes(&b, "kept", 4);
	mem_fail_at(1, true);
	buf_bytes(&b, large, sizeof(large));
	mem_fail_at(0, false);
	NO(buf_ok(&b));
	buf_u8(&b, 1); /* dropped, though there would be room */
	YES(buf_reserve(&b, 1) == NULL);
	IS_STR(buf_str(&b), "kept");
	buf_cut(&b, 2);
	YES(buf_ok(&b));
	buf_u8(&b, '!');
	IS_STR(buf_str(&b), "ke!");
	buf_free(&b);
}

static void absurd_sizes_break_the_buf_and_nothing_else(void)
{
	struct buf b = { 0 };

	buf_u8(&b, 'x');
	YES(buf_reserve(&b, SIZE_MAX) == NULL);
	NO(buf_ok(&b));
	buf_cut(&b, 1);
	YES(buf_reserve(&b, SIZE_MAX / 2) == NULL);
	IS_STR(buf_str(&b), "x");
	buf_free(&b);
}

static void reserved_room_is_committed_in_part(void)
{
	struct buf b = { 0 };
	uint8_t *p = buf_reserve(&b, 100);

	YES(p);
	memset(p, 'a', 100);
	buf_commit(&b, 3);
	IS_STR(buf_str(&b), "aaa");
	buf_reset(&b);
	IS(buf_len(&b), 0);
	YES(b.cap >= 100);
	YES(buf_reserve(&b, 0) != NULL);
	buf_free(&b);
	YES(buf_reserve(&b, 0) != NULL); /* from nothing, too */
	buf_free(&b);
}

static void printed_text_is_added_without_its_terminator(void)
{
	struct buf b = { 0 };

	buf_printf(&b, "%s=%d", "a", 1);
	buf_printf(&b, "%s", "");
	buf_printf(&b, ";%0200d", 7);
	IS(buf_len(&b), 3 + 1 + 200);
	YES(str_starts(buf_str(&b), STR("a=1;000")));
	IS(buf_data(&b)[203], '7');
	buf_free(&b);
}

static void using_more_than_there_is_is_our_own_mistake(void)
{
	struct buf b = { 0 };

	buf_u8(&b, 1);
	DIES(buf_consume(&b, 2));
	DIES(buf_cut(&b, 2));
	DIES(buf_commit(&b, 1000));
	buf_free(&b);
}

RUN(numbers_come_out_in_their_byte_order, too_little_moves_nothing_and_writes_nothing,
    bytes_are_borrowed_not_copied, what_is_written_can_be_taken_again,
    consumed_bytes_make_room_without_growing, appending_and_consuming_agree_with_a_plain_copy,
    without_memory_a_buf_is_broken_and_keeps_what_it_had,
    absurd_sizes_break_the_buf_and_nothing_else, reserved_room_is_committed_in_part,
    printed_text_is_added_without_its_terminator, using_more_than_there_is_is_our_own_mistake)
