#include "config.h"

#include "tensor.h"
#include "worker.h"

long long config_model_chunk_size = 535822336; /* 511 MiB */
long long config_min_batch_timeout = 1000;

static String *backends_path; /* kept for whoever asks; NULL until it is set */

static int reply_error(Context *ctx, const char *error) {
    return error == NULL ? server.ReplyWithSimpleString(ctx, "OK") : server.ReplyWithError(ctx, error);
}

/* Backends live in workers: one is loaded when a worker that has it is connected. */
static const char *load_backend(const String *name) {
    enum backend backend;
    if (!backend_parse(name, &backend)) return "ERR unsupported backend";
    for (const struct worker *worker = workers; worker != NULL; worker = worker->next) {
        if (!worker->supervisor && worker->backends[backend] != NULL) return NULL;
    }
    return "ERR error loading backend";
}

static const char *set_path(String **args, int count) {
    if (count != 1) return "ERR BACKENDSPATH: missing path argument";
    if (backends_path != NULL) server.FreeString(NULL, backends_path);
    backends_path = server.HoldString(NULL, args[0]);
    return NULL;
}

static const char *set_number(String **args, int count, long long *setting, const char *missing, const char *invalid) {
    long long number;
    if (count != 1) return missing;
    if (server.StringToLongLong(args[0], &number) != MODULE_OK || number <= 0) return invalid;
    *setting = number;
    return NULL;
}

static int get(Context *ctx, const String *name) {
    if (WORD_IS(name, "MODEL_CHUNK_SIZE")) return server.ReplyWithLongLong(ctx, config_model_chunk_size);
    if (WORD_IS(name, "MINBATCHTIMEOUT")) return server.ReplyWithLongLong(ctx, config_min_batch_timeout);
    if (WORD_IS(name, "BACKENDSPATH") && backends_path != NULL) {
        return server.ReplyWithString(ctx, backends_path);
    }
    return server.ReplyWithNull(ctx);
}

int config_command(Context *ctx, String **argv, int argc) {
    static const char *const arity = "ERR wrong number of arguments for 'AI.CONFIG' command";
    if (argc < 2) return server.ReplyWithError(ctx, arity);
    String **args = argv + 2;
    const int count = argc - 2;
    if (WORD_IS(argv[1], "GET")) return count == 1 ? get(ctx, args[0]) : server.ReplyWithError(ctx, arity);
    if (WORD_IS(argv[1], "LOADBACKEND")) return reply_error(ctx, count == 2 ? load_backend(args[0]) : arity);
    if (WORD_IS(argv[1], "BACKENDSPATH")) return reply_error(ctx, set_path(args, count));
    if (WORD_IS(argv[1], "MODEL_CHUNK_SIZE")) {
        return reply_error(ctx, set_number(args, count, &config_model_chunk_size,
                                           "ERR MODEL_CHUNK_SIZE: missing chunk size",
                                           "ERR MODEL_CHUNK_SIZE: invalid chunk size"));
    }
    if (WORD_IS(argv[1], "MINBATCHTIMEOUT")) {
        return reply_error(ctx, set_number(args, count, &config_min_batch_timeout,
                                           "ERR MINBATCHTIMEOUT: missing milliseconds",
                                           "ERR MINBATCHTIMEOUT: invalid milliseconds"));
    }
    return server.ReplyWithError(ctx, "ERR unsupported subcommand");
}
