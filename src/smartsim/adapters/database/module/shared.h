/* Values that several owners share (keys, requests under way), and that only the server's main thread frees.
 *
 * The server frees keys on its main thread, but after FLUSHALL ASYNC on another one. A string of such a value may then
 * still be part of a reply that the main thread is sending, and the server's strings are not counted atomically. So
 * other threads queue what they free, and each beat of the server's clock frees a bounded share of the queue. */
#ifndef SMARTSIM_SHARED_H
#define SMARTSIM_SHARED_H

#include <stdatomic.h>
#include <stdbool.h>

#include "server.h"

/* The first member of what is shared. */
struct shared {
    atomic_size_t owners;
    struct shared *next; /* in the queue of what is to be freed */
    void (*discard)(struct shared *);
    size_t bytes; /* what freeing gives back, about */
};

/* Remember that this is the main thread. Call once, when the module is loaded. */
void shared_begin(void);

/* Free a share of what other threads gave up. For each beat of the server's clock. */
void shared_free_released(void);

/* Begin with one owner; `discard` frees the whole value, on the main thread. */
void shared_init(struct shared *value, void (*discard)(struct shared *));

void shared_hold(struct shared *value);

/* Give up one ownership, on any thread; the last one frees the value. */
void shared_release(struct shared *value);

/* For the table of a native key type whose values are shared: COPY adds an owner, and to free takes the same few steps whatever
 * the size. */
void *shared_copy(String *from, String *to, const void *value);
void shared_free(void *value);
size_t shared_free_effort(String *key, const void *value);

#endif
