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

bool fake_same_text(const String *one, const String *other) {
    return one->len == other->len && memcmp(one->data, other->data, one->len) == 0;
}

struct fake_entry *fake_entries(enum fake_keyspace keyspace) { return keyspaces[keyspace]; }

struct fake_entry *fake_find(enum fake_keyspace keyspace, int db, const String *name) {
    struct fake_entry *entry = keyspaces[keyspace];
    while (entry != NULL && !(entry->db == db && fake_same_text(entry->name, name))) entry = entry->next;
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
    *entry = (struct fake_entry){
        keyspaces[keyspace], db, fake_string(name->data, name->len), type, FAKE_STRING, value, false};
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

static void put_plain(enum fake_keyspace keyspace, int db, String *name, enum fake_kind kind, String *value) {
    fake_put(keyspace, db, name, NULL, value);
    fake_find(keyspace, db, name)->kind = kind;
}

static void copy_key(enum fake_keyspace keyspace, int db, String *from, String *to) {
    const struct fake_entry *entry = fake_find(keyspace, db, from);
    if (entry == NULL || fake_find(keyspace, db, to) != NULL) return;
    if (entry->type == NULL) {
        const String *value = entry->value;
        put_plain(keyspace, db, to, entry->kind, fake_string(value->data, value->len));
        return;
    }
    void *copy = entry->type->methods.copy(from, to, entry->value);
    CHECK(copy != NULL);
    fake_put(keyspace, db, to, entry->type, copy);
}

bool fake_run_plain(enum fake_keyspace keyspace, int db, String **argv, int argc) {
    const char *name = argv[0]->data;
    if (strcmp(name, "UNLINK") == 0) {
        for (int i = 1; i < argc; i++) fake_delete(keyspace, db, argv[i]);
    } else if (strcmp(name, "COPY") == 0 || strcmp(name, "RENAME") == 0) {
        CHECK(argc == 3 && !fake_same_text(argv[1], argv[2]));
        if (*name == 'R' && fake_find(keyspace, db, argv[1]) != NULL) fake_delete(keyspace, db, argv[2]);
        copy_key(keyspace, db, argv[1], argv[2]);
        if (*name == 'R') fake_delete(keyspace, db, argv[1]);
    } else if (strcmp(name, "PEXPIREAT") != 0 && strcmp(name, "PERSIST") != 0) { /* keys do not expire */
        return false;
    }
    return true;
}

/* Add a byte to a list, or take one away. */
static void change_list(enum fake_keyspace keyspace, int db, String *name, bool add) {
    const struct fake_entry *entry = fake_find(keyspace, db, name);
    const String *list = entry == NULL ? NULL : entry->value;
    if (entry == NULL ? !add : entry->type != NULL || entry->kind != FAKE_LIST) return;
    const size_t len = (list == NULL ? 0 : list->len) + (add ? 1 : 0) - (add ? 0 : 1);
    char *data = calloc(len + 1, 1);
    if (len == 0) {
        fake_delete(keyspace, db, name);
    } else {
        put_plain(keyspace, db, name, FAKE_LIST, fake_string(data, len));
    }
    free(data);
}

static void set_field(enum fake_keyspace keyspace, int db, String *name, const String *field, const String *value) {
    const struct fake_entry *entry = fake_find(keyspace, db, name);
    if (entry != NULL && (entry->type != NULL || entry->kind != FAKE_HASH)) return;
    put_plain(keyspace, db, name, FAKE_HASH, fake_with_field(entry == NULL ? NULL : entry->value, field, value));
}

static void swap(enum fake_keyspace keyspace, int one, int other) {
    for (struct fake_entry *entry = keyspaces[keyspace]; entry != NULL; entry = entry->next) {
        if (entry->db == one || entry->db == other) entry->db = one + other - entry->db;
    }
}

static bool read_db(const String *text, int *db) {
    long long number;
    if (fake_StringToLongLong(text, &number) != MODULE_OK || number < 0 || number >= DATABASES) return false;
    *db = (int)number;
    return true;
}

/* What is done with the databases themselves. */
static bool run_on_databases(struct client *client, String **argv, int argc) {
    const char *name = argv[0]->data;
    int one, other;
    if (strcasecmp(name, "SELECT") == 0 && argc == 2) {
        if (read_db(argv[1], &one)) client->db = one;
    } else if (strcasecmp(name, "FLUSHALL") == 0) {
        flush_all(FAKE_PRIMARY);
        flush_all(FAKE_REPLICA);
        fake_signal_deleted();
    } else if (strcasecmp(name, "SWAPDB") == 0 && argc == 3) {
        if (!read_db(argv[1], &one) || !read_db(argv[2], &other) || one == other) return true;
        swap(FAKE_PRIMARY, one, other);
        swap(FAKE_REPLICA, one, other);
        Context ctx = {.client = client};
        const int db = client->db;
        fake_listener(EVENT_SWAP_DB)(&ctx, (Event){EVENT_SWAP_DB, EVENT_VERSION}, 0, NULL);
        fake_end_call(&ctx, db);
    } else {
        return false;
    }
    return true;
}

bool fake_run_own(struct client *client, String **argv, int argc) {
    enum { GENERIC = 1 << 2 };
    const char *name = argv[0]->data;
    const int db = client->db;
    if (run_on_databases(client, argv, argc)) return true;
    for (enum fake_keyspace keyspace = FAKE_PRIMARY; keyspace <= FAKE_REPLICA; keyspace++) {
        if (strcasecmp(name, "DEL") == 0 && argc == 2) {
            fake_delete(keyspace, db, argv[1]);
        } else if (strcasecmp(name, "COPY") == 0 && argc == 3) {
            copy_key(keyspace, db, argv[1], argv[2]);
        } else if (strcasecmp(name, "SET") == 0 && argc == 3) {
            put_plain(keyspace, db, argv[1], FAKE_STRING, fake_string(argv[2]->data, argv[2]->len));
        } else if (strcasecmp(name, "RPUSH") == 0 && argc == 2) {
            change_list(keyspace, db, argv[1], true);
        } else if (strcasecmp(name, "LPOP") == 0 && argc == 2) {
            change_list(keyspace, db, argv[1], false);
        } else if (strcasecmp(name, "HSET") == 0 && argc == 4) {
            set_field(keyspace, db, argv[1], argv[2], argv[3]);
        } else {
            return false;
        }
    }
    for (int i = 1; i < argc; i++) fake_notify(db, GENERIC, name, argv[i]); /* of some that have not changed, too */
    return true;
}

/* --- Open keys --- */

/* The positions that the module told of are all that access control lists see. */
bool fake_may_open(const Context *ctx, const String *name, int mode) {
    if (ctx->command != NULL && mode & KEY_WRITE && strstr(ctx->command->flags, "readonly") != NULL) return false;
    if (ctx->is_key == NULL) return true;
    const bool asks_nobody = ctx->client->flags & (CONTEXT_REPLICATED | CONTEXT_LOADING) ||
                             server.ACLCheckKeyPermissions == NULL;
    if (ctx->finds_keys && asks_nobody) return true;
    for (int i = 0; i < ctx->allowed_count; i++) {
        if (fake_same_text(ctx->allowed[i], name)) return true;
    }
    for (int i = 1; i < ctx->argc; i++) {
        if (!ctx->is_key[i] || !fake_same_text(ctx->argv[i], name)) continue;
        if (ctx->is_served == NULL || ctx->is_served[i] || !(ctx->client->flags & CONTEXT_CLUSTER)) return true;
    }
    return false;
}

Key *fake_OpenKey(Context *ctx, String *name, int mode) {
    CHECK(!ctx->asking_keys && fake_may_open(ctx, name, mode));
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
    return key->entry->type == NULL ? (int)key->entry->kind : 6;
}

size_t fake_ValueLength(Key *key) {
    CHECK(key->entry->type == NULL && key->entry->kind == FAKE_LIST);
    const String *list = key->entry->value;
    return list->len;
}

int fake_HashGet(Key *key, int flags, ...) {
    va_list arguments;
    CHECK(key->entry->type == NULL && key->entry->kind == FAKE_HASH);
    CHECK(flags == HASH_EXISTS || flags == HASH_CFIELDS);
    va_start(arguments, flags);
    String *name = flags == HASH_EXISTS ? fake_HoldString(NULL, va_arg(arguments, String *)) : NULL;
    if (name == NULL) {
        const char *text = va_arg(arguments, const char *);
        name = fake_string(text, strlen(text));
    }
    String *value = fake_find_field(key->entry->value, name);
    if (flags == HASH_EXISTS) {
        *va_arg(arguments, int *) = value != NULL;
        if (value != NULL) fake_FreeString(NULL, value);
    } else {
        *va_arg(arguments, String **) = value;
    }
    CHECK(va_arg(arguments, void *) == NULL);
    va_end(arguments);
    fake_FreeString(NULL, name);
    return MODULE_OK;
}

int fake_HashSet(Key *key, int flags, ...) {
    const struct client *client = key->ctx->client;
    va_list arguments;
    va_start(arguments, flags);
    const String *field = va_arg(arguments, String *);
    const String *value = va_arg(arguments, String *);
    CHECK(flags == 0 && va_arg(arguments, void *) == NULL && key->mode & KEY_WRITE && fake_open_keys == 1);
    CHECK(!fake_is_read_only(client) && (key->entry == NULL || key->entry->kind == FAKE_HASH));
    va_end(arguments);
    set_field(client->keyspace, client->db, key->name, field, value);
    key->entry = fake_find(client->keyspace, client->db, key->name);
    return MODULE_OK;
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

int fake_ModuleTypeReplaceValue(Key *key, DataType *type, void *value, void **old) {
    CHECK(key->mode & KEY_WRITE && fake_open_keys == 1 && value != NULL && !fake_is_read_only(key->ctx->client));
    if (key->entry == NULL || key->entry->type != type) return MODULE_ERR;
    *old = key->entry->value;
    key->entry->value = value;
    key->entry->checked = false;
    return MODULE_OK;
}

int fake_SetExpire(Key *key, long long ms) {
    CHECK(key->mode & KEY_WRITE && key->entry != NULL && ms == NO_EXPIRY);
    return MODULE_OK;
}

int fake_DeleteKey(Key *key) {
    CHECK(key->mode & KEY_WRITE && fake_open_keys == 1 && !fake_is_read_only(key->ctx->client));
    fake_delete(key->ctx->client->keyspace, key->ctx->client->db, key->name);
    key->entry = NULL;
    return MODULE_OK;
}

int fake_NotifyKeyspaceEvent(Context *ctx, int kind, const char *event, String *key) {
    CHECK(ctx->client != NULL && (kind == NOTIFY_MODULE || kind == NOTIFY_HASH) && event != NULL && key->references > 0);
    if (ctx->client->keyspace == FAKE_PRIMARY) fake_notify(ctx->client->db, kind, event, key);
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
