#include "program_key.h"

#include <limits.h>

enum { ENCODING_VERSION = 1 };

static DataType *types[] = {[PROGRAM_MODEL] = NULL, [PROGRAM_SCRIPT] = NULL};
static const char *const nouns[] = {[PROGRAM_MODEL] = "model", [PROGRAM_SCRIPT] = "script"};

/* --- RDB: device, tag, entry points, payload; of a model, in front of them, backend, sizes of batches, and names. A
 * list is its length and then its strings. --- */

static void save_strings(Stream *rdb, const struct strings *strings) {
    server.SaveUnsigned(rdb, strings->len);
    for (size_t i = 0; i < strings->len; i++) server.SaveString(rdb, strings->items[i]);
}

static void save_rdb(Stream *rdb, void *value) {
    const struct program *program = value;
    if (program->kind == PROGRAM_MODEL) {
        server.SaveUnsigned(rdb, (uint64_t)program->backend);
        server.SaveUnsigned(rdb, (uint64_t)program->batch_size);
        server.SaveUnsigned(rdb, (uint64_t)program->min_batch_size);
        server.SaveUnsigned(rdb, (uint64_t)program->min_batch_timeout);
        save_strings(rdb, &program->inputs);
        save_strings(rdb, &program->outputs);
    }
    server.SaveString(rdb, program->device_name);
    server.SaveString(rdb, program->tag);
    save_strings(rdb, &program->entry_points);
    server.SaveString(rdb, program->payload);
}

static bool load_string(Stream *rdb, String **string) {
    *string = server.LoadString(rdb);
    return *string != NULL;
}

/* A corrupt length costs no memory: room is made as strings are read. */
static bool load_strings(Stream *rdb, struct strings *strings) {
    const uint64_t len = server.LoadUnsigned(rdb);
    if (server.IsIOError(rdb)) return false;
    size_t room = 0;
    while (strings->len < len) {
        if (strings->len == room) {
            room = 2 * room + 4;
            strings->items = server.Realloc(strings->items, room * sizeof *strings->items);
        }
        if (!load_string(rdb, &strings->items[strings->len])) return false;
        strings->len++;
    }
    return true;
}

static bool load_number(Stream *rdb, long long *number) {
    const uint64_t value = server.LoadUnsigned(rdb);
    *number = (long long)value;
    return !server.IsIOError(rdb) && value <= LLONG_MAX;
}

static const char *load_model(Stream *rdb, struct program *model) {
    long long backend;
    if (!load_number(rdb, &backend) || backend >= BACKENDS) return "invalid backend";
    model->backend = (enum backend)backend;
    if (!load_number(rdb, &model->batch_size) || !load_number(rdb, &model->min_batch_size) ||
        !load_number(rdb, &model->min_batch_timeout)) {
        return "invalid batch size";
    }
    if ((model->min_batch_size > 0 && model->batch_size == 0) ||
        (model->min_batch_timeout > 0 && model->min_batch_size == 0)) {
        return "invalid batch size";
    }
    if (!load_strings(rdb, &model->inputs) || !load_strings(rdb, &model->outputs)) return "truncated names";
    if (model->backend == BACKEND_TF && (model->inputs.len == 0 || model->outputs.len == 0)) return "no names";
    return NULL;
}

static const char *load_program(Stream *rdb, struct program *program) {
    const char *error = program->kind == PROGRAM_MODEL ? load_model(rdb, program) : NULL;
    if (error != NULL) return error;
    if (!load_string(rdb, &program->device_name) || !device_parse(program->device_name, &program->device)) {
        return "invalid device";
    }
    if (!load_string(rdb, &program->tag)) return "truncated tag";
    if (!load_strings(rdb, &program->entry_points)) return "truncated entry points";
    if (program->kind == PROGRAM_MODEL && program->entry_points.len > 0) return "entry points";
    String *payload;
    if (!load_string(rdb, &payload)) return "truncated";
    program_take_payload(program, payload);
    return NULL;
}

