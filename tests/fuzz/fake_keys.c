/* The fake server's keys: databases, RDB, AOF, digests. */
#include <pthread.h>
#include <string.h>
#include <strings.h>

#include "fake_parts.h"

struct Key {
    Context *ctx;
    String *name;
    int mode;
    struct fake_entry *entry; /* NULL while it is empty */
};

struct Digest {
    uint64_t sum;
};

struct ScanCursor {
    size_t position;
};

static struct fake_entry *keyspaces[FAKE_KEYSPACES];
size_t fake_open_keys;

/* --- Databases --- */

static bool same_text(const String *one, const String *other) {
    return one->len == other->len && memcmp(one->data, other->data, one->len) == 0;
}

struct fake_entry *fake_entries(enum fake_keyspace keyspace) { return keyspaces[keyspace]; }

struct fake_entry *fake_find(enum fake_keyspace keyspace, int db, const String *name) {
    struct fake_entry *entry = keyspaces[keyspace];
    while (entry != NULL && !(entry->db == db && same_text(entry->name, name))) entry = entry->next;
    return entry;
}

void fake_free(const DataType *type, void *value) {
    if (type != NULL) {
        type->methods.free(value);
    } else {
        fake_FreeString(NULL, value);
    }
}

void fake_delete(enum fake_keyspace keyspace, int db, const String *name) {
    struct fake_entry *entry = fake_find(keyspace, db, name);
    if (entry == NULL) return;
    struct fake_entry **link = &keyspaces[keyspace];
    while (*link != entry) link = &(*link)->next;
    *link = entry->next;
    fake_free(entry->type, entry->value);
    fake_FreeString(NULL, entry->name);
    free(entry);
}

void fake_put(enum fake_keyspace keyspace, int db, String *name, const DataType *type, void *value) {
    fake_delete(keyspace, db, name);
    struct fake_entry *entry = malloc(sizeof *entry);
    CHECK(entry != NULL);
    *entry = (struct fake_entry){keyspaces[keyspace], db, fake_string(name->data, name->len), type, value, false};
    keyspaces[keyspace] = entry;
}

void fake_clear(enum fake_keyspace keyspace) {
    while (keyspaces[keyspace] != NULL) fake_delete(keyspace, keyspaces[keyspace]->db, keyspaces[keyspace]->name);
}

/* --- The server's own commands --- */

static void *free_values(void *list) {
    for (struct fake_entry *entry = list; entry != NULL; entry = entry->next) {
        if (entry->type != NULL) entry->type->methods.free(entry->value);
    }
    return NULL;
}

/* As FLUSHALL ASYNC does: values are freed by another thread. */
static void flush_all(enum fake_keyspace keyspace) {
    struct fake_entry *list = keyspaces[keyspace];
    keyspaces[keyspace] = NULL;
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, free_values, list) == 0 && pthread_join(thread, NULL) == 0);
    for (struct fake_entry *entry = list, *next; entry != NULL; entry = next) {
        next = entry->next;
        if (entry->type == NULL) fake_FreeString(NULL, entry->value);
        fake_FreeString(NULL, entry->name);
        free(entry);
    }
}

static void copy_key(enum fake_keyspace keyspace, int db, String *from, String *to) {
    const struct fake_entry *entry = fake_find(keyspace, db, from);
    if (entry == NULL || entry->type == NULL || fake_find(keyspace, db, to) != NULL) return;
    void *copy = entry->type->methods.copy(from, to, entry->value);
    CHECK(copy != NULL);
    fake_put(keyspace, db, to, entry->type, copy);
}

bool fake_run_own(struct client *client, String **argv, int argc) {
    const char *name = argv[0]->data;
    const int db = client->db;
    long long number;
    if (strcasecmp(name, "SELECT") == 0 && argc == 2) {
        if (fake_StringToLongLong(argv[1], &number) == MODULE_OK && number >= 0 && number < DATABASES) {
            client->db = (int)number;
        }
        return true;
    }
    for (enum fake_keyspace keyspace = FAKE_PRIMARY; keyspace <= FAKE_REPLICA; keyspace++) {
        if (strcasecmp(name, "DEL") == 0 && argc == 2) {
            fake_delete(keyspace, db, argv[1]);
        } else if (strcasecmp(name, "COPY") == 0 && argc == 3) {
            copy_key(keyspace, db, argv[1], argv[2]);
        } else if (strcasecmp(name, "SET") == 0 && argc == 3) {
            fake_put(keyspace, db, argv[1], NULL, fake_string(argv[2]->data, argv[2]->len));
        } else if (strcasecmp(name, "FLUSHALL") == 0) {
            flush_all(keyspace);
        } else {
            return false;
        }
    }
    return true;
}

