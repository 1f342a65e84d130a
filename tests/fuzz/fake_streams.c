/* What the fake server makes of values: RDB, AOF, digests. */
#include <string.h>

#include "fake_parts.h"

struct Digest {
    uint64_t sum;
};

/* --- RDB --- */

static void append(Stream *rdb, const void *data, size_t len) {
    const size_t total = rdb->len + len;
    if (total > rdb->capacity) {
        rdb->capacity = 2 * total;
        rdb->data = realloc(rdb->data, rdb->capacity);
        CHECK(rdb->data != NULL);
    }
    memcpy(rdb->data + rdb->len, data, len);
    rdb->len = total;
}

static void append_number(Stream *rdb, uint64_t number, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) append(rdb, &(unsigned char){(unsigned char)(number >> (8 * i))}, 1);
}

void fake_SaveUnsigned(Stream *rdb, uint64_t number) { append_number(rdb, number, 8); }

void fake_SaveStringBuffer(Stream *rdb, const char *data, size_t len) {
    append_number(rdb, len, 4);
    append(rdb, data, len);
}

void fake_SaveString(Stream *rdb, String *string) { fake_SaveStringBuffer(rdb, string->data, string->len); }

/* The next bytes, or NULL if they are not there. After that nothing is. */
static const char *next_bytes(Stream *rdb, size_t len) {
    rdb->failed = rdb->failed || len > rdb->len - rdb->position;
    if (rdb->failed) return NULL;
    rdb->position += len;
    return rdb->data + rdb->position - len;
}

static uint64_t next_number(Stream *rdb, size_t bytes) {
    const char *data = next_bytes(rdb, bytes);
    uint64_t number = 0;
    for (size_t i = 0; data != NULL && i < bytes; i++) number |= (uint64_t)(unsigned char)data[i] << (8 * i);
    return number;
}

uint64_t fake_LoadUnsigned(Stream *rdb) { return next_number(rdb, 8); }
int fake_IsIOError(Stream *rdb) { return rdb->failed; }

static const char *next_string(Stream *rdb, size_t *len) {
    *len = next_number(rdb, 4);
    return next_bytes(rdb, *len);
}

char *fake_LoadStringBuffer(Stream *rdb, size_t *len) {
    const char *data = next_string(rdb, len);
    return data == NULL ? NULL : memcpy(fake_Alloc(*len), data, *len);
}

String *fake_LoadString(Stream *rdb) {
    size_t len;
    const char *data = next_string(rdb, &len);
    return data == NULL ? NULL : fake_string(data, len);
}

void fake_LogIOError(Stream *rdb, const char *level, const char *format, ...) { (void)rdb, (void)level, (void)format; }

void fake_save(const DataType *type, void *value, Stream *rdb) { type->methods.rdb_save(rdb, value); }

void *fake_load(const DataType *type, Stream *rdb) {
    CHECK(type->methods.rdb_load(rdb, type->encoding_version + 1) == NULL);
    void *value = type->methods.rdb_load(rdb, type->encoding_version);
    CHECK(value == NULL || !rdb->failed);
    return value;
}

/* --- AOF --- */

static struct fake_command emitted;

void fake_EmitAOF(Stream *aof, const char *command, const char *format, ...) {
    (void)aof;
    CHECK(emitted.argv == NULL);
    va_list arguments;
    va_start(arguments, format);
    emitted = fake_format(command, format, arguments);
    va_end(arguments);
}

struct fake_command fake_rewrite(const struct fake_entry *entry) {
    emitted = (struct fake_command){0};
    entry->type->methods.aof_rewrite(NULL, entry->name, entry->value);
    CHECK(emitted.argv != NULL);
    emitted.db = entry->db;
    return emitted;
}

/* --- Digests --- */

void fake_DigestAddStringBuffer(Digest *digest, const char *data, size_t len) {
    for (size_t i = 0; i < len; i++) digest->sum = (digest->sum ^ (unsigned char)data[i]) * 1099511628211U;
    digest->sum = (digest->sum ^ len) * 1099511628211U;
}

void fake_DigestAddLongLong(Digest *digest, long long number) {
    fake_DigestAddStringBuffer(digest, (const char *)&number, sizeof number);
}

void fake_DigestEndSequence(Digest *digest) { digest->sum *= 1099511628211U; }

uint64_t fake_digest(const DataType *type, void *value) {
    Digest digest = {14695981039346656037U};
    if (type == NULL) {
        fake_DigestAddStringBuffer(&digest, ((String *)value)->data, ((String *)value)->len);
        return digest.sum;
    }
    type->methods.digest(&digest, value);
    CHECK(type->methods.mem_usage(value) > 0 && type->methods.free_effort(NULL, value) > 0);
    return digest.sum;
}

/* The same in any order of the keys. */
uint64_t fake_digest_all(enum fake_keyspace keyspace) {
    uint64_t sum = 0;
    for (const struct fake_entry *entry = fake_entries(keyspace); entry != NULL; entry = entry->next) {
        Digest digest = {fake_digest(entry->type, entry->value)};
        fake_DigestAddStringBuffer(&digest, entry->name->data, entry->name->len);
        fake_DigestAddLongLong(&digest, entry->db);
        sum += digest.sum;
    }
    return sum;
}
