#include "program_commands.h"

#include <string.h>

#include "config.h"
#include "errors.h"
#include "program_key.h"
#include "tensor.h"

static const char *const missing[] = {
    [PROGRAM_MODEL] = "ERR model key is empty",
    [PROGRAM_SCRIPT] = "ERR script key is empty",
};

/* Open a key that must hold a program. On failure the error has been replied. */
static struct program *open_program(Context *ctx, String *name, enum program_kind kind, int mode, Key **key) {
    struct program *program;
    if (!program_key_open(ctx, name, kind, mode, key, &program)) {
        server.ReplyWithError(ctx, error_wrong_type);
        return NULL;
    }
    if (program == NULL) {
        server.CloseKey(*key);
        server.ReplyWithError(ctx, missing[kind]);
    }
    return program;
}

/* --- AI.MODELGET, AI.SCRIPTGET --- */

struct parts {
    bool meta, payload;
};

/* Nothing named is all. Returns false for a word that names no part. */
static bool parse_parts(String **args, int count, const char *payload, struct parts *parts) {
    *parts = (struct parts){count == 0, count == 0};
    for (int i = 0; i < count; i++) {
        if (WORD_IS(args[i], "META")) {
            parts->meta = true;
        } else if (text_is(args[i], payload, strlen(payload))) {
            parts->payload = true;
        } else {
            return false;
        }
    }
    return true;
}

static void reply_text(Context *ctx, const char *text) {
    server.ReplyWithStringBuffer(ctx, text, strlen(text));
}

static void reply_strings(Context *ctx, const struct strings *strings) {
    server.ReplyWithArray(ctx, (long)strings->len);
    for (size_t i = 0; i < strings->len; i++) server.ReplyWithString(ctx, strings->items[i]);
}

static void reply_number(Context *ctx, const char *label, long long number) {
    reply_text(ctx, label);
    server.ReplyWithLongLong(ctx, number);
}

/* Large models come in pieces, so that each fits into one string of the protocol. Clients expect that a model of n
 * whole pieces ends with an empty one. */
static void reply_blob(Context *ctx, const struct program *model) {
    size_t len;
    const char *data = server.StringPtrLen(model->payload, &len);
    const size_t piece = (size_t)config_model_chunk_size;
    if (len < piece) {
        server.ReplyWithString(ctx, model->payload);
        return;
    }
    server.ReplyWithArray(ctx, (long)(len / piece + 1));
    for (; len >= piece; data += piece, len -= piece) server.ReplyWithStringBuffer(ctx, data, piece);
    server.ReplyWithStringBuffer(ctx, data, len);
}

static void reply_model(Context *ctx, const struct program *model, const struct parts *parts) {
    if (parts->meta) {
        server.ReplyWithArray(ctx, parts->payload ? 18 : 16);
        reply_text(ctx, "backend");
        reply_text(ctx, backend_names[model->backend]);
        reply_text(ctx, "device");
        server.ReplyWithString(ctx, model->device_name);
        reply_text(ctx, "tag");
        server.ReplyWithString(ctx, model->tag);
        reply_number(ctx, "batchsize", model->batch_size);
        reply_number(ctx, "minbatchsize", model->min_batch_size);
        reply_text(ctx, "inputs");
        reply_strings(ctx, &model->inputs);
        reply_text(ctx, "outputs");
        reply_strings(ctx, &model->outputs);
        reply_number(ctx, "minbatchtimeout", model->min_batch_timeout);
        if (parts->payload) reply_text(ctx, "blob");
    }
    if (parts->payload) reply_blob(ctx, model);
}

static void reply_script(Context *ctx, const struct program *script, const struct parts *parts) {
    if (parts->meta) {
        server.ReplyWithArray(ctx, parts->payload ? 8 : 6);
        reply_text(ctx, "device");
        server.ReplyWithString(ctx, script->device_name);
        reply_text(ctx, "tag");
        server.ReplyWithString(ctx, script->tag);
        reply_text(ctx, "Entry Points");
        reply_strings(ctx, &script->entry_points);
        if (parts->payload) reply_text(ctx, "source");
    }
    if (parts->payload) server.ReplyWithString(ctx, script->payload);
}

