#include "call.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "clock.h"
#include "errors.h"

enum {
    KEEP_WAITING = 2 * SECOND,  /* a call whose clients have gone: old clients come again after one second */
    KEEP_DONE = 3 * SECOND,     /* an outcome that nobody has heard of yet */
    KEEP_ANSWERED = 3 * SECOND, /* one that was sent to clients, which may have stopped listening before */
    PATIENCE = SECOND / 10,     /* no client stops listening sooner */
    BUCKETS = 1024,
};

/* A client that waits for a call. */
struct waiter {
    struct waiter **list, *previous, *next; /* among those of the same call */
    struct waiter **bucket, *next_in_bucket; /* among those whose handles, or then whose numbers, are alike */
    struct call *call;
    Blocked *blocked;
    unsigned long long client;
    long long timeout; /* milliseconds, 0 for none */
    long long due;     /* when that ends */
    bool answered;
    bool late; /* it was not answered in time */
};

static struct call *calls[BUCKETS];
static struct waiter *waiters[BUCKETS];  /* by handle */
static struct waiter *answered[BUCKETS]; /* by the number of the client */
static unsigned long long newest_client;
static size_t left;                     /* calls without a client that waits */

/* --- Calls --- */

void call_init(Context *ctx, struct call *call, const struct call_kind *kind) {
    memset(call, 0, sizeof *call);
    call->kind = kind;
    call->db = server.GetSelectedDb(ctx);
    call->began = clock_now();
    call->newest_before = newest_client;
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

static void put(struct waiter *waiter, struct waiter **list, struct waiter **bucket) {
    waiter->list = list;
    waiter->previous = NULL;
    waiter->next = *list;
    if (*list != NULL) (*list)->previous = waiter;
    *list = waiter;
    waiter->bucket = bucket;
    waiter->next_in_bucket = *bucket;
    *bucket = waiter;
}

static void take_off(struct waiter *waiter) {
    struct waiter **link = waiter->bucket;
    while (*link != waiter) link = &(*link)->next_in_bucket;
    *link = waiter->next_in_bucket;
    *(waiter->previous == NULL ? waiter->list : &waiter->previous->next) = waiter->next;
    if (waiter->next != NULL) waiter->next->previous = waiter->previous;
}

static void remove_waiter(struct waiter *waiter) {
    take_off(waiter);
    server.Free(waiter);
}

void call_drop(struct call *call) {
    set_left(call, 0);
    if (is_listed(call)) {
        *(call->previous == NULL ? &calls[call->hash % BUCKETS] : &call->previous->next) = call->next;
        if (call->next != NULL) call->next->previous = call->previous;
    }
    while (call->answered != NULL) remove_waiter(call->answered);
    if (call->error != NULL) server.FreeString(NULL, call->error);
    call->kind->free(call);
}

static bool may_join(const struct call *call, unsigned long long client) {
    if (!call->done) return true;
    if (call->waiters != NULL || call->answered != NULL) return false; /* it was heard, as far as one knows */
    return !call->unheard || (client > call->newest_before && client <= call->newest_after);
}

static bool is_same(const struct call *one, const struct call *other) {
    return one->kind == other->kind && one->hash == other->hash && one->db == other->db && one->kind->same != NULL &&
           one->kind->same(one, other);
}

struct call *call_find(Context *ctx, const struct call *call) {
    const unsigned long long client = server.GetClientId(ctx);
    for (struct call *other = calls[call->hash % BUCKETS], *next; other != NULL; other = next) {
        next = other->next;
        if (!may_join(other, client) || !is_same(other, call)) continue;
        if (!other->done || other->error != NULL || other->kind->intact(ctx, other)) return other;
        call_drop(other);
    }
    return NULL;
}

bool call_may_wait(Context *ctx) {
    return !(server.GetContextFlags(ctx) & (CONTEXT_MULTI | CONTEXT_LUA | CONTEXT_DENY_BLOCKING));
}

bool call_allowed(Context *ctx) {
    if (call_may_wait(ctx)) return true;
    server.ReplyWithError(ctx, "ERR Cannot run RedisAI command within a transaction or a LUA script");
    return false;
}

/* --- Their clients --- */

static struct waiter **bucket_of(const Blocked *blocked) { return &waiters[((uintptr_t)blocked >> 4) % BUCKETS]; }

static struct waiter *find_waiter(const Blocked *blocked) {
    struct waiter *waiter = *bucket_of(blocked);
    while (waiter != NULL && waiter->blocked != blocked) waiter = waiter->next_in_bucket;
    return waiter;
}

static void answer(Context *ctx, struct call *call) {
    if (call->error != NULL) {
        server.ReplyWithError(ctx, server.StringPtrLen(call->error, NULL));
    } else {
        call->kind->reply(ctx, call);
    }
}

static void reply_late(Context *ctx, const struct waiter *waiter) {
    server.ReplyWithError(ctx, error_format("ERR timed out after %lld ms", waiter->timeout));
}

static int reply(Context *ctx, String **argv, int argc) {
    (void)argv, (void)argc;
    const struct waiter *waiter = server.GetBlockedClientPrivateData(ctx);
    if (waiter->late) {
        reply_late(ctx, waiter);
    } else {
        answer(ctx, waiter->call);
    }
    return MODULE_OK;
}

static bool may_be_unheard(const struct call *call) {
    return call->kind->same != NULL && clock_now() - call->began >= PATIENCE;
}

/* Called after the reply, and for a client that went away before it. */
static void forget_waiter(Context *ctx, void *data) {
    (void)ctx;
    struct waiter *waiter = data;
    struct call *call = waiter->call;
    if (may_be_unheard(call)) {
        take_off(waiter);
        put(waiter, &call->answered, &answered[waiter->client % BUCKETS]);
    } else {
        remove_waiter(waiter);
    }
    if (call->waiters != NULL) return;
    if (call->answered != NULL) {
        set_left(call, clock_now());
    } else {
        call_drop(call);
    }
}

static int time_out(Context *ctx, String **argv, int argc) {
    (void)argv, (void)argc;
    struct waiter *waiter = find_waiter(server.GetBlockedClientHandle(ctx));
    struct call *call = waiter->call;
    reply_late(ctx, waiter);
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

/* Whether a connection over TCP was closed by a client that had read all that was sent to it: its system resets the
 * connection otherwise. */
static bool was_read(int socket) {
    enum { INFO = 11, CLOSED = 7 }; /* TCP_INFO and TCP_CLOSE of Linux, whose headers do not show them to plain C */
    unsigned char state = 0;        /* the first field */
    socklen_t len = sizeof state;
    return getsockopt(socket, IPPROTO_TCP, INFO, &state, &len) == 0 && state != CLOSED;
}

/* Whether a client that hangs up has not heard its last answer, as far as one can tell: the last that it asked for was something
 * that takes a while, and the answer was not read. */
static bool is_deaf(Context *ctx, unsigned long long client) {
    CallReply *reply = server.Call(ctx, "CLIENT", "ccl", "LIST", "ID", (long long)client);
    size_t len = 0;
    const char *text = reply == NULL ? NULL : server.CallReplyStringPtr(reply, &len);
    char facts[1024] = "";
    if (text != NULL) snprintf(facts, sizeof facts, "%.*s", (int)(len < sizeof facts ? len : sizeof facts - 1), text);
    if (reply != NULL) server.FreeCallReply(reply);
    const char *command = strstr(facts, " cmd=");
    const char *socket = strstr(facts, " fd=");
    const bool slow = command != NULL && (strncasecmp(command, " cmd=AI.MODEL", 13) == 0 ||
                                          strncasecmp(command, " cmd=AI.SCRIPT", 14) == 0);
    return slow && !(socket != NULL && was_read(atoi(socket + strlen(" fd="))));
}

static struct waiter *find_answered(unsigned long long client) {
    struct waiter *waiter = answered[client % BUCKETS];
    while (waiter != NULL && waiter->client != client) waiter = waiter->next_in_bucket;
    return waiter;
}

/* The client has heard what it was told. */
static void note_heard(unsigned long long client) {
    struct waiter *waiter = find_answered(client);
    if (waiter == NULL) return;
    struct call *call = waiter->call;
    remove_waiter(waiter);
    if (call->answered == NULL && call->waiters == NULL) call_drop(call);
}

void call_client_came(unsigned long long client) {
    if (client > newest_client) newest_client = client;
}

void call_client_gone(Context *ctx, unsigned long long client) {
    const struct waiter *waiter = find_answered(client);
    if (waiter == NULL) return;
    if (!is_deaf(ctx, client)) {
        note_heard(client);
        return;
    }
    struct call *call = waiter->call;
    while (call->answered != NULL) remove_waiter(call->answered);
    call->unheard = true;
    call->newest_after = newest_client;
    set_left(call, clock_now());
}

void call_wait(Context *ctx, struct call *call, long long timeout) {
    note_heard(server.GetClientId(ctx)); /* who asks for the next has heard the last */
    if (!is_listed(call)) list_call(call);
    if (call->done) {
        answer(ctx, call);
        call_drop(call);
        return;
    }
    const bool was_left = call->left_at != 0;
    struct waiter *waiter = server.Calloc(1, sizeof *waiter);
    waiter->call = call;
    waiter->client = server.GetClientId(ctx);
    waiter->timeout = timeout;
    waiter->due = clock_now() + timeout * MILLISECOND;
    waiter->blocked = server.BlockClient(ctx, reply, timeout > 0 ? time_out : NULL, forget_waiter, timeout);
    server.SetDisconnectCallback(waiter->blocked, client_gone);
    put(waiter, &call->waiters, bucket_of(waiter->blocked));
    set_left(call, 0);
    if (was_left && call->kind->pause != NULL) call->kind->pause(ctx, call, false);
}

static bool is_late(const struct waiter *waiter) { return waiter->timeout > 0 && clock_now() > waiter->due; }

bool call_is_late(const struct call *call) {
    const struct waiter *waiter = call->waiters;
    while (waiter != NULL && is_late(waiter)) waiter = waiter->next;
    return call->waiters != NULL && waiter == NULL;
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
        waiter->late = is_late(waiter);
        server.UnblockClient(waiter->blocked, waiter);
    }
}

/* --- Calls without a client --- */

static long long keep_for(const struct call *call) {
    if (call->answered != NULL) return KEEP_ANSWERED;
    if (call->done) return KEEP_DONE;
    return call->kind->same == NULL ? 0 : KEEP_WAITING;
}

void call_sweep(Context *ctx) {
    if (left == 0) return;
    const long long now = clock_now();
    for (size_t bucket = 0; bucket < BUCKETS; bucket++) {
        for (struct call *call = calls[bucket], *next; call != NULL; call = next) {
            next = call->next;
            if (call->left_at == 0) continue;
            const long long keep = keep_for(call);
            if (now - call->left_at < keep || (!call->done && call->kind->running(call))) continue;
            if (!call->done) call->kind->withdraw(ctx, call);
            call_drop(call);
        }
    }
}
