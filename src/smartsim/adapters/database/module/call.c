#include "call.h"

#include <string.h>

#include "clock.h"
#include "errors.h"

enum {
    KEEP_WAITING = 2 * SECOND, /* a call whose clients have gone: old clients come again after one second */
    KEEP_DONE = 10 * SECOND,   /* an outcome that nobody has heard of yet */
    BUCKETS = 1024,
};

/* A client that waits for a call. */
struct waiter {
    struct waiter *previous, *next; /* among those of the same call */
    struct waiter *next_in_bucket;  /* among those whose handles fall into the same bucket */
    struct call *call;
    Blocked *blocked;
    long long timeout; /* milliseconds, 0 for none */
    bool answered;
};

static struct call *calls[BUCKETS];
static struct waiter *waiters[BUCKETS]; /* by handle */
static size_t left;                     /* calls without a client */

/* --- Hashes: FNV-1a, 64 bits (https://www.ietf.org/archive/id/draft-eastlake-fnv-21.html) --- */

uint64_t call_hash(uint64_t hash, const void *data, size_t len) {
    const unsigned char *bytes = data;
    if (hash == 0) hash = 14695981039346656037U;
    for (size_t i = 0; i < len; i++) hash = (hash ^ bytes[i]) * 1099511628211U;
    return hash;
}

uint64_t call_hash_string(uint64_t hash, const String *text) {
    size_t len;
    const char *data = server.StringPtrLen(text, &len);
    hash = call_hash(hash, &len, sizeof len);
    return call_hash(hash, data, len);
}

/* --- Calls --- */

void call_init(Context *ctx, struct call *call, const struct call_kind *kind) {
    memset(call, 0, sizeof *call);
    call->kind = kind;
    call->db = server.GetSelectedDb(ctx);
}

static void list_call(struct call *call) {
    struct call **bucket = &calls[call->hash % BUCKETS];
    call->next = *bucket;
    if (call->next != NULL) call->next->previous = call;
    *bucket = call;
}

static bool is_listed(const struct call *call) {
    return call->previous != NULL || calls[call->hash % BUCKETS] == call;
}

static void set_left(struct call *call, long long now) {
    if (call->left_at != 0) left--;
    if (now != 0) left++;
    call->left_at = now;
}

void call_drop(struct call *call) {
    set_left(call, 0);
    if (is_listed(call)) {
        if (call->previous != NULL) {
            call->previous->next = call->next;
        } else {
            calls[call->hash % BUCKETS] = call->next;
        }
        if (call->next != NULL) call->next->previous = call->previous;
    }
    if (call->error != NULL) server.FreeString(NULL, call->error);
    call->kind->free(call);
}

struct call *call_find(const struct call *call) {
    for (struct call *other = calls[call->hash % BUCKETS]; other != NULL; other = other->next) {
        const bool being_answered = other->done && other->waiters != NULL;
        if (other->kind == call->kind && other->hash == call->hash && other->db == call->db && !being_answered &&
            call->kind->same != NULL && call->kind->same(other, call)) {
            return other;
        }
    }
    return NULL;
}

bool call_allowed(Context *ctx) {
    const int never = CONTEXT_MULTI | CONTEXT_LUA | CONTEXT_DENY_BLOCKING;
    if (!(server.GetContextFlags(ctx) & never)) return true;
    server.ReplyWithError(ctx, "ERR Cannot run RedisAI command within a transaction or a LUA script");
    return false;
}

/* --- Their clients --- */

static size_t bucket_of(const Blocked *blocked) { return ((uintptr_t)blocked >> 4) % BUCKETS; }

static struct waiter *find_waiter(const Blocked *blocked) {
    struct waiter *waiter = waiters[bucket_of(blocked)];
    while (waiter != NULL && waiter->blocked != blocked) waiter = waiter->next_in_bucket;
    return waiter;
}

static void remove_waiter(struct waiter *waiter) {
    struct waiter **link = &waiters[bucket_of(waiter->blocked)];
    while (*link != waiter) link = &(*link)->next_in_bucket;
    *link = waiter->next_in_bucket;
    if (waiter->previous != NULL) {
        waiter->previous->next = waiter->next;
    } else {
        waiter->call->waiters = waiter->next;
    }
    if (waiter->next != NULL) waiter->next->previous = waiter->previous;
    server.Free(waiter);
}

