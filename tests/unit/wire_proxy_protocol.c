/* wire_proxy_protocol.c - headers of the PROXY protocol, both versions, at every split. A22 and W06
 * are rows of the attack table. */
#include "base/base.h"
#include "tests/kit/kit.h"

#include "base/bytes.h"
#include "wire/proxy_protocol.h"

#define SIGN "\r\n\r\n\0\r\nQUIT\n"
#define V4 \
	"\xc0\x00\x02\x07\xc6\x33\x64\x09\x12\x67\x07\x5b" /* 192.0.2.7:4711 198.51.100.9:1883 \
	                                                    */

/* Every proper prefix of what is OK asks for more; what is BAD is BAD at some prefix, and at every
 * longer one. */
static enum parse read_all(struct str bytes, struct proxy_protocol *out)
{
	enum parse whole = proxy_protocol_read(guard_str(bytes), out), last = PARSE_MORE;

	each_prefix(p, bytes)
	{
		struct proxy_protocol other;
		enum parse answer = proxy_protocol_read(p.first, &other);

		if (whole == PARSE_BAD)
			YES(answer == PARSE_BAD || (answer == PARSE_MORE && last == PARSE_MORE));
		else if (whole == PARSE_MORE || p.first.n < out->size)
			IS(answer, PARSE_MORE);
		last = answer;
	}
	return whole;
}

#define READ(literal) read_all(STR(literal), &p)

static struct str source_of(const struct proxy_protocol *p)
{
	static char text[SOCK_TEXT];

	sock_text(&p->source, text);
	return str_c(text);
}

static struct str destination_of(const struct proxy_protocol *p)
{
	static char text[SOCK_TEXT];

	sock_text(&p->destination, text);
	return str_c(text);
}

/* ---- Version 1 ---- */
static void version_1_tells_both_addresses(void)
{
	struct proxy_protocol p;

	IS(READ("PROXY TCP4 192.0.2.7 198.51.100.9 4711 1883\r\n\x10\x0c"), PARSE_OK);
	IS(p.version, 1);
	IS(p.size, 45);
	NO(p.own);
	IS_STR(source_of(&p), "192.0.2.7");
	IS(p.source.port, 4711);
	IS_STR(destination_of(&p), "198.51.100.9");
	IS(p.destination.port, 1883);
	IS(READ("PROXY TCP6 2001:db8::7 ::1 65535 0\r\n"), PARSE_OK);
	IS_STR(source_of(&p), "2001:db8::7");
	IS(p.source.port, 65535);
	IS(p.destination.port, 0);
	NO(p.source.local);
}

static void version_1_may_not_know(void)
{
	struct proxy_protocol p;

	IS(READ("PROXY UNKNOWN\r\n"), PARSE_OK);
	YES(p.own);
	IS(p.size, 15);
	IS(READ("PROXY UNKNOWN ffff::1 ::2 1 2 whatever\r\nx"), PARSE_OK);
	YES(p.own);
	IS(READ("PROXY UNKNOWNS\r\n"), PARSE_BAD);
}

static void the_longest_line_of_version_1_is_107_bytes(void)
{
	struct proxy_protocol p;
	struct buf b = { 0 };

	IS(READ("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
	        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
	   PARSE_OK);
	buf_str_add(&b, STR("PROXY UNKNOWN "));
	while (buf_len(&b) < PROXY_V1_MAX - 2)
		buf_u8(&b, 'x');
	buf_str_add(&b, STR("\r\n"));
	IS(read_all(buf_str(&b), &p), PARSE_OK);
	IS(p.size, PROXY_V1_MAX);
	buf_cut(&b, PROXY_V1_MAX - 2);
	buf_str_add(&b, STR("x\r\n"));
	IS(read_all(buf_str(&b), &p), PARSE_BAD);
	buf_free(&b);
}

static void A22_version_1_has_one_form(void)
{
	static const char *const bad[] = {
		"PROXY TCP4  192.0.2.7 198.51.100.9 4711 1883\r\n",
		"PROXY TCP4 192.0.2.7 198.51.100.9 4711 1883 \r\n",
		"PROXY TCP4 192.0.2.7 198.51.100.9 4711 1883 1\r\n",
		"PROXY TCP4 192.0.2.7 198.51.100.9 4711\r\n",
		"PROXY TCP4 192.0.2.7 198.51.100.9 04711 1883\r\n",
		"PROXY TCP4 192.0.2.7 198.51.100.9 65536 1883\r\n",
		"PROXY TCP4 192.0.2.7 198.51.100.9 -1 1883\r\n",
		"PROXY TCP4 192.0.2.07 198.51.100.9 4711 1883\r\n",
		"PROXY TCP4 192.0.2 198.51.100.9 4711 1883\r\n",
		"PROXY TCP4 ::1 ::1 4711 1883\r\n",
		"PROXY TCP4 ::ffff:192.0.2.7 198.51.100.9 4711 1883\r\n",
		"PROXY TCP6 192.0.2.7 198.51.100.9 4711 1883\r\n",
		"PROXY TCP5 192.0.2.7 198.51.100.9 4711 1883\r\n",
		"PROXY UDP4 192.0.2.7 198.51.100.9 4711 1883\r\n",
		"PROXY\tTCP4 192.0.2.7 198.51.100.9 4711 1883\r\n",
		"PROXY TCP4 192.0.2.7 198.51.100.9 4711 1883\n",
		"PROXY TCP4 192.0.2.7 198.51.100.9 4711 1883\r\r\n",
		"PROXY TCP4 192.0.2.7 198.51.100.9 4711 1883\rx",
		"PROXY \r\n",
		"PROXY \n",
		"proxy TCP4 192.0.2.7 198.51.100.9 4711 1883\r\n",
		" PROXY TCP4 192.0.2.7 198.51.100.9 4711 1883\r\n",
	};
	struct proxy_protocol p;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (read_all(str_c(bad[i]), &p) != PARSE_BAD)
			kit_failed("is taken", bad[i], __FILE__, __LINE__);
	}
	IS(READ("PROXY TCP4 192.0.2.7\0 198.51.100.9 4711 1883\r\n"), PARSE_BAD);
}

