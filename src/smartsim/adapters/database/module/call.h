/* A command that takes a while: the clients that wait for it, what becomes of it when they go, and their replies.
 *
 * Old clients lose patience after 250 ms, and send the same command again on a new connection a second later. Only then do
 * they hang up the old one, which has not read anything in between. So a call stays for a while when its clients have gone,
 * waiting or done, and the command that is sent again joins it. */
#ifndef SMARTSIM_CALL_H
#define SMARTSIM_CALL_H

#include <stdbool.h>

#include "server.h"

struct call;
struct waiter;

/* What a kind of call does. */
struct call_kind {
    /* Whether two calls of this kind with equal `hash` ask for the very same; NULL if none ever joins another. */
    bool (*same)(const struct call *one, const struct call *other);
    /* Whether what a call did that is done, without an error, still stands. */
    bool (*intact)(Context *ctx, const struct call *call);
    /* Nobody waits any more, or somebody does again: pause or resume what is still to be run. May be NULL. */
    void (*pause)(Context *ctx, struct call *call, bool paused);
    /* Whether something of it is being run: then it is let end, although its clients have gone. */
    bool (*running)(const struct call *call);
    /* Nobody will come back, or all were told that it timed out: withdraw what was not finished. The call is freed next, so
     * nothing may finish it any more. */
    void (*withdraw)(Context *ctx, struct call *call);
    /* Reply, once for each client, when it went well. */
    void (*reply)(Context *ctx, struct call *call);
    /* Free the struct that the call is the first member of, and all it holds. */
    void (*free)(struct call *call);
};

/* The first member of every call. */
struct call {
    const struct call_kind *kind;
    uint64_t hash; /* of what it asks for; see text_hash */
    int db;        /* the database that its clients have selected */

    /* Only call.c touches these. */
    struct call *previous, *next; /* among all calls with equal low bits of the hash */
    struct waiter *waiters;
    struct waiter *answered; /* those that may yet turn out not to have heard the answer */
    long long began, left_at; /* in microseconds; `left_at` is when its last client went or was answered, 0 before */
    bool done;
    bool unheard; /* it was answered, but nobody listened: only a client that connected in between may ask again */
    unsigned long long newest_before, newest_after; /* clients when it began, and when the one that did not listen went */
    String *error; /* once it is done; NULL if it went well */
};

/* A client has come. */
void call_client_came(unsigned long long client);

/* A client has gone. If it was answered just now, and has done nothing since, it did not hear it. */
void call_client_gone(Context *ctx, unsigned long long client);

/* Give up calls whose clients have gone for too long. For each beat of the server's clock. */
void call_sweep(Context *ctx);

/* Fill in the common part. The hash, for a kind whose calls join, is set afterwards and before call_find. */
void call_init(Context *ctx, struct call *call, const struct call_kind *kind);

/* Whether the command may block its client. */
bool call_may_wait(Context *ctx);

/* The same; if not, the error has been replied. */
bool call_allowed(Context *ctx);

/* A call that is under way, or that is done but was not heard and still stands, and that asks for the same as `call` in the same
 * database; NULL if there is none. */
struct call *call_find(Context *ctx, const struct call *call);

/* Free a call that was never waited for, or is done and left. */
void call_drop(struct call *call);

/* Let the client of `ctx` wait for `call`, for `timeout` milliseconds at most (0: for ever). A call that is done is answered
 * at once. */
void call_wait(Context *ctx, struct call *call, long long timeout);

/* Whether the time of everybody who waits for `call` is up. The server itself looks only when it has nothing else to do: what is
 * done by then must not be written any more. */
bool call_is_late(const struct call *call);

/* The call is done: answer those that wait. `error` is one line, with its prefix; NULL if it went well. After this the call
 * belongs to call.c. */
void call_finish(struct call *call, const char *error);

#endif