static void answer(Context *ctx, struct call *call) {
    if (call->error != NULL) {
        server.ReplyWithError(ctx, server.StringPtrLen(call->error, NULL));
    } else {
        call->kind->reply(ctx, call);
    }
}

static int reply(Context *ctx, String **argv, int argc) {
    (void)argv, (void)argc;
    const struct waiter *waiter = server.GetBlockedClientPrivateData(ctx);
    answer(ctx, waiter->call);
    return MODULE_OK;
}

/* Called after the reply, and for a client that went away before it. */
static void forget_waiter(Context *ctx, void *data) {
    (void)ctx;
    struct waiter *waiter = data;
    struct call *call = waiter->call;
    remove_waiter(waiter);
    if (call->waiters == NULL) call_drop(call);
}

static int time_out(Context *ctx, String **argv, int argc) {
    (void)argv, (void)argc;
    struct waiter *waiter = find_waiter(server.GetBlockedClientHandle(ctx));
    struct call *call = waiter->call;
    server.ReplyWithError(ctx, error_format("ERR timed out after %lld ms", waiter->timeout));
    server.UnblockClient(waiter->blocked, NULL);
    remove_waiter(waiter);
    if (call->waiters == NULL) {
        call->kind->withdraw(ctx, call);
        call_drop(call);
    }
    return MODULE_OK;
}

static void client_gone(Context *ctx, Blocked *blocked) {
    struct waiter *waiter = find_waiter(blocked);
    if (waiter == NULL || waiter->answered) return; /* else forget_waiter follows */
    struct call *call = waiter->call;
    server.UnblockClient(blocked, NULL);
    remove_waiter(waiter);
    if (call->waiters != NULL) return;
    set_left(call, clock_now());
    if (call->kind->pause != NULL) call->kind->pause(ctx, call, true);
}

void call_wait(Context *ctx, struct call *call, long long timeout) {
    if (!is_listed(call)) list_call(call);
    if (call->done) {
        answer(ctx, call);
        call_drop(call);
        return;
    }
    const bool was_left = call->left_at != 0;
    struct waiter *waiter = server.Calloc(1, sizeof *waiter);
    waiter->call = call;
    waiter->timeout = timeout;
    waiter->blocked = server.BlockClient(ctx, reply, timeout > 0 ? time_out : NULL, forget_waiter, timeout);
    server.SetDisconnectCallback(waiter->blocked, client_gone);
    struct waiter **bucket = &waiters[bucket_of(waiter->blocked)];
    waiter->next_in_bucket = *bucket;
    *bucket = waiter;
    waiter->next = call->waiters;
    if (waiter->next != NULL) waiter->next->previous = waiter;
    call->waiters = waiter;
    set_left(call, 0);
    if (was_left && call->kind->pause != NULL) call->kind->pause(ctx, call, false);
}

void call_finish(struct call *call, const char *error) {
    call->done = true;
    if (error != NULL) call->error = server.CreateString(NULL, error, strlen(error));
    if (call->waiters == NULL) {
        if (call->kind->same == NULL) {
            call_drop(call);
        } else {
            set_left(call, clock_now());
        }
        return;
    }
    for (struct waiter *waiter = call->waiters; waiter != NULL; waiter = waiter->next) {
        waiter->answered = true;
        server.UnblockClient(waiter->blocked, waiter);
    }
}

/* --- Calls without a client --- */

void call_sweep(Context *ctx) {
    if (left == 0) return;
    const long long now = clock_now();
    for (size_t bucket = 0; bucket < BUCKETS; bucket++) {
        for (struct call *call = calls[bucket], *next; call != NULL; call = next) {
            next = call->next;
            if (call->left_at == 0) continue;
            const long long keep = call->done ? KEEP_DONE : call->kind->same == NULL ? 0 : KEEP_WAITING;
            if (now - call->left_at < keep || (!call->done && call->kind->running(call))) continue;
            if (!call->done) call->kind->withdraw(ctx, call);
            call_drop(call);
        }
    }
}
