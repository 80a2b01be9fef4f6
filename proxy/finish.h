/* finish.h - LINK_FINISH: another connection wants the session of this one, and waits until all has
 * been worked on that this one's client has said. Worker's thread only. */
#pragma once

struct conn;

/* Says FINISHED now, or when what waits in the socket and behind the packets' rate has been read. A
 * connection that ends before says CLOSE instead. */
void finish_begin(struct conn *c);
/* conn_io.c: more has been read, or it is read again */
void finish_look(struct conn *c);
