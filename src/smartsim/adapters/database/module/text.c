#include "text.h"

#include <string.h>
#include <strings.h>

bool text_is(const String *text, const char *keyword, size_t len) {
    size_t text_len;
    const char *data = server.StringPtrLen(text, &text_len);
    return text_len == len && strncasecmp(data, keyword, len) == 0;
}

bool text_same(const String *one, const String *other) {
    size_t one_len, other_len;
    const char *one_data = server.StringPtrLen(one, &one_len);
    const char *other_data = server.StringPtrLen(other, &other_len);
    return one_len == other_len && memcmp(one_data, other_data, one_len) == 0;
}

/* FNV-1a, 64 bits: https://www.ietf.org/archive/id/draft-eastlake-fnv-21.html */
uint64_t bytes_hash(uint64_t hash, const void *data, size_t len) {
    const unsigned char *bytes = data;
    if (hash == 0) hash = 14695981039346656037U;
    for (size_t i = 0; i < len; i++) hash = (hash ^ bytes[i]) * 1099511628211U;
    return hash;
}

uint64_t text_hash(uint64_t hash, const String *text) {
    size_t len;
    const char *data = server.StringPtrLen(text, &len);
    hash = bytes_hash(hash, &len, sizeof len);
    return bytes_hash(hash, data, len);
}

struct strings strings_hold(String *const *items, size_t len) {
    if (len == 0) return (struct strings){NULL, 0};
    struct strings strings = {server.Alloc(len * sizeof *strings.items), len};
    for (size_t i = 0; i < len; i++) strings.items[i] = server.HoldString(NULL, items[i]);
    return strings;
}

void strings_free(struct strings *strings) {
    for (size_t i = 0; i < strings->len; i++) server.FreeString(NULL, strings->items[i]);
    server.Free(strings->items);
    *strings = (struct strings){NULL, 0};
}

bool strings_same(const struct strings *one, const struct strings *other) {
    if (one->len != other->len) return false;
    for (size_t i = 0; i < one->len; i++) {
        if (!text_same(one->items[i], other->items[i])) return false;
    }
    return true;
}
