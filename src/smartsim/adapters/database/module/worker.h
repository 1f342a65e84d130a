/* The workers that are connected, and what they are given to do; see docs/workers.md. */
#ifndef SMARTSIM_WORKER_H
#define SMARTSIM_WORKER_H

#include "queue.h"

/* A list of program versions. */
struct versions {
    unsigned long long *items;
    size_t len;
};

/* One connection. */
struct worker {
    struct worker *next;
    unsigned long long client; /* the server's number for the connection */
    bool supervisor;
    struct device device;
    long long process;
    String *backends[BACKENDS]; /* the versions of their frameworks; NULL for a backend it does not run */
    Blocked *waiting;           /* for something to do; NULL while it does something */
    struct batch *batch;        /* what it does; NULL while it does nothing */
    long long unwanted_since;   /* when it was seen that nobody wants the outcome of `batch`; 0 while somebody does */
    long long away_since;       /* when it was taken for ending, and so gets no work; 0 when it is not */
    bool blameless;             /* what it runs is not to blame for its end */
    unsigned long long jobs;    /* done */
    struct versions fetched;    /* of programs that it may keep */
    struct versions dropped;    /* of those that are no more, as it has yet to be told */

    /* Of a supervisor: */
    long long kill;      /* a process to be ended, 0 for none */
    String *unavailable; /* why there are no workers; NULL if there are */
};

/* All that are connected, supervisors among them. */
extern struct worker *workers;

/* The worker on a connection; NULL if it is none. */
struct worker *worker_find(unsigned long long client);

/* Make the connection a worker, or begin anew with the one that it is. */
struct worker *worker_introduce(unsigned long long client);

/* Whether a worker or supervisor is for what `program` needs. */
bool worker_serves(const struct worker *worker, const struct program *program);

/* NULL, or why no worker will run `program`. */
const char *worker_missing(const struct program *program);

/* How many requests of a program are being run. */
size_t worker_running(const struct program *program);

/* Whether another connection of the same process has a batch; `suspects` is whether one of its requests has seen a worker die. */
bool worker_process_busy(const struct worker *worker, bool *suspects);

/* Reply to a worker with what it is to do, or let it wait for that. */
int worker_next(Context *ctx, struct worker *worker);

/* Give work to those who wait for it. */
void worker_dispatch(Context *ctx);

/* Note that a worker got a program. */
void worker_remember(struct worker *worker, const struct program *program);

/* A program is no more: those that may keep it are told. */
void worker_forget(const struct program *program);

/* A client has gone, which may have been a worker. */
void worker_client_gone(Context *ctx, unsigned long long client);

/* End workers that run what nobody wants. For each beat of the server's clock. */
void worker_sweep(Context *ctx);

#endif
