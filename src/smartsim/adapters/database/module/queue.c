#include "queue.h"

#include <string.h>

#include "clock.h"
#include "config.h"
#include "errors.h"
#include "worker.h"

enum { LAST_DEATH = 2 };

struct program *programs;

static struct program *busy; /* with requests that wait */
static unsigned long long last_number, last_job, last_round;

/* --- Requests --- */

struct request *request_new(enum request_kind kind, struct program *program, size_t input_count, size_t output_count) {
    struct request *request = server.Calloc(1, sizeof *request);
    request->kind = kind;
    request->program = program;
    program_hold(program);
    request->input_count = input_count;
    request->output_count = output_count;
    request->inputs = server.Calloc(input_count + 1, sizeof *request->inputs);
    request->list_start = -1;
    return request;
}

void request_free(struct request *request) {
    for (size_t i = 0; i < request->input_count; i++) {
        if (request->inputs[i] != NULL) tensor_release(request->inputs[i]);
    }
    server.Free(request->inputs);
    if (request->function != NULL) server.FreeString(NULL, request->function);
    strings_free(&request->keys);
    strings_free(&request->args);
    program_release(request->program);
    server.Free(request);
}

static long long common_rows(const struct request *request) {
    long long rows = 0;
    for (size_t i = 0; i < request->input_count; i++) {
        const struct tensor *input = request->inputs[i];
        if (input->ndims == 0 || input->type == ELEMENT_STRING || (i > 0 && input->dims[0] != rows)) return 0;
        rows = input->dims[0];
    }
    return rows;
}

/* --- The queue of a program --- */

static void list_program(struct program *program) {
    if (program->listed) return;
    program->listed = true;
    program->next = programs;
    if (programs != NULL) programs->previous = program;
    programs = program;
}

void queue_forget(struct program *program) {
    worker_forget(program);
    if (!program->listed) return;
    if (program->previous != NULL) {
        program->previous->next = program->next;
    } else {
        programs = program->next;
    }
    if (program->next != NULL) program->next->previous = program->previous;
}

static void list_busy(struct program *program) {
    program->busy_previous = NULL;
    program->busy_next = busy;
    if (busy != NULL) busy->busy_previous = program;
    busy = program;
}

static void unlist_busy(struct program *program) {
    *(program->busy_previous == NULL ? &busy : &program->busy_previous->busy_next) = program->busy_next;
    if (program->busy_next != NULL) program->busy_next->busy_previous = program->busy_previous;
}

/* Insert where it belongs in the order of arrival: the end, but for those that were taken before. */
static void insert(struct request *request) {
    struct program *program = request->program;
    if (program->first == NULL) list_busy(program);
    struct request *before = program->last;
    while (before != NULL && before->number > request->number) before = before->previous;
    struct request *after = before == NULL ? program->first : before->next;
    request->previous = before;
    request->next = after;
    *(before == NULL ? &program->first : &before->next) = request;
    *(after == NULL ? &program->last : &after->previous) = request;
}

static void take_out(struct request *request) {
    struct program *program = request->program;
    *(request->previous == NULL ? &program->first : &request->previous->next) = request->next;
    *(request->next == NULL ? &program->last : &request->next->previous) = request->previous;
    request->previous = request->next = NULL;
    if (program->first == NULL) unlist_busy(program);
}

size_t queue_waiting(const struct program *program) {
    size_t waiting = 0;
    for (const struct request *request = program->first; request != NULL; request = request->next) waiting++;
    return waiting;
}

const char *request_submit(Context *ctx, struct request *request) {
    const char *error = worker_missing(request->program);
    if (error != NULL) return error;
    request->number = ++last_number;
    request->queued_at = clock_now();
    request->rows = request->kind == REQUEST_RUN ? common_rows(request) : 0;
    list_program(request->program);
    insert(request);
    worker_dispatch(ctx);
    return NULL;
}

void request_pause(Context *ctx, struct request *request, bool paused) {
    request->paused = paused;
    if (!paused && request->worker == NULL) worker_dispatch(ctx);
}

void request_withdraw(struct request *request) {
    request->withdrawn = true;
    if (request->worker != NULL) return; /* freed with its batch */
    take_out(request);
    request_free(request);
}

