#include "tensor.h"

#include <limits.h>
#include <strings.h>

#include "values.h"

#define ELEMENT(name, size) {name, sizeof(name) - 1, size}
const struct element elements[ELEMENT_TYPES] = {
    [ELEMENT_FLOAT] = ELEMENT("FLOAT", 4),   [ELEMENT_DOUBLE] = ELEMENT("DOUBLE", 8),
    [ELEMENT_INT8] = ELEMENT("INT8", 1),     [ELEMENT_INT16] = ELEMENT("INT16", 2),
    [ELEMENT_INT32] = ELEMENT("INT32", 4),   [ELEMENT_INT64] = ELEMENT("INT64", 8),
    [ELEMENT_UINT8] = ELEMENT("UINT8", 1),   [ELEMENT_UINT16] = ELEMENT("UINT16", 2),
    [ELEMENT_BOOL] = ELEMENT("BOOL", 1),     [ELEMENT_STRING] = ELEMENT("STRING", 1),
};

/* The most a tensor made of nothing may take: what a BLOB may carry by default (proto-max-bulk-len), so that the
 * command that an AOF rewrite writes for it can be read again. The fuzz target takes less. */
#ifndef MAX_ZEROS
#define MAX_ZEROS ((size_t)512 << 20)
#endif

static void discard(struct shared *value) {
    struct tensor *tensor = (struct tensor *)value;
    if (tensor->blob != NULL) server.FreeString(NULL, tensor->blob);
    server.Free(tensor);
}

static unsigned long long last_number;

unsigned long long tensor_newest(void) { return last_number; }

struct tensor *tensor_new(enum element_type type, size_t ndims) {
    struct tensor *tensor = server.Alloc(sizeof *tensor + ndims * sizeof tensor->dims[0]);
    shared_init(&tensor->shared, discard);
    tensor->number = ++last_number;
    tensor->blob = NULL;
    tensor->start = tensor->size = 0;
    tensor->len = 0;
    tensor->type = type;
    tensor->ndims = ndims;
    return tensor;
}

void tensor_hold(struct tensor *tensor) {
    shared_hold(&tensor->shared);
}

void tensor_release(struct tensor *tensor) {
    shared_release(&tensor->shared);
}

bool tensor_measure(struct tensor *tensor) {
    const size_t size = elements[tensor->type].size;
    size_t bytes = size;
    for (size_t i = 0; i < tensor->ndims; i++) {
        const long long dim = tensor->dims[i];
        if (dim <= 0 || __builtin_mul_overflow(bytes, (size_t)dim, &bytes) || bytes > (size_t)LLONG_MAX) return false;
    }
    tensor->len = bytes / size;
    return true;
}

static const char *check_blob(const struct tensor *tensor, const char *data, size_t len) {
    if (tensor->type == ELEMENT_STRING) {
        size_t ends = 0;
        for (size_t i = 0; i < len; i++) ends += data[i] == '\0';
        if (ends == tensor->len && data[len - 1] == '\0') return NULL;
        return "ERR Number of string elements in data blob does not match tensor length";
    }
    if (len != tensor_size(tensor)) {
        return "ERR data length does not match tensor shape and type";
    }
    if (tensor->type == ELEMENT_BOOL) {
        unsigned char bits = 0;
        for (size_t i = 0; i < len; i++) bits |= (unsigned char)data[i];
        if (bits > 1) return "ERR BOOL tensor elements must be 0 or 1";
    }
    return NULL;
}

static void own_blob(struct tensor *tensor, String *blob) {
    server.StringPtrLen(blob, &tensor->size);
    tensor->shared.bytes = tensor->size;
    tensor->blob = blob;
}

const char *tensor_take_blob(struct tensor *tensor, String *blob) {
    own_blob(tensor, blob);
    return check_blob(tensor, tensor_data(tensor, NULL), tensor->size);
}

const char *tensor_take_part(struct tensor *tensor, String *blob, size_t start) {
    tensor->blob = blob;
    tensor->start = start;
    tensor->size = tensor->shared.bytes = tensor_size(tensor);
    return check_blob(tensor, tensor_data(tensor, NULL), tensor->size);
}

