/* The fake server's clients that wait, and time. */
#include <limits.h>

#include "clock.h"
#include "fake_parts.h"

struct timer {
    struct timer *next;
    Timer id;
    long long due;
    TimerFunction function;
    void *data;
};

static Blocked *unblocked;
static struct timer *timers;
static Timer last_timer;
static long long now = 1;

/* --- Clients that wait --- */

Blocked *fake_BlockClient(Context *ctx, CommandFunction reply, CommandFunction timed_out, PrivateDataFunction free_data,
                          long long timeout_ms) {
    const int never = CONTEXT_MULTI | CONTEXT_LUA | CONTEXT_DENY_BLOCKING;
    CHECK(ctx->command != NULL && !ctx->asking_keys && !ctx->blocking && ctx->expected == 1);
    CHECK(!(ctx->client->flags & never) && reply != NULL && (timeout_ms == 0 || timed_out != NULL));
    CHECK(timeout_ms >= 0 && timeout_ms < LLONG_MAX / MILLISECOND / 2);
    ctx->blocking = true;
    Blocked *blocked = malloc(sizeof *blocked);
    *blocked = (Blocked){.client = ctx->client, .reply = reply, .timed_out = timed_out, .free_data = free_data};
    if (timeout_ms > 0) blocked->deadline = now + timeout_ms * MILLISECOND;
    ctx->client->blocked = blocked;
    return blocked;
}

void fake_unblock(Blocked *blocked) {
    CHECK(!blocked->unblocked);
    blocked->unblocked = true;
    Blocked **link = &unblocked;
    while (*link != NULL) link = &(*link)->next;
    *link = blocked;
}

/* Answer with one of the callbacks. */
static void answer(struct client *client, CommandFunction function) {
    Context ctx = {.client = client, .blocked = client->blocked, .expected = 1};
    const int db = client->db;
    client->reply[0] = '\0';
    CHECK(function(&ctx, client->argv, client->argc) == MODULE_OK && ctx.expected == 0);
    fake_end_call(&ctx, db);
}

/* One that waits for a key is told that it timed out. */
int fake_UnblockClient(Blocked *blocked, void *data) {
    if (blocked->key == NULL) {
        blocked->data = data;
    } else if (blocked->unblocked) {
        return MODULE_OK;
    } else {
        answer(blocked->client, blocked->timed_out);
    }
    fake_unblock(blocked);
    return MODULE_OK;
}

void *fake_GetBlockedClientPrivateData(Context *ctx) {
    CHECK(ctx->blocked != NULL);
    return ctx->blocked->data;
}

Blocked *fake_GetBlockedClientHandle(Context *ctx) {
    CHECK(ctx->blocked != NULL);
    return ctx->blocked;
}

void fake_SetDisconnectCallback(Blocked *blocked, DisconnectFunction function) { blocked->disconnected = function; }

bool fake_waits(int client) { return fake_clients[client].blocked != NULL; }

static void stop_waiting(struct client *client) {
    client->blocked->client = NULL;
    client->blocked = NULL;
    fake_free_strings(client->argv, client->argc);
}

void fake_settle(void) {
    fake_serve_ready();
    while (unblocked != NULL) {
        Blocked *blocked = unblocked;
        struct client nobody = {.flags = fake_server_flags()};
        struct client *client = blocked->client;
        unblocked = blocked->next;
        if (client != NULL && blocked->key == NULL) answer(client, blocked->reply);
        if (blocked->data != NULL && blocked->free_data != NULL) {
            Context ctx = {.client = client == NULL ? &nobody : client, .blocked = blocked};
            const int db = ctx.client->db;
            blocked->free_data(&ctx, blocked->data);
            fake_end_call(&ctx, db);
        }
        if (client != NULL) stop_waiting(client);
        if (blocked->key != NULL) fake_FreeString(NULL, blocked->key);
        free(blocked);
    }
    fake_check_waits();
}

static void time_out(struct client *client) {
    answer(client, client->blocked->timed_out);
    if (client->blocked->key != NULL) fake_unblock(client->blocked);
    CHECK(client->blocked->unblocked); /* else it stays for ever */
    stop_waiting(client);
}

void fake_give_up(int number) {
    const Blocked *blocked = fake_clients[number].blocked;
    if (blocked != NULL && !blocked->unblocked && blocked->timed_out != NULL) time_out(&fake_clients[number]);
}

