#include "info.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "config.h"
#include "program_key.h"
#include "version.h"
#include "worker.h"

/* The commit that the module was built from; the build says so if it knows. */
#ifndef SMARTSIM_GIT_SHA
#define SMARTSIM_GIT_SHA "unknown"
#endif

/* Enough for all classes of batch sizes. */
enum { BATCH_SIZES_LEN = BATCH_SIZE_CLASSES * 32 };

/* Write the histogram: `class:batches` for each class that has some, with a space between them. */
static void write_batch_sizes(const struct statistics *statistics, char text[BATCH_SIZES_LEN]) {
    size_t len = 0;
    text[0] = '\0';
    for (int i = 0; i < BATCH_SIZE_CLASSES; i++) {
        const unsigned long long count = statistics->batch_sizes[i];
        const char *space = len > 0 ? " " : "";
        const int most = 1 << i; /* the class ends here, and the one before it in the middle */
        char *to = text + len;
        const size_t room = BATCH_SIZES_LEN - len;
        int written = 0;
        if (count == 0) continue;
        if (i == BATCH_SIZE_CLASSES - 1) {
            written = snprintf(to, room, "%s%d+:%llu", space, most / 2 + 1, count);
        } else if (i < 2) {
            written = snprintf(to, room, "%s%d:%llu", space, most, count);
        } else {
            written = snprintf(to, room, "%s%d-%d:%llu", space, most / 2 + 1, most, count);
        }
        len += (size_t)written;
    }
}

static long long count_workers(const struct program *program) {
    long long count = 0;
    for (const struct worker *worker = workers; worker != NULL; worker = worker->next) {
        count += !worker->supervisor && worker_serves(worker, program);
    }
    return count;
}

/* --- AI.INFO --- */

static void reply_text(Context *ctx, const char *text) { server.ReplyWithStringBuffer(ctx, text, strlen(text)); }

static void reply_program(Context *ctx, String *name, const struct program *program) {
    const struct statistics *statistics = &program->statistics;
    const bool model = program->kind == PROGRAM_MODEL;
    const struct {
        const char *label;
        unsigned long long value;
    } numbers[] = {
        {"duration", statistics->duration},
        {"samples", model ? statistics->samples : (unsigned long long)-1},
        {"calls", statistics->calls},
        {"errors", statistics->errors},
        {"waiting", queue_waiting(program)},
        {"running", worker_running(program)},
        {"queue_time", statistics->queue_time},
        {"run_time", statistics->run_time},
        {"batches", statistics->batches},
        {"workers", (unsigned long long)count_workers(program)},
        {"workers_lost", statistics->workers_lost},
    };
    const size_t len = sizeof numbers / sizeof *numbers;
    server.ReplyWithArray(ctx, (long)(2 * (5 + len + 1)));
    reply_text(ctx, "key");
    server.ReplyWithString(ctx, name);
    reply_text(ctx, "type");
    reply_text(ctx, model ? "MODEL" : "SCRIPT");
    reply_text(ctx, "backend");
    reply_text(ctx, backend_names[program->backend]);
    reply_text(ctx, "device");
    server.ReplyWithString(ctx, program->device_name);
    reply_text(ctx, "tag");
    server.ReplyWithString(ctx, program->tag);
    for (size_t i = 0; i < len; i++) {
        reply_text(ctx, numbers[i].label);
        server.ReplyWithLongLong(ctx, (long long)numbers[i].value);
    }
    char batch_sizes[BATCH_SIZES_LEN];
    write_batch_sizes(statistics, batch_sizes);
    reply_text(ctx, "batch_sizes");
    reply_text(ctx, batch_sizes);
}

/* Open `name` for reading if it is a model or a script; returns NULL, with nothing open, if not. */
static struct program *open_program(Context *ctx, String *name, Key **key) {
    struct program *program;
    if (!program_key_open(ctx, name, PROGRAM_MODEL, KEY_READ, key, &program) &&
        !program_key_open(ctx, name, PROGRAM_SCRIPT, KEY_READ, key, &program)) {
        return NULL;
    }
    if (program == NULL) server.CloseKey(*key);
    return program;
}