size_t tensor_size(const struct tensor *tensor) { return tensor->len * elements[tensor->type].size; }

/* The server may move the bytes of a string that the module holds, so where they are is asked for each time. */
const char *tensor_data(const struct tensor *tensor, size_t *len) {
    if (len != NULL) *len = tensor->size;
    return server.StringPtrLen(tensor->blob, NULL) + tensor->start;
}

bool tensor_is_alone(const struct tensor *tensor) {
    size_t len;
    server.StringPtrLen(tensor->blob, &len);
    return tensor->size == len;
}

static const char *set_blob(struct tensor *tensor, String **args, int count) {
    if (count != 1) return "ERR a single binary string should come after the BLOB argument in 'AI.TENSORSET' command";
    /* A large argument may sit in a far larger buffer of its connection; after the command the server itself trims
     * every argument that a module holds. */
    return tensor_take_blob(tensor, server.HoldString(NULL, args[0]));
}

static const char *set_values(struct tensor *tensor, String **args, int count) {
    if ((size_t)count != tensor->len) return "ERR wrong number of values was given in 'AI.TENSORSET' command";
    size_t len;
    char *data;
    const char *error = values_parse(tensor->type, args, (size_t)count, &data, &len);
    if (error != NULL) return error;
    own_blob(tensor, server.CreateString(NULL, data, len));
    server.Free(data);
    return NULL;
}

static const char *set_zeros(struct tensor *tensor) {
    const size_t len = tensor_size(tensor);
    if (len > MAX_ZEROS) return "ERR a tensor without BLOB or VALUES may take at most 512 MiB";
    char *data = server.Calloc(1, len);
    own_blob(tensor, server.CreateString(NULL, data, len));
    server.Free(data);
    return NULL;
}

bool tensor_type_parse(const char *name, size_t len, enum element_type *type) {
    for (*type = 0; *type < ELEMENT_TYPES; ++*type) {
        if (len == elements[*type].name_len && strncasecmp(name, elements[*type].name, len) == 0) return true;
    }
    return false;
}

struct tensor *tensor_parse(String **args, int count, const char **error) {
    enum element_type type;
    size_t name_len;
    const char *name = server.StringPtrLen(args[0], &name_len);
    if (!tensor_type_parse(name, name_len, &type)) {
        *error = "ERR invalid data type";
        return NULL;
    }
    int data = 1; /* where the dimensions end */
    bool blob = false;
    bool values = false;
    for (; data < count; data++) {
        blob = WORD_IS(args[data], "BLOB");
        values = WORD_IS(args[data], "VALUES");
        if (blob || values) break;
    }

    struct tensor *tensor = tensor_new(type, (size_t)data - 1);
    bool valid = true;
    for (int i = 1; i < data && valid; i++) {
        valid = server.StringToLongLong(args[i], &tensor->dims[i - 1]) == MODULE_OK;
    }
    if (!valid || !tensor_measure(tensor)) {
        *error = "ERR invalid or negative value found in tensor shape";
    } else if (blob) {
        *error = set_blob(tensor, args + data + 1, count - data - 1);
    } else if (values) {
        *error = set_values(tensor, args + data + 1, count - data - 1);
    } else {
        *error = set_zeros(tensor);
    }
    if (*error == NULL) return tensor;
    tensor_release(tensor);
    return NULL;
}

String **tensor_arguments(const struct tensor *tensor, String *key, size_t *len) {
    const struct element *element = &elements[tensor->type];
    String **arguments = server.Alloc((tensor->ndims + 4) * sizeof *arguments);
    String **next = arguments;
    *next++ = server.HoldString(NULL, key);
    *next++ = server.CreateString(NULL, element->name, element->name_len);
    for (size_t i = 0; i < tensor->ndims; i++) *next++ = server.CreateStringFromLongLong(NULL, tensor->dims[i]);
    *next++ = server.CreateString(NULL, "BLOB", 4);
    *next++ = tensor_is_alone(tensor) ? server.HoldString(NULL, tensor->blob)
                                      : server.CreateString(NULL, tensor_data(tensor, NULL), tensor->size);
    *len = (size_t)(next - arguments);
    return arguments;
}
