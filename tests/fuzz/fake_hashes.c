/* The fake server's hashes, each in one string: of each field and each value its length (4 bytes) and its bytes. */
#include <string.h>

#include "fake_parts.h"

static const char *next_text(const String *hash, size_t *position, size_t *len) {
    uint32_t length;
    CHECK(hash->len - *position >= sizeof length);
    memcpy(&length, hash->data + *position, sizeof length);
    *position += sizeof length + length;
    CHECK(*position <= hash->len);
    *len = length;
    return hash->data + *position - length;
}

bool fake_next_field(const String *hash, size_t *position, struct fake_field *field) {
    if (*position == hash->len) return false;
    field->field = next_text(hash, position, &field->field_len);
    field->value = next_text(hash, position, &field->value_len);
    return true;
}

String *fake_find_field(const String *hash, const String *name) {
    struct fake_field field;
    for (size_t position = 0; fake_next_field(hash, &position, &field);) {
        if (field.field_len == name->len && memcmp(field.field, name->data, name->len) == 0) {
            return fake_string(field.value, field.value_len);
        }
    }
    return NULL;
}

static size_t append_text(char *to, const char *data, size_t len) {
    const uint32_t length = (uint32_t)len;
    memcpy(to, &length, sizeof length);
    memcpy(to + sizeof length, data, len);
    return sizeof length + len;
}

String *fake_with_field(const String *hash, const String *name, const String *value) {
    const size_t room = (hash == NULL ? 0 : hash->len) + 2 * sizeof(uint32_t) + name->len + value->len;
    char *data = malloc(room);
    size_t len = 0;
    struct fake_field field;
    for (size_t position = 0; hash != NULL && fake_next_field(hash, &position, &field);) {
        if (field.field_len == name->len && memcmp(field.field, name->data, name->len) == 0) continue;
        len += append_text(data + len, field.field, field.field_len);
        len += append_text(data + len, field.value, field.value_len);
    }
    len += append_text(data + len, name->data, name->len);
    len += append_text(data + len, value->data, value->len);
    String *made = fake_string(data, len);
    free(data);
    return made;
}
