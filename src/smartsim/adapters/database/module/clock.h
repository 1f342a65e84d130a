/* The time, for waits and statistics. */
#ifndef SMARTSIM_CLOCK_H
#define SMARTSIM_CLOCK_H

#include <time.h>

enum { MILLISECOND = 1000, SECOND = 1000 * 1000 };

/* Microseconds, never going back; not 0. */
#ifdef SMARTSIM_FAKE_CLOCK
long long clock_now(void); /* the fuzz target's */
#else
static inline long long clock_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return 1 + now.tv_sec * (long long)SECOND + now.tv_nsec / 1000;
}
#endif

#endif
