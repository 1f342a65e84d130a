#include "shared.h"

#include <pthread.h>

enum { FREED_PER_BEAT = 256 << 20, COST_OF_ONE = 1 << 10 }; /* bytes; about 20 ms */

static pthread_t main_thread;
static _Atomic(struct shared *) released; /* by other threads */
static struct shared *queue;              /* taken over by the main thread */

void shared_free_released(void) {
    size_t freed = 0;
    while (freed < FREED_PER_BEAT) {
        if (queue == NULL) queue = atomic_exchange_explicit(&released, NULL, memory_order_acquire);
        if (queue == NULL) return;
        struct shared *value = queue;
        queue = value->next;
        freed += value->bytes + COST_OF_ONE;
        value->discard(value);
    }
}

void shared_begin(void) { main_thread = pthread_self(); }

void shared_init(struct shared *value, void (*discard)(struct shared *)) {
    atomic_init(&value->owners, 1);
    value->next = NULL;
    value->discard = discard;
    value->bytes = 0;
}

void shared_hold(struct shared *value) {
    atomic_fetch_add_explicit(&value->owners, 1, memory_order_relaxed);
}

void shared_release(struct shared *value) {
    if (atomic_fetch_sub_explicit(&value->owners, 1, memory_order_acq_rel) > 1) return;
    if (pthread_equal(pthread_self(), main_thread)) {
        value->discard(value);
        return;
    }
    value->next = atomic_load_explicit(&released, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&released, &value->next, value, memory_order_release,
                                                  memory_order_relaxed)) {
    }
}

void *shared_copy(String *from, String *to, const void *value) {
    (void)from, (void)to;
    struct shared *shared = (struct shared *)(uintptr_t)value; /* never changes but for the count */
    shared_hold(shared);
    return shared;
}

void shared_free(void *value) { shared_release(value); }

size_t shared_free_effort(String *key, const void *value) {
    (void)key, (void)value;
    return 1;
}