/* --- Batches --- */

static bool same_layout(const struct tensor *one, const struct tensor *other) {
    return one->type == other->type && one->ndims == other->ndims &&
           memcmp(one->dims + 1, other->dims + 1, (one->ndims - 1) * sizeof one->dims[0]) == 0;
}

/* Whether a request can be part of a batch at all. */
static bool may_be_joined(const struct request *request) {
    return request->kind == REQUEST_RUN && request->program->batch_size > 0 && request->rows > 0 &&
           request->deaths == 0 && !request->paused;
}

/* Whether `other`, of the same program, can join the batch that `leader` begins. */
static bool fits(const struct request *leader, const struct request *other) {
    if (!may_be_joined(other) || other->input_count != leader->input_count ||
        other->output_count != leader->output_count) {
        return false;
    }
    for (size_t i = 0; i < leader->input_count; i++) {
        if (!same_layout(leader->inputs[i], other->inputs[i])) return false;
    }
    return true;
}

static const long long longest_wait = 1LL << 50; /* milliseconds; the sums of times do not overflow */
static Timer wake_timer;
static long long wake_at; /* 0 while no timer is set */

static void wake(Context *ctx, void *data) {
    (void)data;
    wake_at = 0;
    worker_dispatch(ctx);
}

static void wake_by(Context *ctx, long long when) {
    if (wake_at != 0 && wake_at <= when) return;
    if (wake_at != 0) server.StopTimer(ctx, wake_timer, NULL);
    const long long wait = (when - clock_now()) / MILLISECOND + 1;
    wake_timer = server.CreateTimer(ctx, wait > 1 ? wait : 1, wake, NULL);
    wake_at = when;
}

/* Whether the batch that `leader` begins is as large as its model wants, or has waited long enough. If not, those that belong to it
 * are marked with the present round: none of them begins a larger one. */
static bool is_ready(Context *ctx, const struct request *leader) {
    const struct program *program = leader->program;
    if (!may_be_joined(leader) || leader->rows >= program->batch_size || program->min_batch_size <= leader->rows) {
        return true;
    }
    long long rows = leader->rows;
    for (struct request *other = leader->next; other != NULL && rows < program->batch_size; other = other->next) {
        if (!fits(leader, other)) continue;
        rows += other->rows;
        other->round = last_round;
    }
    if (rows >= program->min_batch_size) return true;
    const long long timeout = program->min_batch_timeout > 0 ? program->min_batch_timeout : config_min_batch_timeout;
    const long long wait = timeout < longest_wait ? timeout : longest_wait;
    const long long due = leader->queued_at + wait * MILLISECOND;
    if (clock_now() >= due) return true;
    wake_by(ctx, due);
    return false;
}

/* The oldest request of a program that can be run now. */
static struct request *find_leader(Context *ctx, const struct program *program) {
    last_round++;
    for (struct request *request = program->first; request != NULL; request = request->next) {
        if (!request->paused && request->round != last_round && is_ready(ctx, request)) return request;
    }
    return NULL;
}

void queue_fill(struct batch *batch) {
    const struct request *leader = batch->first;
    if (!may_be_joined(leader)) return;
    long long rows = 0;
    struct request **end = &batch->first;
    for (; *end != NULL; end = &(*end)->next) rows += (*end)->rows;
    struct request *next;
    for (struct request *request = batch->program->first; request != NULL && rows < batch->program->batch_size; request = next) {
        next = request->next;
        if (!fits(leader, request)) continue;
        take_out(request);
        request->worker = leader->worker;
        *end = request;
        end = &request->next;
        batch->len++;
        rows += request->rows;
    }
    batch->taken_at = clock_now();
}

static struct batch *take(struct request *leader, struct worker *worker) {
    struct batch *batch = server.Calloc(1, sizeof *batch);
    batch->job = ++last_job;
    batch->kind = leader->kind;
    batch->program = leader->program;
    program_hold(batch->program);
    batch->taken_at = clock_now();
    take_out(leader);
    leader->worker = worker;
    batch->first = leader;
    batch->len = 1;
    queue_fill(batch);
    return batch;
}