static void *load_rdb(Stream *rdb, int version, enum program_kind kind) {
    if (version != ENCODING_VERSION) {
        server.LogIOError(rdb, "warning", "%s saved by another version of this module (encoding %d)", nouns[kind],
                          version);
        return NULL;
    }
    struct program *program = program_new(kind);
    program->loaded = true;
    const char *error = load_program(rdb, program);
    if (error == NULL) return program;
    server.LogIOError(rdb, "warning", "corrupt %s: %s", nouns[kind], error);
    program_release(program);
    return NULL;
}

static void *load_model_rdb(Stream *rdb, int version) {
    return load_rdb(rdb, version, PROGRAM_MODEL);
}

static void *load_script_rdb(Stream *rdb, int version) {
    return load_rdb(rdb, version, PROGRAM_SCRIPT);
}

/* --- AOF: the command that makes the same program. --- */

static void rewrite_aof(Stream *aof, String *key, void *value) {
    const char *command;
    struct strings arguments = program_arguments(value, key, &command);
    server.EmitAOF(aof, command, "v", arguments.items, arguments.len);
    strings_free(&arguments);
}

/* --- MEMORY USAGE, DEBUG DIGEST, freeing --- */

static size_t memory_usage(const void *value) {
    return program_bytes(value);
}

static void digest_string(Digest *md, const String *string) {
    size_t len;
    const char *data = server.StringPtrLen(string, &len);
    server.DigestAddStringBuffer(md, data, len);
}

static void digest_strings(Digest *md, const struct strings *strings) {
    server.DigestAddLongLong(md, (long long)strings->len);
    for (size_t i = 0; i < strings->len; i++) digest_string(md, strings->items[i]);
}

static void digest(Digest *md, void *value) {
    const struct program *program = value;
    server.DigestAddLongLong(md, (long long)program->backend);
    server.DigestAddLongLong(md, program->batch_size);
    server.DigestAddLongLong(md, program->min_batch_size);
    server.DigestAddLongLong(md, program->min_batch_timeout);
    digest_string(md, program->device_name);
    digest_string(md, program->tag);
    digest_strings(md, &program->inputs);
    digest_strings(md, &program->outputs);
    digest_strings(md, &program->entry_points);
    digest_string(md, program->payload);
    server.DigestEndSequence(md);
}

/* --- The types --- */

static DataType *create_type(Context *ctx, const char *name, void *(*load)(Stream *, int)) {
    DataTypeMethods methods = {
        .version = DATA_TYPE_METHODS_VERSION,
        .rdb_load = load,
        .rdb_save = save_rdb,
        .aof_rewrite = rewrite_aof,
        .mem_usage = memory_usage,
        .digest = digest,
        .free = shared_free,
        .free_effort = shared_free_effort,
        .copy = shared_copy,
    };
    return server.CreateDataType(ctx, name, ENCODING_VERSION, &methods); /* copies the table */
}

bool program_key_register(Context *ctx) {
    types[PROGRAM_MODEL] = create_type(ctx, "AI__MODEL", load_model_rdb);
    types[PROGRAM_SCRIPT] = create_type(ctx, "AI_SCRIPT", load_script_rdb);
    return types[PROGRAM_MODEL] != NULL && types[PROGRAM_SCRIPT] != NULL;
}

struct program *program_key_value(Key *key, enum program_kind kind) {
    return server.ModuleTypeGetType(key) == types[kind] ? server.ModuleTypeGetValue(key) : NULL;
}

bool program_key_open(Context *ctx, String *name, enum program_kind kind, int mode, Key **key,
                      struct program **program) {
    *key = server.OpenKey(ctx, name, mode); /* NULL for an empty key that is only to be read */
    *program = program_key_value(*key, kind);
    if (*program != NULL || server.KeyType(*key) == KEY_TYPE_EMPTY) return true;
    server.CloseKey(*key);
    return false;
}

void program_key_set(Key *key, struct program *program) {
    server.ModuleTypeSetValue(key, types[program->kind], program);
}
