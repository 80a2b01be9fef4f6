/* measure.c - clocks, CPU time of other processes, and a histogram of latencies (16 steps per power
 * of two: 6 % wide). */
#include "tests/bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

uint64_t bench_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static double cpu_of(int pid)
{
	unsigned long user = 0, system = 0;
	char path[64], line[1024], *after;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "r");
	if (!f || !fgets(line, sizeof(line), f)) {
		fprintf(stderr, "mbus-bench: process %d is gone\n", pid);
		exit(2);
	}
	fclose(f);
	/* The name in parentheses may hold anything: fields are counted from behind it. */
	after = strrchr(line, ')');
	if (!after || sscanf(after + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
	                     &user, &system) != 2) {
		fprintf(stderr, "mbus-bench: cannot read %s\n", path);
		exit(2);
	}
	return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

double bench_cpu(const int *pid, int pids)
{
	double sum = 0;

	for (int i = 0; i < pids; i++)
		sum += cpu_of(pid[i]);
	return sum;
}

double bench_own_cpu(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void bench_latency_add(struct bench_counts *c, uint64_t ns)
{
	unsigned power = ns < 16 ? 0 : 63u - (unsigned)__builtin_clzll(ns) - 3;
	unsigned step = ns < 16 ? (unsigned)ns : (unsigned)(ns >> (power - 1)) & 15;

	c->latency[power * 16 + step]++;
}

double bench_latency_us(const struct bench_counts *c, double quantile)
{
	uint64_t total = 0, seen = 0;

	for (size_t i = 0; i < BENCH_BUCKETS; i++)
		total += c->latency[i];
	for (size_t i = 0; i < BENCH_BUCKETS; i++) {
		seen += c->latency[i];
		if (total && seen >= (uint64_t)(quantile * (double)total)) {
			unsigned power = (unsigned)i / 16, step = (unsigned)i % 16;
			uint64_t low = power == 0 ? step : (uint64_t)(16 + step) << (power - 1);

			return (double)low / 1000.0;
		}
	}
	return 0;
}
