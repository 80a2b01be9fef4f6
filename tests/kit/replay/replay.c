/* replay.c - a main() for a fuzz target without a fuzzer: gives it every file of the folders and
 * files named, once. The unit tests run the corpora through this, with the plain compiler and
 * with every sanitizer; a finding of long ago stays found. */
#include "base/base.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned long replayed;

/* The target gets a block of exactly the input's size, so that a sanitizer sees the first byte
 * too far. */
static bool replay_file(const char *path, size_t size)
{
	uint8_t *data = malloc(size ? size : 1);
	FILE *f = fopen(path, "rb");
	bool ok = data && f && fread(data, 1, size, f) == size;

	if (f)
		(void)fclose(f);
	if (ok) {
		(void)LLVMFuzzerTestOneInput(data, size);
		replayed++;
	} else {
		fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
	}
	free(data);
	return ok;
}

static bool replay_path(const char *path)
{
	struct dirent **entries;
	struct stat st;
	bool ok = true;
	int count;

	if (stat(path, &st) != 0) {
		fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
		return false;
	}
	if (!S_ISDIR(st.st_mode))
		return replay_file(path, (size_t)st.st_size);
	count = scandir(path, &entries, NULL, alphasort);
	for (int i = 0; i < count; i++) {
		char inner[4096];

		if (entries[i]->d_name[0] != '.') {
			if ((size_t)snprintf(inner, sizeof(inner), "%s/%s", path,
			                     entries[i]->d_name) < sizeof(inner))
				ok = replay_path(inner) && ok;
			else
				ok = false;
		}
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
	return ok && count >= 0;
}

/* A corpus is one test: it passes or it does not; the last line is the one that scripts/test
 * counts. A target that finds something does not come back here. Nothing to replay is a failure:
 * a corpus that moved away would otherwise pass for ever. */
int main(int argc, char **argv)
{
	bool ok = true;

	for (int i = 1; i < argc; i++)
		ok = replay_path(argv[i]) && ok;
	ok = ok && replayed;
	printf("%lu inputs replayed\n%d passed, %d failed, 0 skipped\n", replayed, ok, !ok);
	return ok ? 0 : 1;
}
