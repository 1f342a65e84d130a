/* Requests on their way to workers and back: queued, batched, run, answered. All on the server's main thread. */
#ifndef SMARTSIM_QUEUE_H
#define SMARTSIM_QUEUE_H

#include "program.h"
#include "tensor.h"

struct worker;

/* What a worker made of a request. */
struct outcome {
    const char *error;       /* NULL if it went well; else one line, with its prefix if it has one */
    struct tensor **outputs; /* of a run: as many as it asked for; whoever keeps one holds it */
    const struct strings *inputs_found, *outputs_found; /* of a check of a model: the names of its inputs and outputs */
};

enum request_kind { REQUEST_RUN, REQUEST_CHECK };

/* One run of a program, or the check of one that is to be stored. */
struct request {
    enum request_kind kind;
    struct program *program; /* held */
    struct tensor **inputs;  /* held, each */
    size_t input_count, output_count;
    /* Of a script: */
    String *function; /* held */
    struct strings keys, args;
    long long list_start; /* the input with which the list of tensors begins, -1 if it was not said */

    /* Called once, on the main thread, with a context that may write keys and replicate; then the request is freed. Not
     * called for a request that was withdrawn. */
    void (*finish)(Context *ctx, struct request *request, const struct outcome *outcome);
    void *owner; /* what `finish` needs */

    /* The queue's. */
    struct request *previous, *next; /* in its program's queue; `next` also in a worker's batch */
    unsigned long long number;       /* in the order of arrival */
    unsigned long long round;        /* the search for work in which it was found to belong to a batch that is too small */
    long long queued_at;             /* microseconds */
    long long rows;                  /* dimension 0 of all its inputs, 0 if they disagree */
    int deaths;                      /* of workers that had it */
    bool paused;                     /* keeps its place but is not run: nobody waits for it at the moment */
    bool withdrawn;                  /* nobody wants its outcome any more */
    struct worker *worker;           /* that has it, NULL while it waits */
};

/* A request for `program` (held by it from now on) with room for the inputs, to be filled in with held tensors. */
struct request *request_new(enum request_kind kind, struct program *program, size_t input_count, size_t output_count);

/* Free a request that was not submitted, or was finished. */
void request_free(struct request *request);

/* Queue a request. Returns NULL, or the error if there is no worker for it; then it is still the caller's. `finish` is
 * never called before this returns. */
const char *request_submit(Context *ctx, struct request *request);

/* Keep a waiting request from being run for the time being, or let it. Nothing happens if it runs. */
void request_pause(Context *ctx, struct request *request, bool paused);

/* Nobody wants the outcome: a waiting request is freed; one that runs goes on, and its outcome is dropped. When it
 * goes on for long, its worker is ended. */
void request_withdraw(struct request *request);

/* How many requests of a program wait. */
size_t queue_waiting(const struct program *program);

/* Programs that were ever run, and still exist. */
extern struct program *programs;

/* A program is about to be freed. */
void queue_forget(struct program *program);

/* What was taken from a queue to be run as one: requests of one program, at least one. */
struct batch {
    unsigned long long job;
    enum request_kind kind;
    struct program *program; /* held */
    struct request *first;   /* in order, linked by `next` */
    size_t len;
    long long taken_at; /* microseconds */
};

/* Take what `worker` is to run next; NULL if there is nothing for it now. */
struct batch *queue_take(Context *ctx, struct worker *worker);

/* Join to a batch what came after it was taken. */
void queue_fill(struct batch *batch);

/* Put the requests of a batch back where they were: the worker has gone. With `blamed`, that counts as a death of each. Those that
 * saw their last are finished. */
void queue_return(Context *ctx, struct batch *batch, bool blamed);

/* Finish all requests of a batch with one error, and free it. */
void queue_fail(Context *ctx, struct batch *batch, const char *error);

/* Finish one request of a batch. */
void queue_finish(Context *ctx, const struct batch *batch, struct request *request, const struct outcome *outcome);

/* Free a batch whose requests are all finished; note the time it ran. */
void queue_end(struct batch *batch, long long run_time);

/* Finish all waiting requests for which there is no worker any more. */
void queue_fail_unserved(Context *ctx);

#endif
