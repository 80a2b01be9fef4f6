/* acl_parts.h - what the files of acl.c share: the compiled form. Nobody outside acl/ includes it.
 */
#pragma once
#include "acl/acl.h"
#include "acl/acl_set.h"

/* ---- REST rights: bits of methods per kind of item and part of it (flespi.md 2.1) ---- */
enum { ACL_METHODS = 5, ACL_SUBMODULES = 19, ACL_URIS = 13 };
enum { ACL_GET = 1 }; /* the bit of the first method */

int acl_method_of(struct str word);    /* bit number, or -1 */
int acl_submodule_of(struct str word); /* 0 .. ACL_SUBMODULES - 1, or -1 */
int acl_uri_of(struct str word);       /* 0 .. ACL_URIS - 1, or -1 */
extern const int acl_uri_mqtt, acl_submodule_logs;

/* All but refs is written by acl_compile() and never again. */
struct acl {
	_Atomic unsigned refs;
	uint64_t stamp; /* acl_stamp() */
	enum acl_type type;
	struct acl_set publish, receive;
	/* Method bits: rest[uri][0] of the item itself, rest[uri][1 + n] of its submodule n. */
	uint8_t rest[ACL_URIS][1 + ACL_SUBMODULES];
	char *texts; /* the topics of the grants, back to back */
	struct buf
	    source; /* the access object it was compiled from, as compact JSON; empty if too long */
};

void acl_free(struct acl *a); /* NULL and half-built are fine */

/* A word of a stranger for a line that people read: what is not plain text becomes '?', and a long
 * one is cut. */
enum { ACL_QUOTE = 72 };
const char *acl_quote(char room[ACL_QUOTE], struct str word);
