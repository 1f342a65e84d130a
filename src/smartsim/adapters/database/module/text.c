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