int info_command(Context *ctx, String **argv, int argc) {
    if (argc != 2 && argc != 3) {
        return server.ReplyWithError(ctx, "ERR wrong number of arguments for 'AI.INFO' command");
    }
    const bool reset = argc == 3;
    if (reset && !WORD_IS(argv[2], "RESETSTAT")) return server.ReplyWithError(ctx, "ERR unsupported subcommand");
    Key *key;
    struct program *program = open_program(ctx, argv[1], &key);
    if (program == NULL) return server.ReplyWithError(ctx, "ERR cannot find run info for key");
    if (reset) {
        memset(&program->statistics, 0, sizeof program->statistics);
        server.ReplyWithSimpleString(ctx, "OK");
    } else {
        reply_program(ctx, argv[1], program);
    }
    server.CloseKey(key);
    return MODULE_OK;
}

/* --- INFO --- */

/* Keys are any bytes: those that mean something in a field of INFO, or cannot be seen, are written as in a URL. The
 * result is the caller's to free. */
static char *escape(const String *text) {
    static const char digits[] = "0123456789ABCDEF";
    size_t len;
    const char *from = server.StringPtrLen(text, &len);
    char *escaped = server.Alloc(3 * len + 1);
    char *to = escaped;
    for (size_t i = 0; i < len; i++) {
        const unsigned char byte = (unsigned char)from[i];
        if (byte > ' ' && byte < 0x7f && strchr("%,=#\"", byte) == NULL) {
            *to++ = (char)byte;
        } else {
            *to++ = '%';
            *to++ = digits[byte >> 4];
            *to++ = digits[byte & 15];
        }
    }
    *to = '\0';
    return escaped;
}

static void add_escaped(InfoReply *info, const char *field, const String *text) {
    char *escaped = escape(text);
    server.InfoAddFieldCString(info, field, escaped);
    server.Free(escaped);
}

static void add_versions(InfoReply *info) {
    if (server.InfoAddSection(info, "versions") != MODULE_OK) return;
    server.InfoAddFieldLongLong(info, "module_version", MODULE_VERSION);
    server.InfoAddFieldLongLong(info, "module_api_version", MODULE_API_VERSION);
}

static void add_git(InfoReply *info) {
    if (server.InfoAddSection(info, "git") != MODULE_OK) return;
    server.InfoAddFieldCString(info, "git_sha", SMARTSIM_GIT_SHA);
}

static void add_load_time_configs(InfoReply *info) {
    if (server.InfoAddSection(info, "load_time_configs") != MODULE_OK) return;
    server.InfoAddFieldLongLong(info, "model_chunk_size", config_model_chunk_size);
    server.InfoAddFieldLongLong(info, "min_batch_timeout", config_min_batch_timeout);
}

/* Whether `worker` is the first in the list that runs its version of `backend`. */
static bool is_first_of_version(const struct worker *worker, enum backend backend) {
    size_t len;
    const char *version = server.StringPtrLen(worker->backends[backend], &len);
    for (const struct worker *other = workers; other != worker; other = other->next) {
        const bool runs = !other->supervisor && other->backends[backend] != NULL;
        if (runs && text_is(other->backends[backend], version, len)) return false;
    }
    return true;
}

/* For each backend that connected workers run, its versions. */
static void add_backends(InfoReply *info) {
    if (server.InfoAddSection(info, "backends_info") != MODULE_OK) return;
    for (enum backend backend = 0; backend < BACKENDS; backend++) {
        long long count = 0;
        for (const struct worker *worker = workers; worker != NULL; worker = worker->next) {
            if (worker->supervisor || worker->backends[backend] == NULL) continue;
            if (count++ == 0) server.InfoBeginDictField(info, backend_names[backend]);
            if (is_first_of_version(worker, backend)) add_escaped(info, "version", worker->backends[backend]);
        }
        if (count == 0) continue;
        server.InfoAddFieldLongLong(info, "workers", count);
        server.InfoEndDictField(info);
    }
}

static void add_time(InfoReply *info, const char *field, const struct timeval *time) {
    char seconds[48];
    snprintf(seconds, sizeof seconds, "%lld.%06ld", (long long)time->tv_sec, (long)time->tv_usec);
    server.InfoAddFieldCString(info, field, seconds);
}

