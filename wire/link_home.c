/* link_home.c - which home of the core a customer lives on (link.h). Pure. */
#include "base/base.h"
#include "wire/link.h"

/* splitmix64's last step (Steele et al. 2014): fixed, so that both sides and every release agree.
 */
unsigned link_home_of(uint64_t customer, unsigned homes)
{
	uint64_t z = customer;

	MUST(homes > 0); /* ours, or of a HELLO, which with 0 is refused */
	if (customer == 0)
		return 0;
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (unsigned)((z ^ z >> 31) % homes);
}
