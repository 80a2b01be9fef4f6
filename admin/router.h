/* router.h - from a request to its handler. Deny by default: nothing is looked up, told or done
 * before a good token has been shown, whatever the path and method; a route that is not in the
 * table does not exist. Service thread. */
#pragma once
#include "admin/rest.h"

struct route {
	enum http_method method;
	const char *path; /* one '*' stands for a selector */
	const char *uri,
	    *submodule;   /* the right it takes (acl_may_rest); uri NULL: any good token */
	bool any_address; /* the token's `ips` and `certs` do not count: a proxy asks for somebody
	                     else */
	void (*run)(struct call *c);
};

extern const struct route router_table[];
extern const size_t router_count;

bool router_admits(struct rest *r, const struct http_req *req,
                   struct http_resp *resp); /* http_handler.admits */
void router_handle(struct rest *r, const struct http_req *req,
                   struct http_resp *resp); /* http_handler.handle */
