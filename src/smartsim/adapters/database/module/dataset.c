#include "dataset.h"

#include <stdio.h>
#include <string.h>

static const char suffix[] = ".meta";
enum { SUFFIX_LEN = sizeof suffix - 1, STRINGS = 7, LENGTH_BYTES = 8, LONGEST_NUMBER = 20 };

/* --- Keys --- */

bool dataset_stem(const String *meta, size_t *len) {
    const char *key = server.StringPtrLen(meta, len);
    if (*len < SUFFIX_LEN || memcmp(key + *len - SUFFIX_LEN, suffix, SUFFIX_LEN) != 0) return false;
    *len -= SUFFIX_LEN;
    return true;
}

bool dataset_stems_overlap(const String *meta, const String *other) {
    size_t len, other_len;
    const char *key = server.StringPtrLen(meta, NULL);
    const char *other_key = server.StringPtrLen(other, NULL);
    if (!dataset_stem(meta, &len) || !dataset_stem(other, &other_len)) return false;
    const size_t shorter = len < other_len ? len : other_len;
    return memcmp(key, other_key, shorter) == 0 && key[shorter] == '.' && other_key[shorter] == '.';
}

bool dataset_in_one_slot(const String *meta) {
    size_t len;
    const char *key = server.StringPtrLen(meta, NULL);
    if (!dataset_stem(meta, &len)) return false;
    const char *open = memchr(key, '{', len);
    const char *close = open == NULL ? NULL : memchr(open, '}', (size_t)(key + len - open));
    return close != NULL && close > open + 1; /* the server does not look into an empty pair */
}

/* What is left of the names. */
struct rest {
    const char *next, *end;
};

/* Take the next name. Returns false at the end, or where there is none. */
static bool next_name(struct rest *rest, const char **name, size_t *len) {
    const size_t left = (size_t)(rest->end - rest->next);
    if (left < LENGTH_BYTES) return false;
    uint64_t length = 0;
    for (int i = LENGTH_BYTES; i-- > 0;) length = length << 8 | (unsigned char)rest->next[i];
    if (length > left - LENGTH_BYTES) return false;
    *name = rest->next + LENGTH_BYTES;
    *len = (size_t)length;
    rest->next = *name + length;
    return true;
}

bool dataset_keys(const String *meta, const String *names, struct strings *keys) {
    size_t stem, len, name_len;
    const char *name;
    *keys = (struct strings){NULL, 0};
    if (!dataset_stem(meta, &stem)) return false;
    if (names == NULL) return true;
    const char *data = server.StringPtrLen(names, &len);
    if (len == 0 || data[0] != STRINGS) return false;
    const struct rest all = {data + 1, data + len};
    struct rest rest = all;
    size_t count = 0;
    while (next_name(&rest, &name, &name_len)) count++;
    if (rest.next != rest.end) return false;
    if (count == 0) return true;

    char *key = server.Alloc(stem + 1 + len); /* no name is longer */
    memcpy(key, server.StringPtrLen(meta, NULL), stem);
    key[stem] = '.';
    keys->items = server.Alloc(count * sizeof *keys->items);
    for (rest = all; next_name(&rest, &name, &name_len);) {
        memcpy(key + stem + 1, name, name_len);
        keys->items[keys->len++] = server.CreateString(NULL, key, stem + 1 + name_len);
    }
    server.Free(key);
    return true;
}

/* --- Tensors out of layouts and blobs --- */

void tensors_free(struct tensors *tensors) {
    for (size_t i = 0; i < tensors->len; i++) tensor_release(tensors->items[i]);
    server.Free(tensors->items);
    *tensors = (struct tensors){NULL, 0};
}

/* A number behind a space. Returns where it ends, NULL if it is none. */
static const char *parse_dim(const char *text, const char *end, long long *dim) {
    const char *digit = text + 1;
    for (*dim = 0; digit < end && *digit >= '0' && *digit <= '9'; digit++) {
        if (__builtin_mul_overflow(*dim, 10, dim) || __builtin_add_overflow(*dim, *digit - '0', dim)) return NULL;
    }
    return digit > text + 1 && (digit == end || *digit == ' ') ? digit : NULL;
}

/* Make a tensor without a blob of one layout. Returns NULL with the error set if it is none. */
static struct tensor *parse_layout(const char *text, const char *end, const char **error) {
    const char *space = memchr(text, ' ', (size_t)(end - text));
    enum element_type type;
    *error = "ERR invalid data type";
    if (!tensor_type_parse(text, (size_t)((space == NULL ? end : space) - text), &type)) return NULL;
    if (type == ELEMENT_STRING) return NULL; /* how many bytes it takes is not in the layout */
    size_t ndims = 0;
    for (const char *letter = text; letter < end; letter++) ndims += *letter == ' ';
    struct tensor *tensor = tensor_new(type, ndims);
    const char *next = space;
    for (size_t i = 0; i < ndims && next != NULL; i++) next = parse_dim(next, end, &tensor->dims[i]);
    *error = NULL;
    if ((ndims == 0 || next == end) && tensor_measure(tensor)) return tensor;
    *error = "ERR invalid or negative value found in tensor shape";
    tensor_release(tensor);
    return NULL;
}