static void A22_what_is_no_header_is_bad_at_its_first_byte(void)
{
	struct proxy_protocol p;

	IS(READ("\x10"), PARSE_BAD);
	IS(READ("\x16"), PARSE_BAD);
	IS(READ("GET"), PARSE_BAD);
	IS(READ("PRI"), PARSE_BAD);
	IS(READ("\r\n\r\n\r"), PARSE_BAD);
	IS(READ("\n"), PARSE_BAD);
	IS(READ(""), PARSE_MORE);
	IS(READ("PROX"), PARSE_MORE);
	IS(READ("\r\n\r\n"), PARSE_MORE);
}

/* ---- Version 2 ---- */
static void version_2_tells_both_addresses(void)
{
	struct proxy_protocol p;

	IS(READ(SIGN "\x21\x11\x00\x0c" V4 "\x10\x0c"), PARSE_OK);
	IS(p.version, 2);
	IS(p.size, 28);
	IS_STR(source_of(&p), "192.0.2.7");
	IS(p.source.port, 4711);
	IS_STR(destination_of(&p), "198.51.100.9");
	IS(p.destination.port, 1883);
	NO(p.ssl);
	YES(!p.alpn.p);
	IS(READ(SIGN "\x21\x21\x00\x24"
	             "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07"
	             "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\xff\xff\x00\x50"),
	   PARSE_OK);
	IS_STR(source_of(&p), "2001:db8::7");
	IS(p.source.port, 65535);
	IS_STR(destination_of(&p), "::1");
	IS(p.destination.port, 80);
}

static void version_2_of_a_unix_socket_is_local(void)
{
	struct proxy_protocol p;
	struct buf b = { 0 };

	buf_str_add(&b, STR(SIGN "\x21\x31\x00\xd8/run/client"));
	while (buf_len(&b) < 16 + 216)
		buf_u8(&b, 0);
	IS(read_all(buf_str(&b), &p), PARSE_OK);
	YES(p.source.local && p.destination.local);
	NO(p.own);
	IS_STR(source_of(&p), "local");
	IS(p.size, 232);
	buf_free(&b);
}

static void version_2_of_the_peer_itself_has_no_addresses(void)
{
	struct proxy_protocol p;

	IS(READ(SIGN "\x20\x00\x00\x00"), PARSE_OK);
	YES(p.own);
	IS(p.size, 16);
	IS(READ(SIGN "\x20\x11\x00\x0c" V4), PARSE_OK);
	YES(p.own);
	IS(p.source.port, 0);
	IS(READ(SIGN "\x20\xff\x00\x03xyz"), PARSE_OK); /* section 2.2: LOCAL's family is skipped */
	IS(p.size, 19);
	IS(READ(SIGN "\x21\x00\x00\x00"), PARSE_OK);
	YES(p.own);
}

static void A22_version_2_takes_only_streams_it_knows(void)
{
	struct proxy_protocol p;

	for (unsigned command = 0; command < 256; command++) {
		for (unsigned family = 0; family < 256; family++) {
			uint8_t head[16 + 216] = SIGN;
			bool ok = command == 0x20 ||
			          (command == 0x21 && (family == 0x00 || family == 0x11 ||
			                               family == 0x21 || family == 0x31));

			head[12] = (uint8_t)command;
			head[13] = (uint8_t)family;
			head[15] = 216; /* for the smaller families the rest are TLVs of type 0 and
			                   no length */
			IS(proxy_protocol_read(str_make(head, sizeof(head)), &p),
			   ok ? PARSE_OK : PARSE_BAD);
			IS(proxy_protocol_read(str_make(head, 14), &p),
			   ok ? PARSE_MORE : PARSE_BAD);
		}
	}
}

