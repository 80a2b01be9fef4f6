/* list.h - intrusive doubly linked list; a node that is in no list points to itself. One thread at
 * a time. */
#pragma once
#include "base/base.h"

struct list {
	struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l) /* also: this node is in no list */
{
	return l->next == l;
}

static inline void list_add_tail(struct list *head, struct list *node)
{
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

static inline void list_add_head(struct list *head, struct list *node)
{
	list_add_tail(head->next, node);
}

static inline void list_del(struct list *node) /* harmless on a node that is in no list */
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

/* All of `from` to the end of `to`, in their order; `from` is empty then. */
static inline void list_splice_tail(struct list *to, struct list *from)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

#define list_entry(node, type, member) container_of(node, type, member)
#define list_first(head, type, member) \
	(list_empty(head) ? NULL : list_entry((head)->next, type, member))
/* The body may delete `item`, nothing else of the list. */
#define list_each(item, head, type, member) \
	for (struct list *item##_n = (head)->next, *item##_s = item##_n->next; \
	     item##_n != (head) && ((item = list_entry(item##_n, type, member)), true); \
	     item##_n = item##_s, item##_s = item##_n->next)
