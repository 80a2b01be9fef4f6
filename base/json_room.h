/* json_room.h - between json.c and json_room.c only: memory for the nodes of a long text.
 *
 * An access list of a thousand entries becomes 18,000 small allocations, which live and end
 * together. While such a text is read, the thread takes them one behind the other from a room of
 * its own, which is empty again with the last one. What does not fit comes from mem.h. So a tree of
 * json_read stays in the thread that has read it. */
#pragma once
#include <stddef.h>
#include <stdbool.h>

void json_room_enter(size_t text); /* a text of so many bytes is read now */
void json_room_leave(void);
void *json_room_alloc(size_t n); /* NULL: take it from elsewhere */
bool json_room_free(void *p);    /* false: it is from elsewhere */
