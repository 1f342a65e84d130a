#include "worker.h"

#include <stdio.h>

#include "clock.h"
#include "errors.h"
#include "worker_item.h"

enum {
    UNWANTED_RUN = 1 * SECOND, /* how long a worker may go on with what nobody wants */
    FAREWELL = 2 * SECOND,     /* who was thought to end and is still there then, stays */
};

struct worker *workers;

/* --- Who is there --- */

struct worker *worker_find(unsigned long long client) {
    struct worker *worker = workers;
    while (worker != NULL && worker->client != client) worker = worker->next;
    return worker;
}

static void forget_introduction(struct worker *worker) {
    for (size_t i = 0; i < BACKENDS; i++) {
        if (worker->backends[i] != NULL) server.FreeString(NULL, worker->backends[i]);
        worker->backends[i] = NULL;
    }
    if (worker->unavailable != NULL) server.FreeString(NULL, worker->unavailable);
    worker->unavailable = NULL;
}

struct worker *worker_introduce(unsigned long long client) {
    struct worker *worker = worker_find(client);
    if (worker == NULL) {
        worker = server.Calloc(1, sizeof *worker);
        worker->client = client;
        worker->next = workers;
        workers = worker;
    }
    forget_introduction(worker);
    return worker;
}

static bool same_device(struct device one, struct device other) {
    return one.gpu == other.gpu && one.index == other.index;
}

bool worker_serves(const struct worker *worker, const struct program *program) {
    return same_device(worker->device, program->device) && worker->backends[program->backend] != NULL;
}

static const char *device_text(struct device device, char *buffer, size_t size) {
    if (!device.gpu) return "CPU";
    snprintf(buffer, size, "GPU:%d", device.index);
    return buffer;
}

const char *worker_missing(const struct program *program) {
    static const char *const extras[BACKENDS] = {
        [BACKEND_TF] = "tensorflow", [BACKEND_TFLITE] = "tflite", [BACKEND_TORCH] = "torch", [BACKEND_ONNX] = "onnx"};
    const struct worker *on_device = NULL;
    const struct worker *unavailable = NULL;
    for (const struct worker *worker = workers; worker != NULL; worker = worker->next) {
        if (!same_device(worker->device, program->device)) continue;
        on_device = worker;
        if (worker->backends[program->backend] == NULL) continue;
        if (worker->unavailable == NULL) return NULL;
        unavailable = worker;
    }
    char device[32];
    const char *name = device_text(program->device, device, sizeof device);
    if (unavailable != NULL) {
        return error_format("ERR the workers for %s do not start: %s", name,
                            server.StringPtrLen(unavailable->unavailable, NULL));
    }
    if (on_device != NULL) {
        return error_format("ERR no worker for %s runs %s: pip install 'smartsim-next[%s]' where the database runs, and start it again",
                            name, backend_names[program->backend], extras[program->backend]);
    }
    return error_format("ERR no worker serves the device %s: %s", name,
                        workers == NULL ? "none is connected to this database (python -m smartsim.app.worker)"
                                        : "give a device of the machine on which the database runs");
}

static bool has_suspects(const struct batch *batch) {
    for (const struct request *request = batch->first; request != NULL; request = request->next) {
        if (request->deaths > 0) return true;
    }
    return false;
}

bool worker_process_busy(const struct worker *worker, bool *suspects) {
    bool busy = false;
    *suspects = false;
    for (const struct worker *other = workers; other != NULL; other = other->next) {
        if (other == worker || other->process != worker->process || other->batch == NULL) continue;
        busy = true;
        *suspects = *suspects || has_suspects(other->batch);
    }
    return busy;
}

size_t worker_running(const struct program *program) {
    size_t running = 0;
    for (const struct worker *worker = workers; worker != NULL; worker = worker->next) {
        if (worker->batch != NULL && worker->batch->program == program) running += worker->batch->len;
    }
    return running;
}

/* --- What they are given --- */

static bool has_item(const struct worker *worker) {
    return worker->kill != 0 || worker->dropped.len > 0 || worker->batch != NULL;
}

static void look_for_work(Context *ctx, struct worker *worker) {
    if (!worker->supervisor && worker->away_since == 0 && !has_item(worker)) worker->batch = queue_take(ctx, worker);
}

static int reply_item(Context *ctx, struct worker *worker) {
    if (worker->kill != 0) {
        item_reply_kill(ctx, worker->kill);
        worker->kill = 0;
    } else if (worker->batch != NULL && worker->dropped.len == 0) {
        item_reply_batch(ctx, worker->batch);
    } else {
        item_reply_drop(ctx, worker->dropped.items, worker->dropped.len);
        worker->dropped.len = 0;
        if (worker->batch != NULL) { /* it was given both at once; the batch is for its next question */
            struct batch *batch = worker->batch;
            worker->batch = NULL;
            queue_return(ctx, batch, false);
        }
    }
    return MODULE_OK;
}

