/* The fake server's clients that wait for keys, and what it tells of keys that change. */
#include <string.h>

#include "fake_parts.h"

/* A key that was signalled while somebody waited for it. */
struct ready {
    struct ready *next;
    int db;
    String *name;
};

static NotificationFunction listener;
static struct ready *ready;

int fake_SubscribeToKeyspaceEvents(Context *ctx, int kinds, NotificationFunction function) {
    (void)ctx;
    CHECK(listener == NULL && kinds == NOTIFY_WRITES);
    listener = function;
    return MODULE_OK;
}

void fake_notify(int db, int kind, const char *event, String *name) {
    struct client nobody = {.db = db, .flags = fake_server_flags()};
    Context ctx = {.client = &nobody};
    CHECK(listener(&ctx, kind, event, name) == MODULE_OK && nobody.db == db);
}

/* --- Waiting --- */

Blocked *fake_BlockClientOnKeysWithFlags(Context *ctx, CommandFunction when_ready, CommandFunction timed_out,
                                         PrivateDataFunction free_data, long long timeout_ms, String **keys,
                                         int key_count, void *data, int flags) {
    CHECK(key_count == 1 && timed_out != NULL && timeout_ms > 0 && data != NULL);
    Blocked *blocked = fake_BlockClient(ctx, when_ready, timed_out, free_data, timeout_ms);
    blocked->key = fake_HoldString(NULL, keys[0]);
    blocked->even_deleted = (flags & BLOCK_UNBLOCK_DELETED) != 0;
    blocked->data = data;
    return blocked;
}

Blocked *fake_BlockClientOnKeys(Context *ctx, CommandFunction when_ready, CommandFunction timed_out,
                                PrivateDataFunction free_data, long long timeout_ms, String **keys, int key_count,
                                void *data) {
    return fake_BlockClientOnKeysWithFlags(ctx, when_ready, timed_out, free_data, timeout_ms, keys, key_count, data, 0);
}

static bool is_waiting(const struct client *client) {
    return client->blocked != NULL && client->blocked->key != NULL && !client->blocked->unblocked;
}

static bool waits_for(const struct client *client, int db, const String *name) {
    return is_waiting(client) && client->db == db && fake_same_text(client->blocked->key, name);
}

void fake_SignalKeyAsReady(Context *ctx, String *name) {
    const int db = ctx->client->db;
    bool wanted = false;
    CHECK(ctx->client->keyspace == FAKE_PRIMARY);
    for (int i = 0; i < FAKE_CLIENTS; i++) wanted = wanted || waits_for(&fake_clients[i], db, name);
    for (const struct ready *known = ready; known != NULL; known = known->next) {
        if (known->db == db && fake_same_text(known->name, name)) return;
    }
    if (!wanted) return;
    struct ready *key = malloc(sizeof *key);
    *key = (struct ready){ready, db, fake_HoldString(NULL, name)};
    ready = key;
}

void fake_signal_deleted(void) {
    for (int i = 0; i < FAKE_CLIENTS; i++) {
        Context ctx = {.client = &fake_clients[i]};
        if (is_waiting(ctx.client)) fake_SignalKeyAsReady(&ctx, ctx.client->blocked->key);
    }
}

/* --- Being served --- */

static void serve(struct client *client) {
    Blocked *blocked = client->blocked;
    Context ctx = {.client = client, .blocked = blocked, .expected = 1};
    const int db = client->db;
    if (fake_find(FAKE_PRIMARY, db, blocked->key) == NULL && !blocked->even_deleted) return;
    client->reply[0] = '\0';
    const bool served = blocked->reply(&ctx, client->argv, client->argc) == MODULE_OK;
    CHECK(ctx.expected == (served ? 0 : 1));
    fake_end_call(&ctx, db);
    if (served) fake_unblock(blocked);
}

void fake_serve_ready(void) {
    while (ready != NULL) {
        struct ready *key = ready;
        ready = key->next;
        for (int i = 0; i < FAKE_CLIENTS; i++) {
            if (waits_for(&fake_clients[i], key->db, key->name)) serve(&fake_clients[i]);
        }
        fake_FreeString(NULL, key->name);
        free(key);
    }
}

void fake_check_waits(void) {
    enum { MOST = 8 };
    for (int i = 0; i < FAKE_CLIENTS; i++) {
        const struct client *client = &fake_clients[i];
        if (!is_waiting(client) || !client->blocked->even_deleted) continue;
        String *argv[MOST];
        CHECK(client->argc <= MOST);
        memcpy(argv, client->argv, (size_t)client->argc * sizeof *argv);
        argv[1] = fake_string("0", 1);
        struct client other = {.db = client->db};
        CHECK(fake_run_as(&other, argv, client->argc) == FAKE_REPLIED && strcmp(other.reply, "0") == 0);
        fake_FreeString(NULL, argv[1]);
    }
}
