/* main.c - mbusctl's command line: options, help, and the choice of the command from the table in
 * ctl_commands.c. */
#include "admin/ctl/ctl.h"

#include <getopt.h>
#include <stdio.h>

#include "base/opts.h"

static const struct option options[] = {
	{ "api", required_argument, NULL, 'a' },
	{ "token-file", required_argument, NULL, 'f' },
	{ "state", required_argument, NULL, 's' },
	{ "cid", required_argument, NULL, 'c' },
	{ "info", required_argument, NULL, 'i' },
	{ "type", required_argument, NULL, 't' },
	{ "acl", required_argument, NULL, 'g' },
	{ "ttl", required_argument, NULL, 'l' },
	{ "expire", required_argument, NULL, 'e' },
	{ "ips", required_argument, NULL, 'p' },
	{ "certs", required_argument, NULL, 'n' },
	{ "client-id", required_argument, NULL, 'm' },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ "enable", no_argument, NULL, 'E' },
	{ "disable", no_argument, NULL, 'D' },
	{ "version", no_argument, NULL, 'V' },
	{ "flespi-extensions", required_argument, NULL, 'x' },
	{ NULL, 0, NULL, 0 },
};

static void help(FILE *to)
{
	fputs("mbusctl: tokens, customers and the log of an MBUS installation, from the "
	      "shell\n\nCommands\n",
	      to);
	for (size_t i = 0; i < ctl_command_count; i++) {
		const struct ctl_command *c = &ctl_commands[i];
		char head[64];

		snprintf(head, sizeof(head), "%s %s %s", c->noun, c->verb, c->arguments);
		fprintf(to, "  %-34s %s\n", head, c->help);
	}
	fputs(
	    "\nWhere and who (the first that is there counts)\n"
	    "  --api URL, MBUS_API                the REST API\n"
	    "  --token-file FILE, MBUS_TOKEN      the token's key: in a file, or in the "
	    "environment\n"
	    "  --state DIR, MBUS_STATE, .state    both from DIR/ready.json, as `make run` writes "
	    "it\n"
	    "  --cid N                            act as this subaccount\n"
	    "\nFields of a token\n"
	    "  --type standard|master|acl         what kind (default: acl if --acl is given, else "
	    "standard)\n"
	    "  --acl ACTIONS:FILTER               a grant, may be repeated: pub:cmd/+  "
	    "sub:sensors/#  pubsub:chat/#\n"
	    "  --acl REST:logs, --acl REST:sessions   may follow the MQTT log, may read sessions\n"
	    "  --ttl 30d, --expire UNIXTIME       ends so long after its last use; ends then "
	    "(either keeps it alive)\n"
	    "  --ips 10.0.*,192.168.1.?           only from these addresses\n"
	    "  --certs lamp-*,gateway             only with a client certificate of such a name\n"
	    "  --client-id lamp-*                 only under such a client id, may be repeated; '' "
	    "for "
	    "any\n"
	    "  --enable, --disable                switch it on, off\n"
	    "  --info TEXT                        a name for people\n"
	    "\nFields of a customer\n"
	    "  --flespi-extensions on|off         its clients may subscribe to 1,2,3 and "
	    "$filter/...\n"
	    "\nOutput\n  --json                             the server's answer, for programs\n"
	    "\nA SELECTOR is 7, or 1,2,3, or all, or field=value.\n",
	    to);
}

static bool parse(struct ctl_args *a, int argc, char **argv)
{
	for (int c; (c = getopt_long(argc, argv, "jh", options, NULL)) != -1;) {
		switch (c) {
		case 'a':
			a->api = optarg;
			break;
		case 'f':
			a->token_file = optarg;
			break;
		case 's':
			a->state = optarg;
			break;
		case 'c':
			a->cid = optarg;
			break;
		case 'i':
			a->info = optarg;
			break;
		case 't':
			a->type = optarg;
			break;
		case 'l':
			a->ttl = optarg;
			break;
		case 'e':
			a->expire = optarg;
			break;
		case 'p':
			a->ips = optarg;
			break;
		case 'n':
			a->certs = optarg;
			break;
		case 'm':
			if (a->client_ids == CTL_CLIENT_IDS_MAX) {
				fprintf(stderr, "mbusctl: more than %d --client-id\n",
				        CTL_CLIENT_IDS_MAX);
				return false;
			}
			a->client_id[a->client_ids++] = optarg;
			break;
		case 'j':
			a->json = true;
			break;
		case 'h':
			a->help = true;
			break;
		case 'x':
			a->extensions = optarg;
			break;
		case 'E':
			a->enable = true;
			break;
		case 'D':
			a->disable = true;
			break;
		case 'V':
			a->version = true;
			break;
		case 'g':
			if (a->grants == CTL_GRANTS_MAX) {
				fprintf(stderr, "mbusctl: more than %d --acl\n", CTL_GRANTS_MAX);
				return false;
			}
			a->grant[a->grants++] = optarg;
			break;
		default:
			return false; /* getopt has said why */
		}
	}
	for (; optind < argc; optind++) {
		if (a->words == CTL_WORDS_MAX) {
			fprintf(stderr, "mbusctl: too many words\n");
			return false;
		}
		a->word[a->words++] = argv[optind];
	}
	return true;
}

static const struct ctl_command *find(const struct ctl_args *a)
{
	if (a->words < 2)
		return NULL;
	for (size_t i = 0; i < ctl_command_count; i++) {
		const struct ctl_command *c = &ctl_commands[i];
		int more = a->words - 2;

		if (strcmp(c->noun, a->word[0]) == 0 && strcmp(c->verb, a->word[1]) == 0 &&
		    more >= c->least && more <= c->most)
			return c;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct ctl_args a = { 0 };
	const struct ctl_command *command;

	if (!parse(&a, argc, argv))
		return CTL_USAGE;
	if (a.version) {
		printf("mbusctl %s\n", mbus_version());
		return CTL_OK;
	}
	if (a.help || a.words == 0) {
		help(a.help ? stdout : stderr);
		return a.help ? CTL_OK : CTL_USAGE;
	}
	command = find(&a);
	if (!command) {
		fprintf(stderr,
		        "mbusctl: no such command, or a word too few or too many: %s%s%s (see "
		        "mbusctl --help)\n",
		        a.word[0], a.words > 1 ? " " : "", a.words > 1 ? a.word[1] : "");
		return CTL_USAGE;
	}
	return command->run(&a);
}
