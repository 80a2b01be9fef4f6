/* thread.h - starting and joining a thread that runs one loop. Signals are blocked in it; RCU is
 * entered and left for it. */
#pragma once
#include "base/loop.h"

struct thread;

/* main runs in the new thread; name (15 bytes at most) shows in ps and in log lines. Not for
 * libcurl's or lws' own threads. */
int thread_start(struct thread **out, const char *name, void (*main)(void *arg),
                 void *arg) MUST_CHECK;
/* NULL is fine; the calling thread goes RCU-offline while it waits */
void thread_join(struct thread **t);
