/* thread.h - starting and joining a thread that runs one loop. Signals are blocked in it; RCU is
 * entered and left for it. */
#pragma once
#include "base/loop.h"

struct thread;

/* main runs in the new thread; name (15 bytes at most) shows in ps and in log lines. Not for
 * libcurl's or lws' own threads. */
int thread_start(struct thread **out, const char *name, void (*main)(void *arg),
                 void *arg) MUST_CHECK;
/* loop.c, once a turn: the thread becomes a batch thread while it is busy (thread.c) */
void thread_turn(int64_t now_us);
/* Is a thread busy that used the CPU for so long in a window, in so many turns, and was it before?
 * Pure. */
bool thread_busy(bool was, int64_t window_us, int64_t used_us, unsigned turns);
/* Between pieces of long work: after 300 us on the CPU, whoever waits for this CPU has it first.
 * The kernel by itself takes it away at a tick only, which is 4 ms apart where HZ is 250. */
void thread_give_way(void);
/* NULL is fine; the calling thread goes RCU-offline while it waits */
void thread_join(struct thread **t);