static int reply_woken(Context *ctx, String **argv, int argc) {
    (void)argv, (void)argc;
    struct worker *worker = server.GetBlockedClientPrivateData(ctx);
    if (worker->batch != NULL) queue_fill(worker->batch); /* all that the server has read since it was woken */
    return reply_item(ctx, worker);
}

static void wake(struct worker *worker) {
    if (worker->waiting == NULL) return;
    server.UnblockClient(worker->waiting, worker);
    worker->waiting = NULL;
}

int worker_next(Context *ctx, struct worker *worker) {
    look_for_work(ctx, worker);
    if (has_item(worker)) return reply_item(ctx, worker);
    worker->waiting = server.BlockClient(ctx, reply_woken, NULL, NULL, 0);
    return MODULE_OK;
}

void worker_dispatch(Context *ctx) {
    for (struct worker *worker = workers; worker != NULL; worker = worker->next) {
        if (worker->waiting == NULL) continue;
        look_for_work(ctx, worker);
        if (has_item(worker)) wake(worker);
    }
}

/* --- What they keep --- */

static void add(struct versions *versions, unsigned long long version) {
    versions->items = server.Realloc(versions->items, (versions->len + 1) * sizeof *versions->items);
    versions->items[versions->len++] = version;
}

void worker_remember(struct worker *worker, const struct program *program) {
    for (size_t i = 0; i < worker->fetched.len; i++) {
        if (worker->fetched.items[i] == program->version) return;
    }
    add(&worker->fetched, program->version);
}

void worker_forget(const struct program *program) {
    for (struct worker *worker = workers; worker != NULL; worker = worker->next) {
        struct versions *fetched = &worker->fetched;
        for (size_t i = 0; i < fetched->len; i++) {
            if (fetched->items[i] != program->version) continue;
            fetched->items[i] = fetched->items[--fetched->len];
            add(&worker->dropped, program->version);
            wake(worker);
            break;
        }
    }
}

/* --- When they go, or are made to --- */

void worker_client_gone(Context *ctx, unsigned long long client) {
    struct worker *worker = worker_find(client);
    if (worker == NULL) return;
    struct worker **link = &workers;
    while (*link != worker) link = &(*link)->next;
    *link = worker->next;
    for (struct worker *other = workers; other != NULL; other = other->next) {
        if (other->process == worker->process && !worker->supervisor && !other->supervisor) {
            other->away_since = clock_now(); /* the connections of a process close one after the other */
        }
    }
    if (worker->waiting != NULL) server.UnblockClient(worker->waiting, NULL);
    if (worker->batch != NULL) queue_return(ctx, worker->batch, !worker->blameless);
    forget_introduction(worker);
    server.Free(worker->fetched.items);
    server.Free(worker->dropped.items);
    server.Free(worker);
    queue_fail_unserved(ctx);
    worker_dispatch(ctx);
}

static bool is_wanted(const struct batch *batch) {
    for (const struct request *request = batch->first; request != NULL; request = request->next) {
        if (!request->withdrawn) return true;
    }
    return false;
}

static void end_process(const struct worker *worker) {
    struct worker *supervisor = workers;
    while (supervisor != NULL && !(supervisor->supervisor && same_device(supervisor->device, worker->device))) {
        supervisor = supervisor->next;
    }
    if (supervisor == NULL || supervisor->kill != 0) return;
    for (struct worker *other = workers; other != NULL; other = other->next) {
        if (other->process != worker->process || other->supervisor) continue;
        other->away_since = clock_now();
        other->blameless = true;
    }
    supervisor->kill = worker->process;
    wake(supervisor);
}

static void note_unwanted(struct worker *worker, long long now) {
    if (worker->batch == NULL || is_wanted(worker->batch)) {
        worker->unwanted_since = 0;
    } else if (worker->unwanted_since == 0) {
        worker->unwanted_since = now;
    } else if (worker->away_since == 0 && now - worker->unwanted_since > UNWANTED_RUN) {
        end_process(worker);
    }
}

void worker_sweep(Context *ctx) {
    const long long now = clock_now();
    for (struct worker *worker = workers; worker != NULL; worker = worker->next) {
        if (worker->away_since != 0 && now - worker->away_since > FAREWELL) {
            worker->away_since = 0;
            worker->blameless = false;
        }
        note_unwanted(worker, now);
    }
    worker_dispatch(ctx);
}