static void A22_version_2_lengths_fit_exactly(void)
{
	struct proxy_protocol p;

	IS(READ(SIGN "\x21\x11\x00\x0b" V4), PARSE_BAD); /* too short for its family */
	IS(READ(SIGN "\x21\x21\x00\x0c" V4), PARSE_BAD);
	IS(READ(SIGN "\x21\x31\x00\x0c" V4), PARSE_BAD);
	IS(READ(SIGN "\x21\x11\x00\x00"), PARSE_BAD);
	IS(READ(SIGN "\x21\x11\x00\x0d" V4 "\x04"), PARSE_BAD); /* half a TLV */
	IS(READ(SIGN "\x21\x11\x00\x0e" V4 "\x04\x00"), PARSE_BAD);
	IS(READ(SIGN "\x21\x11\x00\x0f" V4 "\x04\x00\x00"), PARSE_OK);
	IS(READ(SIGN "\x21\x11\x00\x0f" V4 "\x04\x00\x01"), PARSE_BAD);
	IS(READ(SIGN "\x21\x11\x00\x0f" V4 "\x04\xff\xff"), PARSE_BAD);
	IS(READ(SIGN "\x21\x11\x00\x10" V4 "\x04\x00\x00"), PARSE_MORE);
}

static void A22_a_header_over_the_limit_is_bad_before_it_is_there(void)
{
	struct proxy_protocol p;

	IS(READ(SIGN "\x21\x11\xff\xff"), PARSE_BAD);
	IS(READ(SIGN "\x20\x00\x0f\xf1"), PARSE_BAD);
	IS(READ(SIGN "\x20\x00\x0f\xf0"), PARSE_MORE);
}

static void tlvs_tell_of_tls(void)
{
	struct proxy_protocol p;

	IS(READ(SIGN "\x21\x11\x00\x46" V4 "\x01\x00\x04mqtt"
	             "\x02\x00\x0cmbus.example"
	             "\x20\x00\x1c\x07\x00\x00\x00\x00"
	             "\x21\x00\x07TLSv1.3"
	             "\x22\x00\x05lamp1"
	             "\xe0\x00\x02zz"
	             "\x05\x00\x02\x00\xff"),
	   PARSE_OK);
	IS_STR(p.alpn, "mqtt");
	IS_STR(p.authority, "mbus.example");
	IS_STR(p.unique_id, "\x00\xff");
	YES(p.ssl);
	IS(p.ssl_client, PROXY_SSL | PROXY_SSL_CERT_CONN | PROXY_SSL_CERT_SESSION);
	IS(p.ssl_verify, 0);
	IS_STR(p.ssl_version, "TLSv1.3");
	IS_STR(p.ssl_cn, "lamp1");
	YES(proxy_protocol_verified(&p));
}

static void a_certificate_counts_only_if_it_was_given_and_found_good(void)
{
	struct proxy_protocol p;

#define SSL_TLV(client, verify) READ(SIGN "\x21\x11\x00\x14" V4 "\x20\x00\x05" client verify)
	IS(SSL_TLV("\x03", "\x00\x00\x00\x00"), PARSE_OK);
	YES(proxy_protocol_verified(&p));
	IS(SSL_TLV("\x05", "\x00\x00\x00\x00"), PARSE_OK);
	YES(proxy_protocol_verified(&p));
	IS(SSL_TLV("\x03", "\x00\x00\x00\x14"), PARSE_OK);
	NO(proxy_protocol_verified(&p));
	IS(p.ssl_verify, 20);
	IS(SSL_TLV("\x01", "\x00\x00\x00\x00"), PARSE_OK);
	NO(proxy_protocol_verified(&p));
	IS(SSL_TLV("\x02", "\x00\x00\x00\x00"), PARSE_OK);
	NO(proxy_protocol_verified(&p));
	IS(READ(SIGN "\x21\x11\x00\x0c" V4), PARSE_OK);
	NO(proxy_protocol_verified(&p));
#undef SSL_TLV
}