int model_get(Context *ctx, String **argv, int argc) {
    if (argc < 2 || argc > 4) {
        return server.ReplyWithError(ctx, "ERR wrong number of arguments for 'AI.MODELGET' command");
    }
    Key *key;
    const struct program *model = open_program(ctx, argv[1], PROGRAM_MODEL, KEY_READ, &key);
    if (model == NULL) return MODULE_OK;
    struct parts parts;
    if (parse_parts(argv + 2, argc - 2, "BLOB", &parts)) {
        reply_model(ctx, model, &parts);
    } else {
        server.ReplyWithError(ctx, "ERR unsupported data format");
    }
    server.CloseKey(key);
    return MODULE_OK;
}

int script_get(Context *ctx, String **argv, int argc) {
    if (argc < 2 || argc > 4) {
        return server.ReplyWithError(ctx, "ERR wrong number of arguments for 'AI.SCRIPTGET' command");
    }
    Key *key;
    const struct program *script = open_program(ctx, argv[1], PROGRAM_SCRIPT, KEY_READ, &key);
    if (script == NULL) return MODULE_OK;
    struct parts parts;
    if (parse_parts(argv + 2, argc - 2, "SOURCE", &parts)) {
        reply_script(ctx, script, &parts);
    } else {
        server.ReplyWithError(ctx, "ERR unsupported data format");
    }
    server.CloseKey(key);
    return MODULE_OK;
}

/* --- AI.MODELDEL, AI.SCRIPTDEL --- */

static int delete_program(Context *ctx, String *name, enum program_kind kind) {
    Key *key;
    if (open_program(ctx, name, kind, KEY_READ | KEY_WRITE, &key) == NULL) return MODULE_OK;
    server.DeleteKey(key);
    server.CloseKey(key);
    const char *event = kind == PROGRAM_MODEL ? "ai.modeldel" : "ai.scriptdel";
    server.NotifyKeyspaceEvent(ctx, NOTIFY_MODULE, event, name);
    server.ReplicateVerbatim(ctx);
    return server.ReplyWithSimpleString(ctx, "OK");
}

int model_delete(Context *ctx, String **argv, int argc) {
    if (argc == 2) return delete_program(ctx, argv[1], PROGRAM_MODEL);
    return server.ReplyWithError(ctx, "ERR wrong number of arguments for 'AI.MODELDEL' command");
}

int script_delete(Context *ctx, String **argv, int argc) {
    if (argc == 2) return delete_program(ctx, argv[1], PROGRAM_SCRIPT);
    return server.ReplyWithError(ctx, "ERR wrong number of arguments for 'AI.SCRIPTDEL' command");
}

/* --- AI._MODELSCAN, AI._SCRIPTSCAN --- */

/* Programs of one kind: the names of their keys, and their tags. */
struct listing {
    enum program_kind kind;
    struct strings names, tags;
    size_t room;
};

static void list_key(Context *ctx, String *name, Key *key, void *data) {
    (void)ctx;
    struct listing *listing = data;
    const struct program *program = program_key_value(key, listing->kind);
    if (program == NULL) return;
    if (listing->names.len == listing->room) {
        listing->room = 2 * listing->room + 16;
        listing->names.items = server.Realloc(listing->names.items, listing->room * sizeof *listing->names.items);
        listing->tags.items = server.Realloc(listing->tags.items, listing->room * sizeof *listing->tags.items);
    }
    listing->names.items[listing->names.len++] = server.HoldString(NULL, name);
    listing->tags.items[listing->tags.len++] = server.HoldString(NULL, program->tag);
}

static int list_programs(Context *ctx, enum program_kind kind) {
    struct listing listing = {.kind = kind};
    ScanCursor *cursor = server.ScanCursorCreate();
    while (server.Scan(ctx, cursor, list_key, &listing)) continue;
    server.ScanCursorDestroy(cursor);
    server.ReplyWithArray(ctx, (long)listing.names.len);
    for (size_t i = 0; i < listing.names.len; i++) {
        server.ReplyWithArray(ctx, 2);
        server.ReplyWithString(ctx, listing.names.items[i]);
        server.ReplyWithString(ctx, listing.tags.items[i]);
    }
    strings_free(&listing.names);
    strings_free(&listing.tags);
    return MODULE_OK;
}

int model_scan(Context *ctx, String **argv, int argc) {
    (void)argv;
    if (argc == 1) return list_programs(ctx, PROGRAM_MODEL);
    return server.ReplyWithError(ctx, "ERR wrong number of arguments for 'AI._MODELSCAN' command");
}

int script_scan(Context *ctx, String **argv, int argc) {
    (void)argv;
    if (argc == 1) return list_programs(ctx, PROGRAM_SCRIPT);
    return server.ReplyWithError(ctx, "ERR wrong number of arguments for 'AI._SCRIPTSCAN' command");
}