/* Where the bytes of the next tensor are. */
struct place {
    String **blobs;
    size_t count, blob, start;
};

static size_t blob_len(const struct place *place) {
    size_t len = 0;
    if (place->blob < place->count) server.StringPtrLen(place->blobs[place->blob], &len);
    return len;
}

static const char *fill(struct tensor *tensor, struct place *place) {
    static const char *const wrong_length = "ERR data length does not match tensor shape and type";
    const size_t size = tensor_size(tensor);
    if (place->start > 0 && place->start == blob_len(place)) {
        place->blob++;
        place->start = 0;
    }
    if (size > blob_len(place) - place->start) return wrong_length;
    const size_t start = place->start;
    place->start += size;
    return tensor_take_part(tensor, server.HoldString(NULL, place->blobs[place->blob]), start);
}

const char *dataset_parse_tensors(const String *layouts, String **blobs, size_t blob_count, struct tensors *tensors) {
    size_t len;
    const char *next = server.StringPtrLen(layouts, &len);
    const char *end = next + len;
    const char *error = NULL;
    size_t count = 1;
    for (const char *letter = next; letter < end; letter++) count += *letter == ',';
    struct place place = {blobs, blob_count, 0, 0};
    *tensors = (struct tensors){server.Alloc(count * sizeof *tensors->items), 0};
    while (error == NULL && tensors->len < count) {
        const char *comma = tensors->len + 1 < count ? memchr(next, ',', (size_t)(end - next)) : end;
        struct tensor *tensor = parse_layout(next, comma, &error);
        if (tensor == NULL) break;
        tensors->items[tensors->len++] = tensor;
        error = fill(tensor, &place);
        next = comma + 1;
    }
    if (error == NULL && (place.blob + 1 != blob_count || place.start != blob_len(&place))) {
        error = "ERR there are more bytes than the tensors take";
    }
    if (error != NULL) tensors_free(tensors);
    return error;
}

/* --- Tensors into layouts and blobs --- */

/* How many of the tensors, from the first on, follow one another in one blob. */
static size_t count_neighbours(struct tensor *const *tensors, size_t len) {
    size_t count = 1;
    for (; count < len; count++) {
        const struct tensor *previous = tensors[count - 1];
        const struct tensor *next = tensors[count];
        if (next->blob != previous->blob || next->start != previous->start + previous->size) break;
    }
    return count;
}

size_t dataset_count_blobs(struct tensor *const *tensors, size_t len) {
    size_t blobs = 0;
    for (size_t i = 0; i < len; blobs++) i += count_neighbours(tensors + i, len - i);
    return blobs;
}

/* A blob that holds nothing else is sent out of its place. */
static void reply_neighbours(Context *ctx, struct tensor *const *tensors, size_t count) {
    const struct tensor *last = tensors[count - 1];
    const size_t start = tensors[0]->start;
    const size_t size = last->start + last->size - start;
    size_t len;
    const char *data = server.StringPtrLen(last->blob, &len);
    if (size == len) {
        server.ReplyWithString(ctx, last->blob);
    } else {
        server.ReplyWithStringBuffer(ctx, data + start, size);
    }
}

static void reply_layouts(Context *ctx, struct tensor *const *tensors, size_t len) {
    size_t room = 1;
    for (size_t i = 0; i < len; i++) room += elements[tensors[i]->type].name_len + 1 + tensors[i]->ndims * LONGEST_NUMBER;
    char *text = server.Alloc(room);
    char *next = text;
    for (size_t i = 0; i < len; i++) {
        const struct tensor *tensor = tensors[i];
        if (i > 0) *next++ = ',';
        memcpy(next, elements[tensor->type].name, elements[tensor->type].name_len);
        next += elements[tensor->type].name_len;
        for (size_t j = 0; j < tensor->ndims; j++) next += sprintf(next, " %lld", tensor->dims[j]);
    }
    server.ReplyWithStringBuffer(ctx, text, (size_t)(next - text));
    server.Free(text);
}

void dataset_reply_tensors(Context *ctx, struct tensor *const *tensors, size_t len) {
    reply_layouts(ctx, tensors, len);
    for (size_t i = 0, count; i < len; i += count) {
        count = count_neighbours(tensors + i, len - i);
        reply_neighbours(ctx, tensors + i, count);
    }
}