static void A22_a_tlv_inside_tls_must_fit_and_no_fact_comes_twice(void)
{
	struct proxy_protocol p;

	IS(READ(SIGN "\x21\x11\x00\x13" V4 "\x20\x00\x04\x01\x00\x00\x00"), PARSE_BAD);
	IS(READ(SIGN "\x21\x11\x00\x16" V4 "\x20\x00\x07\x01\x00\x00\x00\x00\x21\x00"), PARSE_BAD);
	IS(READ(SIGN "\x21\x11\x00\x18" V4 "\x20\x00\x08\x01\x00\x00\x00\x00\x21\x00\x01x"),
	   PARSE_BAD);
	IS(READ(SIGN "\x21\x11\x00\x1b" V4
	             "\x20\x00\x0c\x01\x00\x00\x00\x00\x22\x00\x01x\x22\x00\x00"),
	   PARSE_BAD);
	IS(READ(SIGN "\x21\x11\x00\x1c" V4
	             "\x20\x00\x05\x01\x00\x00\x00\x00\x20\x00\x05\x01\x00\x00\x00\x00"),
	   PARSE_BAD);
	IS(READ(SIGN "\x21\x11\x00\x14" V4 "\x01\x00\x01x\x01\x00\x01y"), PARSE_BAD);
	IS(READ(SIGN "\x21\x11\x00\x12" V4 "\x05\x00\x00\x05\x00\x00"), PARSE_BAD);
}

static void W06_a_name_with_a_nul_or_no_utf8_is_bad(void)
{
	struct proxy_protocol p;

	IS(READ(SIGN "\x21\x11\x00\x1a" V4 "\x20\x00\x0b\x03\x00\x00\x00\x00\x22\x00\x03"
	             "a\0b"),
	   PARSE_BAD);
	IS(READ(SIGN "\x21\x11\x00\x1a" V4 "\x20\x00\x0b\x03\x00\x00\x00\x00\x22\x00\x03"
	             "a\xff"
	             "b"),
	   PARSE_BAD);
	IS(READ(SIGN "\x21\x11\x00\x1a" V4 "\x20\x00\x0b\x03\x00\x00\x00\x00\x22\x00\x03"
	             "a\xc3\xa4"),
	   PARSE_OK);
	IS(READ(SIGN "\x21\x11\x00\x10" V4 "\x02\x00\x01\x00"), PARSE_BAD);
}

static void A22_a_wrong_checksum_is_bad(void)
{
	/* made with an independent CRC32c, bit by bit */
	uint8_t good[] = SIGN "\x21\x11\x00\x16" V4 "\x03\x00\x04\0\0\0\0\x04\x00\x00";
	size_t n = sizeof(good) - 1;
	struct proxy_protocol p;
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < n * 8; i++) {
		uint32_t bit = good[i / 8] >> i % 8 & 1;

		crc = (crc ^ bit) & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
	}
	for (unsigned i = 0; i < 4; i++)
		good[31 + i] = (uint8_t)(~crc >> (24 - 8 * i));
	IS(read_all(str_make(good, n), &p), PARSE_OK);
	for (size_t i = 16; i < n; i++) { /* one bit anywhere in the body */
		good[i] ^= 1;
		IS(proxy_protocol_read(str_make(good, n), &p), PARSE_BAD);
		good[i] ^= 1;
	}
	IS(READ(SIGN "\x21\x11\x00\x12" V4 "\x03\x00\x03\0\0\0"), PARSE_BAD);
}

static void bytes_at_random_end_in_an_answer(void)
{
	for (unsigned i = 0; i < 20000; i++) {
		uint8_t bytes[120] = SIGN "\x21\x11\x00";
		size_t n = 16 + any_below(sizeof(bytes) - 16);
		struct proxy_protocol p;

		any_bytes(bytes + 16, sizeof(bytes) - 16);
		bytes[15] = (uint8_t)any_below(104);
		for (size_t k = 28; k + 2 < sizeof(bytes); k += 3 + any_below(8)) {
			static const uint8_t types[] = { 1, 2, 3, 4, 5, 0x20, 0x21, 0x22 };

			bytes[k] = types[any_below(ARRAY_LEN(types))];
			bytes[k + 1] = 0;
			bytes[k + 2] = (uint8_t)any_below(12);
		}
		if (proxy_protocol_read(guard_str(str_make(bytes, n)), &p) == PARSE_OK)
			IS(p.size, 16u + bytes[15]);
		guard_reset();
	}
}

RUN(version_1_tells_both_addresses, version_1_may_not_know,
    the_longest_line_of_version_1_is_107_bytes, A22_version_1_has_one_form,
    A22_what_is_no_header_is_bad_at_its_first_byte, version_2_tells_both_addresses,
    version_2_of_a_unix_socket_is_local, version_2_of_the_peer_itself_has_no_addresses,
    A22_version_2_takes_only_streams_it_knows, A22_version_2_lengths_fit_exactly,
    A22_a_header_over_the_limit_is_bad_before_it_is_there, tlvs_tell_of_tls,
    a_certificate_counts_only_if_it_was_given_and_found_good,
    A22_a_tlv_inside_tls_must_fit_and_no_fact_comes_twice, W06_a_name_with_a_nul_or_no_utf8_is_bad,
    A22_a_wrong_checksum_is_bad, bytes_at_random_end_in_an_answer)