static void add_cpu(InfoReply *info) {
    if (server.InfoAddSection(info, "cpu") != MODULE_OK) return;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    add_time(info, "self_used_cpu_sys", &usage.ru_stime);
    add_time(info, "self_used_cpu_user", &usage.ru_utime);
    getrusage(RUSAGE_CHILDREN, &usage);
    add_time(info, "children_used_cpu_sys", &usage.ru_stime);
    add_time(info, "children_used_cpu_user", &usage.ru_utime);
}

static const char *state_of(const struct worker *worker) {
    if (worker->unavailable != NULL) return "unavailable";
    if (worker->batch != NULL) return "running";
    return worker->waiting != NULL ? "waiting" : "idle";
}

static void add_worker(InfoReply *info, const struct worker *worker) {
    char text[48];
    snprintf(text, sizeof text, "%s_%llu", worker->supervisor ? "supervisor" : "worker", worker->client);
    server.InfoBeginDictField(info, text);
    server.InfoAddFieldLongLong(info, "process", worker->process);
    snprintf(text, sizeof text, worker->device.gpu ? "GPU:%d" : "CPU", worker->device.index);
    server.InfoAddFieldCString(info, "device", text);
    server.InfoAddFieldCString(info, "state", state_of(worker));
    server.InfoAddFieldULongLong(info, "jobs", worker->jobs);
    for (int backend = 0; backend < BACKENDS; backend++) {
        if (worker->backends[backend] != NULL) add_escaped(info, backend_names[backend], worker->backends[backend]);
    }
    if (worker->unavailable != NULL) add_escaped(info, "reason", worker->unavailable);
    server.InfoEndDictField(info);
}

static void add_workers(InfoReply *info) {
    if (server.InfoAddSection(info, "workers") != MODULE_OK) return;
    for (const struct worker *worker = workers; worker != NULL; worker = worker->next) add_worker(info, worker);
}

static void add_program(InfoReply *info, const struct program *program) {
    const struct statistics *statistics = &program->statistics;
    char text[BATCH_SIZES_LEN];
    snprintf(text, sizeof text, "%s_%llu", program->kind == PROGRAM_MODEL ? "model" : "script", program->version);
    server.InfoBeginDictField(info, text);
    add_escaped(info, "name", program->name);
    server.InfoAddFieldCString(info, "backend", backend_names[program->backend]);
    add_escaped(info, "device", program->device_name);
    server.InfoAddFieldULongLong(info, "waiting", queue_waiting(program));
    server.InfoAddFieldULongLong(info, "running", worker_running(program));
    server.InfoAddFieldULongLong(info, "calls", statistics->calls);
    server.InfoAddFieldULongLong(info, "errors", statistics->errors);
    server.InfoAddFieldULongLong(info, "queue_time", statistics->queue_time);
    server.InfoAddFieldULongLong(info, "run_time", statistics->run_time);
    server.InfoAddFieldULongLong(info, "batches", statistics->batches);
    server.InfoAddFieldULongLong(info, "workers_lost", statistics->workers_lost);
    write_batch_sizes(statistics, text);
    server.InfoAddFieldCString(info, "batch_sizes", text);
    server.InfoEndDictField(info);
}

/* Those that were run; one that was only checked has no name. */
static void add_programs(InfoReply *info, const char *section, enum program_kind kind) {
    if (server.InfoAddSection(info, section) != MODULE_OK) return;
    for (const struct program *program = programs; program != NULL; program = program->next) {
        if (program->kind == kind && program->name != NULL) add_program(info, program);
    }
}

static void add_sections(InfoReply *info, int for_crash_report) {
    if (for_crash_report) return; /* whatever crashed may have left the lists or the allocator broken */
    add_versions(info);
    add_git(info);
    add_load_time_configs(info);
    add_backends(info);
    add_cpu(info);
    add_workers(info);
    add_programs(info, "models", PROGRAM_MODEL);
    add_programs(info, "scripts", PROGRAM_SCRIPT);
}

bool info_register(Context *ctx) { return server.RegisterInfoFunc(ctx, add_sections) == MODULE_OK; }