/* --- Open keys --- */

/* The positions that the module told of are all that access control lists see. */
static bool may_open(const Context *ctx, const String *name, int mode) {
    if (ctx->command != NULL && mode & KEY_WRITE && strstr(ctx->command->flags, "readonly") != NULL) return false;
    if (ctx->is_key == NULL) return true;
    for (int i = 1; i < ctx->argc; i++) {
        if (ctx->is_key[i] && same_text(ctx->argv[i], name)) return true;
    }
    return false;
}

Key *fake_OpenKey(Context *ctx, String *name, int mode) {
    CHECK(!ctx->asking_keys && may_open(ctx, name, mode));
    struct fake_entry *entry = fake_find(ctx->client->keyspace, ctx->client->db, name);
    if (entry == NULL && !(mode & KEY_WRITE)) return NULL;
    Key *key = malloc(sizeof *key);
    CHECK(key != NULL);
    *key = (struct Key){ctx, fake_HoldString(NULL, name), mode, entry};
    fake_open_keys++;
    return key;
}

void fake_CloseKey(Key *key) {
    if (key == NULL) return;
    fake_FreeString(NULL, key->name);
    free(key);
    fake_open_keys--;
}

int fake_KeyType(Key *key) {
    if (key == NULL || key->entry == NULL) return KEY_TYPE_EMPTY;
    return key->entry->type == NULL ? 1 : 6;
}

DataType *fake_ModuleTypeGetType(Key *key) {
    if (key == NULL || key->entry == NULL) return NULL;
    return (DataType *)(uintptr_t)key->entry->type;
}

void *fake_ModuleTypeGetValue(Key *key) {
    if (key == NULL || key->entry == NULL || key->entry->type == NULL) return NULL;
    return key->entry->value;
}

int fake_ModuleTypeSetValue(Key *key, DataType *type, void *value) {
    CHECK(key->mode & KEY_WRITE && fake_open_keys == 1 && value != NULL);
    const struct client *client = key->ctx->client;
    fake_put(client->keyspace, client->db, key->name, type, value);
    key->entry = fake_find(client->keyspace, client->db, key->name);
    return MODULE_OK;
}

int fake_DeleteKey(Key *key) {
    CHECK(key->mode & KEY_WRITE && fake_open_keys == 1);
    fake_delete(key->ctx->client->keyspace, key->ctx->client->db, key->name);
    key->entry = NULL;
    return MODULE_OK;
}

int fake_NotifyKeyspaceEvent(Context *ctx, int kind, const char *event, String *key) {
    CHECK(ctx->client != NULL && kind == NOTIFY_MODULE && event != NULL && key->references > 0);
    return MODULE_OK;
}

ScanCursor *fake_ScanCursorCreate(void) { return fake_Calloc(1, sizeof(struct ScanCursor)); }
void fake_ScanCursorDestroy(ScanCursor *cursor) { fake_Free(cursor); }

/* One key at a time. */
int fake_Scan(Context *ctx, ScanCursor *cursor, ScanFunction function, void *data) {
    struct fake_entry *entry = keyspaces[ctx->client->keyspace];
    for (size_t i = 0; entry != NULL && i < cursor->position; i++) entry = entry->next;
    if (entry == NULL) return 0;
    cursor->position++;
    if (entry->db == ctx->client->db) {
        struct Key key = {ctx, entry->name, KEY_READ, entry};
        function(ctx, entry->name, &key, data);
    }
    return entry->next != NULL;
}

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
    for (const struct fake_entry *entry = keyspaces[keyspace]; entry != NULL; entry = entry->next) {
        Digest digest = {fake_digest(entry->type, entry->value)};
        fake_DigestAddStringBuffer(&digest, entry->name->data, entry->name->len);
        fake_DigestAddLongLong(&digest, entry->db);
        sum += digest.sum;
    }
    return sum;
}