struct batch *queue_take(Context *ctx, struct worker *worker) {
    bool suspects_run;
    const bool shared_process = worker_process_busy(worker, &suspects_run);
    if (suspects_run) return NULL; /* it has its process to itself */
    struct request *leader = NULL;
    for (const struct program *program = busy; program != NULL; program = program->busy_next) {
        if (!worker_serves(worker, program)) continue;
        struct request *found = find_leader(ctx, program);
        if (found == NULL) continue;
        const bool suspect = found->deaths > 0;
        if (leader == NULL || suspect > (leader->deaths > 0) ||
            (suspect == (leader->deaths > 0) && found->number < leader->number)) {
            leader = found;
        }
    }
    if (leader == NULL || (leader->deaths > 0 && shared_process)) return NULL;
    return take(leader, worker);
}

/* --- What becomes of a batch --- */

static void count_batch(struct batch *batch) {
    struct statistics *statistics = &batch->program->statistics;
    size_t size_class = 0;
    while (size_class < BATCH_SIZE_CLASSES - 1 && (size_t)1 << size_class < batch->len) size_class++;
    statistics->batches++;
    statistics->batch_sizes[size_class]++;
}

static void free_batch(struct batch *batch) {
    program_release(batch->program);
    server.Free(batch);
}

void queue_finish(Context *ctx, const struct batch *batch, struct request *request, const struct outcome *outcome) {
    struct statistics *statistics = &request->program->statistics;
    if (request->kind == REQUEST_RUN) {
        const long long waited = (batch == NULL ? clock_now() : batch->taken_at) - request->queued_at;
        statistics->calls++;
        statistics->errors += outcome->error != NULL;
        statistics->queue_time += (unsigned long long)waited;
        statistics->duration += (unsigned long long)(clock_now() - request->queued_at);
        if (outcome->error == NULL && request->output_count > 0 && outcome->outputs[0]->ndims > 0) {
            statistics->samples += (unsigned long long)outcome->outputs[0]->dims[0];
        }
    }
    request->worker = NULL;
    if (!request->withdrawn) request->finish(ctx, request, outcome);
    request_free(request);
}

void queue_end(struct batch *batch, long long run_time) {
    if (batch->kind == REQUEST_RUN) {
        batch->program->statistics.run_time += (unsigned long long)run_time;
        count_batch(batch);
    }
    free_batch(batch);
}

void queue_fail(Context *ctx, struct batch *batch, const char *error) {
    char text[ERROR_LENGTH]; /* what finishing does may make up other errors */
    strncpy(text, error, sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (struct request *request = batch->first, *next; request != NULL; request = next) {
        next = request->next;
        queue_finish(ctx, batch, request, &(struct outcome){.error = text});
    }
    queue_end(batch, 0);
}

void queue_return(Context *ctx, struct batch *batch, bool blamed) {
    batch->program->statistics.workers_lost += blamed;
    for (struct request *request = batch->first, *next; request != NULL; request = next) {
        next = request->next;
        request->deaths += blamed;
        request->worker = NULL;
        if (request->withdrawn) {
            request_free(request);
        } else if (request->deaths >= LAST_DEATH) {
            static const struct outcome died = {
                .error = "ERR the worker process died while it ran this, and so did the next one that tried: it ends its "
                         "process (the worker's log is beside the database)"};
            queue_finish(ctx, batch, request, &died);
        } else {
            insert(request);
        }
    }
    free_batch(batch);
}

void queue_fail_unserved(Context *ctx) {
    for (struct program *program = programs, *next; program != NULL; program = next) {
        next = program->next;
        if (program->first == NULL) continue;
        const char *error = worker_missing(program);
        if (error == NULL) continue;
        char text[ERROR_LENGTH];
        strncpy(text, error, sizeof text - 1);
        text[sizeof text - 1] = '\0';
        program_hold(program); /* else its last request takes it along */
        while (program->first != NULL) {
            struct request *request = program->first;
            take_out(request);
            queue_finish(ctx, NULL, request, &(struct outcome){.error = text});
        }
        next = program->next;
        program_release(program);
    }
}
