#include "errors.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *const error_wrong_type = "WRONGTYPE Operation against a key holding the wrong kind of value";
const char *const error_replica = "READONLY You can't write against a read only replica.";
const char *const error_late = "ERR timed out";

static char buffer[ERROR_LENGTH];

static void make_printable(char *text, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f) text[i] = ' ';
    }
}

const char *error_format(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(buffer, sizeof buffer, format, arguments);
    va_end(arguments);
    make_printable(buffer, strlen(buffer));
    return buffer;
}

const char *error_about(const char *text, const char *name, size_t len) {
    return error_format("%s %.*s", text, len > INT_MAX ? INT_MAX : (int)len, name);
}

const char *error_line(const char *data, size_t len) {
    const char *prefix = memchr(data, ' ', len) == NULL ? "ERR " : "";
    const size_t start = strlen(prefix);
    if (len > sizeof buffer - 1 - start) len = sizeof buffer - 1 - start;
    memmove(buffer + start, data, len);
    memcpy(buffer, prefix, start);
    buffer[start + len] = '\0';
    make_printable(buffer, start + len);
    return buffer;
}
