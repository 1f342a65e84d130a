/* The fake server's databases and keys. */
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
    const struct client *client = key->ctx->client;
    CHECK(key->mode & KEY_WRITE && fake_open_keys == 1 && value != NULL && !fake_is_read_only(client));
    fake_put(client->keyspace, client->db, key->name, type, value);
    key->entry = fake_find(client->keyspace, client->db, key->name);
    return MODULE_OK;
}

int fake_DeleteKey(Key *key) {
    CHECK(key->mode & KEY_WRITE && fake_open_keys == 1 && !fake_is_read_only(key->ctx->client));
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
