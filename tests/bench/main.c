/* main.c - command line of mbus-bench. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "tests/bench/bench.h"

static const char help[] =
    "mbus-bench: load on an MQTT server, every message verified; prints one JSON line\n"
    "  --host ADDR (127.0.0.1)  --port N (1883)  --user TOKEN  --version 3|4|5 (4)\n"
    "  --scenario pairs|fan-in|fan-out|telematics|handshakes|link|abuse\n"
    "  --door tcp|tls|ws|wss (tcp)  --key ecdsa|rsa (which certificate)  --resume (handshakes)\n"
    "  --connections N (100)    publishers (pairs: as many subscribers)\n"
    "  --subscribers N (500)    of fan-out and telematics\n"
    "  --qos 0|1  --payload BYTES (100)  --inflight N (1)  per publisher\n"
    "  --rate N                 messages a second over all publishers, instead of a window\n"
    "  --name WORD (bench)      begins client ids and topics: two runs on one customer\n"
    "  --count-losses           lost messages are counted and do not end the run\n"
    "  --load WORD              of abuse; one that is not known prints them all\n"
    "  --seconds N (5)  --warmup N (1)\n"
    "  --pid N                  a server process whose CPU counts; may be repeated\n";

static int number(const char *text, const char *option)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (*end || end == text || n < 0 || n > 10000000) {
		fprintf(stderr, "mbus-bench: --%s %s is not a number in range\n", option, text);
		exit(2);
	}
	return (int)n;
}

static const char *const scenarios[] = { "pairs",      "fan-in", "fan-out", "telematics",
	                                 "handshakes", "link",   "abuse",   NULL };
static const char *const keys[] = { "ecdsa", "rsa", NULL };
const char *const bench_doors[] = { "tcp", "tls", "ws", "wss", NULL };

static unsigned word(const char *const *names, const char *text, const char *option)
{
	for (unsigned i = 0; names[i]; i++) {
		if (strcmp(names[i], text) == 0)
			return i;
	}
	fprintf(stderr, "mbus-bench: --%s %s is not known (see --help)\n", option, text);
	exit(2);
}

static const struct option options[] = {
	{ "host", 1, NULL, 'h' },     { "port", 1, NULL, 'p' },
	{ "user", 1, NULL, 'u' },     { "version", 1, NULL, 'v' },
	{ "scenario", 1, NULL, 's' }, { "connections", 1, NULL, 'c' },
	{ "qos", 1, NULL, 'q' },      { "subscribers", 1, NULL, 'b' },
	{ "payload", 1, NULL, 'l' },  { "inflight", 1, NULL, 'i' },
	{ "rate", 1, NULL, 'r' },     { "seconds", 1, NULL, 't' },
	{ "warmup", 1, NULL, 'w' },   { "pid", 1, NULL, 'P' },
	{ "door", 1, NULL, 'd' },     { "key", 1, NULL, 'k' },
	{ "resume", 0, NULL, 'R' },   { "help", 0, NULL, 'H' },
	{ "name", 1, NULL, 'n' },     { "count-losses", 0, NULL, 'L' },
	{ "load", 1, NULL, 'a' },     { NULL, 0, NULL, 0 },
};

/* The field that an option with a number fills, or NULL. */
static int *number_field(struct bench_options *o, int letter)
{
	switch (letter) {
	case 'p':
		return &o->port;
	case 'v':
		return &o->version;
	case 'c':
		return &o->connections;
	case 'b':
		return &o->subscribers;
	case 'q':
		return &o->qos;
	case 'l':
		return &o->payload;
	case 'i':
		return &o->inflight;
	case 'r':
		return &o->rate;
	case 't':
		return &o->seconds;
	case 'w':
		return &o->warmup;
	default:
		return NULL;
	}
}

static void parse(struct bench_options *o, int argc, char **argv)
{
	for (int c, i = 0; (c = getopt_long(argc, argv, "", options, &i)) != -1;) {
		int *field = number_field(o, c);

		if (field) {
			*field = number(optarg, options[i].name);
		} else if (c == 'h') {
			o->host = optarg;
		} else if (c == 'u') {
			o->user = optarg;
		} else if (c == 's') {
			o->scenario = (enum bench_scenario)word(scenarios, optarg, "scenario");
		} else if (c == 'd') {
			o->door = (enum bench_door)word(bench_doors, optarg, "door");
		} else if (c == 'k') {
			o->key = keys[word(keys, optarg, "key")];
		} else if (c == 'R') {
			o->resume = true;
		} else if (c == 'n') {
			o->name = optarg;
		} else if (c == 'L') {
			o->count_losses = true;
		} else if (c == 'a') {
			o->load = optarg;
		} else if (c == 'P' && o->pids < BENCH_PIDS) {
			o->pid[o->pids++] = number(optarg, "pid");
		} else {
			fputs(help, c == 'H' ? stdout : stderr);
			exit(c == 'H' ? 0 : 2);
		}
	}
}

int main(int argc, char **argv)
{
	struct bench_options o = { .host = "127.0.0.1",
		                   .name = "bench",
		                   .load = "",
		                   .port = 1883,
		                   .version = 4,
		                   .payload = 100,
		                   .inflight = 1,
		                   .connections = 100,
		                   .subscribers = 500,
		                   .seconds = 5,
		                   .warmup = 1 };
	struct rlimit files = { 0 };

	parse(&o, argc, argv);
	if (o.qos > 1 || o.version < 3 || o.version > 5 || o.payload < BENCH_PAYLOAD_MIN ||
	    o.payload > (60 << 10) || o.inflight < 1 || o.inflight > 65000 || o.connections < 1 ||
	    o.subscribers < 1) {
		fputs("mbus-bench: a value is out of range (see --help)\n", stderr);
		return 2;
	}
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	signal(SIGPIPE, SIG_IGN);
	(void)prctl(PR_SET_TIMERSLACK,
	            1UL); /* --rate: the kernel's 50 us would shape the traffic */
	switch (o.scenario) {
	case BENCH_HANDSHAKES:
		return bench_handshakes(&o);
	case BENCH_LINK:
		return bench_link(&o);
	case BENCH_ABUSE:
		return bench_abuse(&o);
	default:
		return bench_run(&o);
	}
}
