#include "tensor_key.h"

#include <string.h>

enum { ENCODING_VERSION = 1, DIM_BYTES = 8 };

static DataType *tensor_type;

/* --- RDB: one string with the type (1 byte) and the dimensions (8 bytes each, little endian), one with the blob. --- */

static void save_rdb(Stream *rdb, void *value) {
    const struct tensor *tensor = value;
    const size_t len = 1 + tensor->ndims * DIM_BYTES;
    unsigned char *header = server.Alloc(len);
    header[0] = (unsigned char)tensor->type;
    for (size_t i = 0; i < len - 1; i++) {
        const unsigned long long dim = (unsigned long long)tensor->dims[i / DIM_BYTES];
        header[1 + i] = (unsigned char)(dim >> (8 * (i % DIM_BYTES)));
    }
    server.SaveStringBuffer(rdb, (const char *)header, len);
    server.SaveStringBuffer(rdb, tensor_data(tensor, NULL), tensor->size);
    server.Free(header);
}

static struct tensor *decode_header(const unsigned char *header, size_t len) {
    if (len % DIM_BYTES != 1 || header[0] >= ELEMENT_TYPES) return NULL;
    struct tensor *tensor = tensor_new((enum element_type)header[0], (len - 1) / DIM_BYTES);
    memset(tensor->dims, 0, tensor->ndims * sizeof tensor->dims[0]);
    for (size_t i = 0; i < len - 1; i++) {
        const unsigned long long byte = header[1 + i];
        unsigned long long dim = (unsigned long long)tensor->dims[i / DIM_BYTES];
        dim |= byte << (8 * (i % DIM_BYTES));
        tensor->dims[i / DIM_BYTES] = (long long)dim;
    }
    if (tensor_measure(tensor)) return tensor;
    tensor_release(tensor);
    return NULL;
}

static void *load_rdb(Stream *rdb, int version) {
    if (version != ENCODING_VERSION) {
        server.LogIOError(rdb, "warning", "tensor saved by another version of this module (encoding %d)", version);
        return NULL;
    }
    size_t len;
    char *header = server.LoadStringBuffer(rdb, &len);
    if (header == NULL) return NULL;
    struct tensor *tensor = decode_header((const unsigned char *)header, len);
    server.Free(header);
    if (tensor == NULL) {
        server.LogIOError(rdb, "warning", "corrupt tensor: invalid type or shape");
        return NULL;
    }
    String *blob = server.LoadString(rdb);
    const char *error = blob == NULL ? "ERR truncated" : tensor_take_blob(tensor, blob);
    if (error == NULL) return tensor;
    server.LogIOError(rdb, "warning", "corrupt tensor: %s", error + strlen("ERR "));
    tensor_release(tensor);
    return NULL;
}

/* --- AOF: the command that makes the same tensor. --- */

static void rewrite_aof(Stream *aof, String *key, void *value) {
    size_t len;
    String **arguments = tensor_arguments(value, key, &len);
    server.EmitAOF(aof, "AI.TENSORSET", "v", arguments, len);
    for (size_t i = 0; i < len; i++) server.FreeString(NULL, arguments[i]);
    server.Free(arguments);
}

/* --- MEMORY USAGE, DEBUG DIGEST --- */

static size_t memory_usage(const void *value) {
    const struct tensor *tensor = value;
    return sizeof *tensor + tensor->ndims * sizeof tensor->dims[0] + tensor->shared.bytes;
}

static void digest(Digest *md, void *value) {
    const struct tensor *tensor = value;
    size_t len;
    const char *data = tensor_data(tensor, &len);
    server.DigestAddLongLong(md, (long long)tensor->type);
    for (size_t i = 0; i < tensor->ndims; i++) server.DigestAddLongLong(md, tensor->dims[i]);
    server.DigestAddStringBuffer(md, data, len);
    server.DigestEndSequence(md);
}

/* --- The type --- */

bool tensor_key_register(Context *ctx) {
    static DataTypeMethods methods = {
        .version = DATA_TYPE_METHODS_VERSION,
        .rdb_load = load_rdb,
        .rdb_save = save_rdb,
        .aof_rewrite = rewrite_aof,
        .mem_usage = memory_usage,
        .digest = digest,
        .free = shared_free,
        .free_effort = shared_free_effort,
        .copy = shared_copy,
    };
    tensor_type = server.CreateDataType(ctx, "AI_TENSOR", ENCODING_VERSION, &methods);
    return tensor_type != NULL;
}

bool tensor_key_open(Context *ctx, String *name, int mode, Key **key, struct tensor **tensor) {
    *key = server.OpenKey(ctx, name, mode); /* NULL for an empty key that is only to be read */
    *tensor = NULL;
    if (server.KeyType(*key) == KEY_TYPE_EMPTY) return true;
    if (server.ModuleTypeGetType(*key) == tensor_type) {
        *tensor = server.ModuleTypeGetValue(*key);
        return true;
    }
    server.CloseKey(*key);
    return false;
}

void tensor_key_set(Key *key, struct tensor *tensor) {
    void *old;
    if (server.ModuleTypeReplaceValue(key, tensor_type, tensor, &old) == MODULE_OK) { /* half the work of a new key */
        tensor_release(old);
        server.SetExpire(key, NO_EXPIRY);
    } else {
        server.ModuleTypeSetValue(key, tensor_type, tensor);
    }
}
