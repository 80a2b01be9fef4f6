/* rcu.h - the one door to liburcu's QSBR flavour: registration, publishing and deferred freeing.
 * A reader needs no lock call: it may hold an RCU pointer for the rest of the current loop turn,
 * never longer (never in an object; take a reference for that). TSan is told what 0.13 does not
 * tell it. */
#pragma once
#ifndef _LGPL_SOURCE
#define _LGPL_SOURCE /* inlines the readers' side */
#endif
#include <urcu-qsbr.h>

#include "base/base.h"

void rcu_thread_enter(void); /* once per thread that reads; thread_start() does it */
void rcu_thread_leave(void);
/* after all readers' turns; free_fn only frees, in another thread */
void rcu_free_later(struct rcu_head *head, void (*free_fn)(struct rcu_head *));
/* waits for all deferred frees; only at the end of a program, loop threads stopped */
void rcu_drain(void);

/* Around every call that can wait, in a thread that may have entered; nothing happens in a thread
 * that has not. Between them no RCU pointer may be held. loop.c and thread_join() do it for
 * everybody else. */
void rcu_sleep(void);
void rcu_wake(void);
void rcu_turn_done(void); /* this thread holds no RCU pointer now; once a turn, by the loop */

/* What TSan cannot see: liburcu's assembly, and the code of liburcu-cds. Publishing through
 * rcu_dereference and rcu_xchg_pointer / rcu_assign_pointer is understood. Around a cds_lfht:
 * RCU_TOLD(table) before an insertion or replacement, RCU_HEARD(table) after a look-up. */
#if defined(__SANITIZE_THREAD__)
#define RCU_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RCU_TSAN 1
#endif
#endif
#ifdef RCU_TSAN
void __tsan_acquire(void *p);
void __tsan_release(void *p);
#define RCU_TOLD(p)  __tsan_release((void *)(uintptr_t)(p))
#define RCU_HEARD(p) __tsan_acquire((void *)(uintptr_t)(p))
#undef rcu_dereference
#undef rcu_xchg_pointer
#undef rcu_assign_pointer
#undef rcu_set_pointer
#define rcu_dereference(p)        __atomic_load_n(&(p), __ATOMIC_ACQUIRE)
#define rcu_xchg_pointer(slot, v) __atomic_exchange_n((slot), (v), __ATOMIC_ACQ_REL)
#define rcu_assign_pointer(p, v)  __atomic_store_n(&(p), (v), __ATOMIC_RELEASE)
#define rcu_set_pointer(slot, v)  __atomic_store_n((slot), (v), __ATOMIC_RELEASE)
#else
#define RCU_TOLD(p)  ((void)(p))
#define RCU_HEARD(p) ((void)(p))
#endif
