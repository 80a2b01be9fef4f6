/* outlet.h - where messages for the core go: the bus in the program, a list in tests. */
#pragma once
#include "base/base.h"

struct outlet {
	void (*publish)(void *arg, struct str topic,
	                struct str payload); /* copies both; never fails, never waits */
	void *arg;
};
