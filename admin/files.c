/* files.c - writing secrets to disk (files.h). */
#include "base/base.h"
#include "admin/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static int write_whole(int fd, struct str content)
{
	while (content.n) {
		ssize_t n = write(fd, content.p, content.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? -E_LIMIT
			                                                            : -E_IO;
		content = str_skip(content, (size_t)n);
	}
	return fsync(fd) < 0 ? -E_IO : 0;
}

static int flush_folder(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -E_IO;
	if (fsync(fd) < 0)
		err = -E_IO;
	(void)close(fd);
	return err;
}

int file_write_private(const char *dir, const char *path, struct str content)
{
	char fresh[4200];
	int fd, err, n = snprintf(fresh, sizeof(fresh), "%s.new", path);

	if (n < 0 || (size_t)n >= sizeof(fresh))
		return -E_INVALID;
	(void)unlink(fresh); /* left by a start that was cut off */
	fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return errno == ENOSPC || errno == EDQUOT ? -E_LIMIT : -E_IO;
	err = write_whole(fd, content);
	(void)close(fd);
	if (!err && rename(fresh, path) < 0)
		err = -E_IO;
	if (!err)
		return flush_folder(dir);
	(void)unlink(fresh);
	return err;
}
