/* json_room.c - see json_room.h. */
#include "base/base.h"
#include "base/json_room.h"

#include <pthread.h>
#include <sys/mman.h>

enum { TEXT_LEAST = 4096, ROOM = 2 << 20, KEPT = 1 << 20, ALIGN = 16 };

#ifdef __SANITIZE_ADDRESS__ /* which is to see the end of each by itself */
enum { IN_USE = false };
#else
enum { IN_USE = true };
#endif

static _Thread_local struct {
	uint8_t *p; /* NULL: no long text was read here yet */
	size_t used, live;
	bool filling;
} room;

/* ---- The end of a thread ---- */
static pthread_key_t key;
static bool have_key;

static void forget(void *p)
{
	(void)munmap(p, ROOM);
}

__attribute__((constructor)) static void make_key(void)
{
	have_key = pthread_key_create(&key, forget) == 0;
}

/* Its pages are there once they are written to. */
static void open_room(void)
{
	void *p = MAP_FAILED;

	if (have_key)
		p = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return;
	if (pthread_setspecific(key, p))
		forget(p);
	else
		room.p = p;
}

/* ---- Its use ---- */
void json_room_enter(size_t text)
{
	if (!IN_USE || text < TEXT_LEAST)
		return;
	if (!room.p)
		open_room();
	room.filling = room.p != NULL;
}

void json_room_leave(void)
{
	room.filling = false;
}

void *json_room_alloc(size_t n)
{
	uint8_t *p;

	if (likely(!room.filling) || n > ROOM - ALIGN - room.used)
		return NULL;
	p = room.p + room.used;
	room.used += (n + ALIGN - 1) / ALIGN * ALIGN;
	room.live++;
	return p;
}

bool json_room_free(void *p)
{
	if (!room.p || (uint8_t *)p < room.p || (uint8_t *)p >= room.p + ROOM)
		return false;
	MUST(room.live > 0);
	if (--room.live)
		return true;
	if (room.used > KEPT)
		(void)madvise(room.p + KEPT, ROOM - KEPT, MADV_DONTNEED);
	room.used = 0;
	return true;
}
