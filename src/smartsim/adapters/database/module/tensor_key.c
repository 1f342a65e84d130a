#include "tensor_key.h"

#include <pthread.h>
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
    server.SaveString(rdb, tensor->blob);
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
    tensor_discard(tensor);
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
    tensor_discard(tensor);
    return NULL;
}

/* --- AOF: the command that makes the same tensor. --- */

static void rewrite_aof(Stream *aof, String *key, void *value) {
    const struct tensor *tensor = value;
    String **dims = server.Alloc((tensor->ndims + 1) * sizeof *dims);
    for (size_t i = 0; i < tensor->ndims; i++) dims[i] = server.CreateStringFromLongLong(NULL, tensor->dims[i]);
    server.EmitAOF(aof, "AI.TENSORSET", "scvcs", key, elements[tensor->type].name, dims, tensor->ndims, "BLOB",
                   tensor->blob);
    for (size_t i = 0; i < tensor->ndims; i++) server.FreeString(NULL, dims[i]);
    server.Free(dims);
}

/* --- COPY, MEMORY USAGE, DEBUG DIGEST --- */

static void *copy(String *from, String *to, const void *value) {
    (void)from, (void)to;
    struct tensor *tensor = (struct tensor *)(uintptr_t)value; /* never changed but for the count */
    atomic_fetch_add_explicit(&tensor->owners, 1, memory_order_relaxed);
    return tensor;
}

static size_t blob_bytes(const struct tensor *tensor) {
    size_t len;
    server.StringPtrLen(tensor->blob, &len);
    return len;
}

static size_t memory_usage(const void *value) {
    const struct tensor *tensor = value;
    return sizeof *tensor + tensor->ndims * sizeof tensor->dims[0] + blob_bytes(tensor);
}

static void digest(Digest *md, void *value) {
    const struct tensor *tensor = value;
    size_t len;
    const char *data = server.StringPtrLen(tensor->blob, &len);
    server.DigestAddLongLong(md, (long long)tensor->type);
    for (size_t i = 0; i < tensor->ndims; i++) server.DigestAddLongLong(md, tensor->dims[i]);
    server.DigestAddStringBuffer(md, data, len);
    server.DigestEndSequence(md);
}

/* --- Freeing ---
 *
 * The server frees keys on its main thread, but after FLUSHALL ASYNC on another one. A blob may then still be
 * part of a reply that the main thread is sending, and the server's strings are not counted atomically: only the
 * main thread may drop them. So other threads queue what they free, and each beat of the server's clock frees a
 * bounded share of the queue. */

enum { FREED_PER_BEAT = 256 << 20, COST_OF_ONE = 1 << 10 }; /* bytes; about 20 ms */

static pthread_t main_thread;
static _Atomic(struct tensor *) released; /* by other threads */
static struct tensor *queue;              /* taken over by the main thread */

static void release(void *value) {
    struct tensor *tensor = value;
    if (atomic_fetch_sub_explicit(&tensor->owners, 1, memory_order_acq_rel) > 1) return;
    if (pthread_equal(pthread_self(), main_thread)) {
        tensor_discard(tensor);
        return;
    }
    tensor->next = atomic_load_explicit(&released, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&released, &tensor->next, tensor, memory_order_release,
                                                  memory_order_relaxed)) {
    }
}

static void free_released(Context *ctx, Event event, uint64_t subevent, void *data) {
    (void)ctx, (void)event, (void)subevent, (void)data;
    size_t freed = 0;
    while (freed < FREED_PER_BEAT) {
        if (queue == NULL) queue = atomic_exchange_explicit(&released, NULL, memory_order_acquire);
        if (queue == NULL) return;
        struct tensor *tensor = queue;
        queue = tensor->next;
        freed += blob_bytes(tensor) + COST_OF_ONE;
        tensor_discard(tensor);
    }
}

/* Two frees, whatever the size. */
static size_t free_effort(String *key, const void *value) {
    (void)key, (void)value;
    return 1;
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
        .free = release,
        .free_effort = free_effort,
        .copy = copy,
    };
    const Event beat = {EVENT_CRON_LOOP, EVENT_CRON_LOOP_VERSION};
    main_thread = pthread_self();
    tensor_type = server.CreateDataType(ctx, "AI_TENSOR", ENCODING_VERSION, &methods);
    return tensor_type != NULL && server.SubscribeToServerEvent(ctx, beat, free_released) == MODULE_OK;
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
    server.ModuleTypeSetValue(key, tensor_type, tensor);
}
