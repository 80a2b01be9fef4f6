/* admit.h - is a client whose token is good let in? By its address, its certificate and its client
 * id, by its quotas, by what its Will wants. Worker's thread. */
#pragma once
#include "acl/verdict.h"
#include "proxy/conn.h"

/* c has its badge, and CONNECT in c->greet. RC_SUCCESS, or the reason and what to say (static, or
 * left as it is). Takes the client's places among connections, which conn_free gives back. */
unsigned admit(struct conn *c, const struct token_info *info, const char **say);
/* parts of it that another token needs as well (reauth.c) */
/* NULL, or why it may not be who and where it is: address, certificate, client id (rights.c asks
 * too) */
const char *admit_still(const struct conn *c, const struct token_info *info);
/* a place among the connections with a token of this quota: 0, -E_LIMIT, -E_NOMEM */
int admit_cap(struct conn *c, const struct token_info *info, int64_t most,
              struct cap **out) MUST_CHECK;
