/* rcu.h - the one door to liburcu's QSBR flavour: registration, publishing and deferred freeing.
 * A reader needs no lock call: it may hold an RCU pointer for the rest of the current loop turn, never longer
 * (never in an object; take a reference for that). TSan is told what 0.13 does not tell it. */
#pragma once
#define _LGPL_SOURCE
#include <urcu/urcu-qsbr.h>

#include "base/base.h"

void rcu_thread_enter(void);                              /* once per thread that reads; thread_start() does it */
void rcu_thread_leave(void);
void rcu_free_later(struct rcu_head *head, void (*free_fn)(struct rcu_head *));  /* after all readers' turns; free_fn only frees, in another thread */
void rcu_drain(void);                                     /* waits for all deferred frees; only at the end of a program, loop threads stopped */
