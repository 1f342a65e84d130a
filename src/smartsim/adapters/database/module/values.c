#include "values.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const invalid_value = "ERR invalid value";

/* Elements lie in a blob at any address: they are read and written with memcpy. */
#define STORE(ctype, value, to) memcpy(to, &(ctype){(ctype)(value)}, sizeof(ctype))

static const char *parse_floating(enum element_type type, const String *word, char *to) {
    size_t len;
    const char *text = server.StringPtrLen(word, &len); /* the server ends every string with a NUL */
    char *end;
    if (len == 0 || isspace((unsigned char)text[0])) return invalid_value;
    errno = 0;
    double value;
    if (type == ELEMENT_FLOAT) {
        const float single = strtof(text, &end);
        STORE(float, single, to);
        value = (double)single;
    } else {
        value = strtod(text, &end);
        STORE(double, value, to);
    }
    /* ERANGE is also raised for what is too small; that rounds to the nearest value, as it should. */
    if (end != text + len || (errno == ERANGE && isinf(value))) return invalid_value;
    return NULL;
}

static const char *parse_integer(enum element_type type, const String *word, char *to) {
    static const struct {
        long long least, most;
    } range[ELEMENT_TYPES] = {
        [ELEMENT_INT8] = {INT8_MIN, INT8_MAX},    [ELEMENT_INT16] = {INT16_MIN, INT16_MAX},
        [ELEMENT_INT32] = {INT32_MIN, INT32_MAX}, [ELEMENT_INT64] = {INT64_MIN, INT64_MAX},
        [ELEMENT_UINT8] = {0, UINT8_MAX},         [ELEMENT_UINT16] = {0, UINT16_MAX},
        [ELEMENT_BOOL] = {INT64_MIN, INT64_MAX},
    };
    long long value;
    if (server.StringToLongLong(word, &value) != MODULE_OK) return invalid_value;
    if (value < range[type].least || value > range[type].most) return invalid_value;
    switch (elements[type].size) {
    case 8: STORE(int64_t, value, to); break;
    case 4: STORE(int32_t, value, to); break;
    case 2: STORE(uint16_t, value, to); break; /* the same bits for INT16 and UINT16 */
    default:
        if (type == ELEMENT_BOOL && value != 0 && value != 1) return "ERR BOOL tensor elements must be 0 or 1";
        STORE(uint8_t, value, to);
    }
    return NULL;
}

static const char *parse_numbers(enum element_type type, String **words, size_t count, char *to) {
    const bool floating = type == ELEMENT_FLOAT || type == ELEMENT_DOUBLE;
    const char *error = NULL;
    for (size_t i = 0; i < count && error == NULL; i++, to += elements[type].size) {
        error = floating ? parse_floating(type, words[i], to) : parse_integer(type, words[i], to);
    }
    return error;
}

/* The text of a STRING element without the final NUL it may have. */
static const char *element_text(const String *word, size_t *len) {
    const char *text = server.StringPtrLen(word, len);
    if (*len > 0 && text[*len - 1] == '\0') --*len;
    return text;
}

static const char *measure_strings(String **words, size_t count, size_t *total) {
    *total = 0;
    for (size_t i = 0; i < count; i++) {
        size_t len;
        const char *text = element_text(words[i], &len);
        if (memchr(text, '\0', len) != NULL) return "ERR C-string value contains null character";
        *total += len + 1;
    }
    return NULL;
}

static void store_strings(String **words, size_t count, char *to) {
    for (size_t i = 0; i < count; i++) {
        size_t len;
        const char *text = element_text(words[i], &len);
        memcpy(to, text, len);
        to[len] = '\0';
        to += len + 1;
    }
}

const char *values_parse(enum element_type type, String **words, size_t count, char **data, size_t *len) {
    *len = count * elements[type].size;
    if (type == ELEMENT_STRING) {
        const char *error = measure_strings(words, count, len);
        if (error != NULL) return error;
    }
    *data = server.Alloc(*len);
    if (type == ELEMENT_STRING) {
        store_strings(words, count, *data);
        return NULL;
    }
    const char *error = parse_numbers(type, words, count, *data);
    if (error != NULL) server.Free(*data);
    return error;
}

static void reply_element(Context *ctx, enum element_type type, const char *from) {
    union {
        float f4;
        double f8;
        int8_t i1;
        int16_t i2;
        int32_t i4;
        int64_t i8;
        uint8_t u1;
        uint16_t u2;
    } element;
    memcpy(&element, from, elements[type].size);
    switch (type) {
    case ELEMENT_FLOAT: server.ReplyWithDouble(ctx, (double)element.f4); break;
    case ELEMENT_DOUBLE: server.ReplyWithDouble(ctx, element.f8); break;
    case ELEMENT_INT8: server.ReplyWithLongLong(ctx, element.i1); break;
    case ELEMENT_INT16: server.ReplyWithLongLong(ctx, element.i2); break;
    case ELEMENT_INT32: server.ReplyWithLongLong(ctx, element.i4); break;
    case ELEMENT_INT64: server.ReplyWithLongLong(ctx, element.i8); break;
    case ELEMENT_UINT16: server.ReplyWithLongLong(ctx, element.u2); break;
    default: server.ReplyWithLongLong(ctx, element.u1);
    }
}

void values_reply(Context *ctx, const struct tensor *tensor) {
    const char *from = tensor_data(tensor, NULL);
    server.ReplyWithArray(ctx, (long)tensor->len);
    for (size_t i = 0; i < tensor->len; i++) {
        if (tensor->type == ELEMENT_STRING) {
            const size_t text_len = strlen(from); /* every element was checked to end with a NUL */
            server.ReplyWithStringBuffer(ctx, from, text_len);
            from += text_len + 1;
        } else {
            reply_element(ctx, tensor->type, from);
            from += elements[tensor->type].size;
        }
    }
}