void fake_disconnect(int number) {
    struct client *client = &fake_clients[number];
    if (client->id == 0) return;
    fake_tell_of_client(client, CLIENT_DISCONNECTED);
    if (client->blocked != NULL) {
        if (client->blocked->disconnected != NULL) {
            Context ctx = {.client = client};
            const int db = client->db;
            client->blocked->disconnected(&ctx, client->blocked);
            fake_end_call(&ctx, db);
        }
        if (client->blocked->key != NULL && !client->blocked->unblocked) fake_unblock(client->blocked);
        CHECK(client->blocked->unblocked);
        stop_waiting(client);
    }
    *client = (struct client){.flags = fake_server_flags()};
}

/* --- Time --- */

long long clock_now(void) { return now; }
long long fake_Milliseconds(void) { return now / MILLISECOND; }

Timer fake_CreateTimer(Context *ctx, long long ms, TimerFunction function, void *data) {
    (void)ctx;
    CHECK(ms > 0 && ms < LLONG_MAX / MILLISECOND / 2);
    struct timer *timer = malloc(sizeof *timer);
    *timer = (struct timer){timers, ++last_timer, now + ms * MILLISECOND, function, data};
    timers = timer;
    return timer->id;
}

static struct timer *take_timer(struct timer **link) {
    struct timer *timer = *link;
    *link = timer->next;
    return timer;
}

int fake_StopTimer(Context *ctx, Timer id, void **data) {
    (void)ctx;
    struct timer **link = &timers;
    while (*link != NULL && (*link)->id != id) link = &(*link)->next;
    CHECK(*link != NULL); /* an error in a server, and a fault in the module */
    struct timer *timer = take_timer(link);
    if (data != NULL) *data = timer->data;
    free(timer);
    return MODULE_OK;
}

static void fire(struct timer **link) {
    struct timer *timer = take_timer(link);
    struct client nobody = {.flags = fake_server_flags()};
    Context ctx = {.client = &nobody};
    timer->function(&ctx, timer->data);
    fake_end_call(&ctx, 0);
    free(timer);
}

/* Let the first thing happen that is due by `end`. Returns false if there is none. */
static bool pass(long long end) {
    struct timer **first = NULL;
    struct client *late = NULL;
    for (struct timer **link = &timers; *link != NULL; link = &(*link)->next) {
        if ((*link)->due <= end && (first == NULL || (*link)->due < (*first)->due)) first = link;
    }
    for (struct client *client = fake_clients; client < fake_clients + FAKE_CLIENTS; client++) {
        const Blocked *blocked = client->blocked;
        if (blocked == NULL || blocked->deadline == 0 || blocked->deadline > end || blocked->unblocked) continue;
        if (late == NULL || blocked->deadline < late->blocked->deadline) late = client;
    }
    if (first == NULL && late == NULL) return false;
    if (first != NULL && (late == NULL || (*first)->due <= late->blocked->deadline)) {
        now = (*first)->due;
        fire(first);
    } else {
        now = late->blocked->deadline;
        time_out(late);
    }
    fake_settle();
    return true;
}

void fake_tick(long long ms) {
    const long long end = now + ms * MILLISECOND;
    while (pass(end)) continue;
    now = end;
    struct client nobody = {.flags = fake_server_flags()};
    Context ctx = {.client = &nobody};
    fake_listener(EVENT_CRON_LOOP)(&ctx, (Event){EVENT_CRON_LOOP, EVENT_VERSION}, 0, NULL);
    fake_end_call(&ctx, 0);
}

void fake_loaded(void) {
    struct client nobody = {.flags = fake_server_flags()};
    Context ctx = {.client = &nobody};
    fake_listener(EVENT_LOADING)(&ctx, (Event){EVENT_LOADING, EVENT_VERSION}, LOADING_ENDED, NULL);
    fake_end_call(&ctx, 0);
}

void fake_end(void) {
    enum { LONG = 60 * 1000 };
    fake_set_flags(0);
    fake_settle();
    for (int i = 0; i < FAKE_CLIENTS; i++) fake_disconnect(i);
    fake_settle();
    fake_tick(LONG);
    for (enum fake_keyspace keyspace = 0; keyspace < FAKE_KEYSPACES; keyspace++) fake_clear(keyspace);
    fake_tick(LONG);
    while (timers != NULL) fire(&timers); /* far away; the module must not forget that it set one */
    now = 1;
    CHECK(unblocked == NULL);
}
