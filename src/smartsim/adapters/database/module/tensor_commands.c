#include "tensor_commands.h"

#include "errors.h"
#include "tensor_key.h"
#include "values.h"

int tensor_set(Context *ctx, String **argv, int argc) {
    if (argc < 4) return server.ReplyWithError(ctx, "ERR wrong number of arguments for 'AI.TENSORSET' command");
    Key *key;
    struct tensor *old;
    if (!tensor_key_open(ctx, argv[1], KEY_READ | KEY_WRITE, &key, &old)) {
        return server.ReplyWithError(ctx, error_wrong_type);
    }

    const char *error;
    struct tensor *tensor = tensor_parse(argv + 2, argc - 2, &error);
    if (tensor != NULL) tensor_key_set(key, tensor);
    server.CloseKey(key);
    if (tensor == NULL) return server.ReplyWithError(ctx, error);

    server.NotifyKeyspaceEvent(ctx, NOTIFY_MODULE, "ai.tensorset", argv[1]);
    server.ReplicateVerbatim(ctx);
    return server.ReplyWithSimpleString(ctx, "OK");
}

const char *tensor_format_parse(String **args, int count, struct tensor_format *format) {
    *format = (struct tensor_format){false, false, false};
    for (int i = 0; i < count; i++) {
        if (WORD_IS(args[i], "META")) {
            format->meta = true;
        } else if (WORD_IS(args[i], "BLOB")) {
            format->blob = true;
        } else if (WORD_IS(args[i], "VALUES")) {
            format->values = true;
        } else {
            return "ERR unsupported data format";
        }
    }
    if (format->blob && format->values) return "ERR both BLOB and VALUES specified";
    if (count == 0) format->meta = format->blob = true;
    return NULL;
}

#define REPLY_LITERAL(ctx, text) server.ReplyWithStringBuffer(ctx, text, sizeof(text) - 1)

static void reply_meta(Context *ctx, const struct tensor *tensor, const struct tensor_format *format) {
    server.ReplyWithArray(ctx, format->blob || format->values ? 6 : 4);
    REPLY_LITERAL(ctx, "dtype");
    server.ReplyWithStringBuffer(ctx, elements[tensor->type].name, elements[tensor->type].name_len);
    REPLY_LITERAL(ctx, "shape");
    server.ReplyWithArray(ctx, (long)tensor->ndims);
    for (size_t i = 0; i < tensor->ndims; i++) server.ReplyWithLongLong(ctx, tensor->dims[i]);
    if (format->blob) REPLY_LITERAL(ctx, "blob");
    if (format->values) REPLY_LITERAL(ctx, "values");
}

/* What a blob holds alone is sent out of it. */
void tensor_reply_blob(Context *ctx, const struct tensor *tensor) {
    if (tensor_is_alone(tensor)) {
        server.ReplyWithString(ctx, tensor->blob);
    } else {
        server.ReplyWithStringBuffer(ctx, tensor_data(tensor, NULL), tensor->size);
    }
}

void tensor_reply(Context *ctx, const struct tensor *tensor, const struct tensor_format *format) {
    if (format->meta) reply_meta(ctx, tensor, format);
    if (format->blob) tensor_reply_blob(ctx, tensor);
    if (format->values) values_reply(ctx, tensor);
}

int tensor_get(Context *ctx, String **argv, int argc) {
    if (argc < 2 || argc > 4) {
        return server.ReplyWithError(ctx, "ERR wrong number of arguments for 'AI.TENSORGET' command");
    }
    Key *key;
    struct tensor *tensor;
    if (!tensor_key_open(ctx, argv[1], KEY_READ, &key, &tensor)) return server.ReplyWithError(ctx, error_wrong_type);

    struct tensor_format format;
    const char *error = tensor == NULL ? "ERR tensor key is empty or in a different shard"
                                       : tensor_format_parse(argv + 2, argc - 2, &format);
    if (error != NULL) {
        server.ReplyWithError(ctx, error);
    } else {
        tensor_reply(ctx, tensor, &format);
    }
    server.CloseKey(key);
    return MODULE_OK;
}
