/* The fake server's clients: commands and replies, clients that wait, time, replication. */
#include <limits.h>
#include <string.h>
#include <strings.h>

#include "clock.h"
#include "fake_parts.h"

/* A client that waits for the module. */
struct Blocked {
    Blocked *next; /* among those that were unblocked */
    struct client *client; /* NULL once it went away or was told that it timed out */
    CommandFunction reply, timed_out;
    PrivateDataFunction free_data;
    DisconnectFunction disconnected;
    long long deadline; /* microseconds, 0 for none */
    bool unblocked;
    void *data;
};

struct timer {
    struct timer *next;
    Timer id;
    long long due;
    TimerFunction function;
    void *data;
};

enum { SERVER_FLAGS = CONTEXT_REPLICA | CONTEXT_LOADING };

static struct client clients[FAKE_CLIENTS];
static unsigned long long last_client;
static Blocked *unblocked;
static struct timer *timers;
static Timer last_timer;
static int flags;
static long long now = 1;

static struct fake_command *propagated;
static size_t propagated_count;

/* --- Replication --- */

struct fake_command fake_format(const char *name, const char *format, va_list arguments) {
    size_t room = 1;
    va_list counted;
    va_copy(counted, arguments);
    for (const char *letter = format; *letter != '\0'; letter++) {
        CHECK(strcmp(letter, "v") == 0); /* all that the module needs: an array and its length */
        (void)va_arg(counted, String **);
        room += va_arg(counted, size_t);
    }
    va_end(counted);
    struct fake_command command = {0, malloc(room * sizeof *command.argv), 1};
    command.argv[0] = fake_string(name, strlen(name));
    for (; *format != '\0'; format++) {
        String **strings = va_arg(arguments, String **);
        const size_t count = va_arg(arguments, size_t);
        for (size_t i = 0; i < count; i++) command.argv[command.argc++] = fake_HoldString(NULL, strings[i]);
    }
    return command;
}

/* What a replica is sent: nothing of what runs on one already. */
static void propagate(const Context *ctx, struct fake_command command) {
    if (ctx->client->keyspace != FAKE_PRIMARY) {
        fake_free_strings(command.argv, command.argc);
        return;
    }
    command.db = ctx->client->db;
    propagated = realloc(propagated, (propagated_count + 1) * sizeof *propagated);
    propagated[propagated_count++] = command;
}

int fake_Replicate(Context *ctx, const char *command, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    propagate(ctx, fake_format(command, format, arguments));
    va_end(arguments);
    return MODULE_OK;
}

int fake_ReplicateVerbatim(Context *ctx) {
    CHECK(ctx->command != NULL && strstr(ctx->command->flags, "write") != NULL && !ctx->asking_keys && !ctx->blocking);
    struct fake_command command = {0, malloc((size_t)ctx->argc * sizeof *command.argv), ctx->argc};
    for (int i = 0; i < ctx->argc; i++) command.argv[i] = fake_HoldString(NULL, ctx->argv[i]);
    propagate(ctx, command);
    return MODULE_OK;
}

/* After each call of the module: nothing is left open, and what was written is the same on the replica. */
static void end_call(const Context *ctx, int db) {
    CHECK(fake_open_keys == 0 && ctx->client->db == db);
    struct fake_command *commands = propagated;
    const size_t count = propagated_count;
    propagated = NULL;
    propagated_count = 0;
    for (size_t i = 0; i < count; i++) {
        CHECK(fake_run_on(FAKE_REPLICA, CONTEXT_REPLICATED | CONTEXT_REPLICA, &commands[i]) == FAKE_REPLIED);
        fake_free_strings(commands[i].argv, commands[i].argc);
    }
    free(commands);
}

/* --- Contexts --- */

int fake_GetContextFlags(Context *ctx) { return ctx->client->flags; }
unsigned long long fake_GetClientId(Context *ctx) { return ctx->client->id; }
int fake_GetSelectedDb(Context *ctx) { return ctx->client->db; }

int fake_SelectDb(Context *ctx, int db) {
    CHECK(db >= 0 && db < DATABASES && !ctx->asking_keys);
    ctx->client->db = db;
    return MODULE_OK;
}

int fake_IsKeysPositionRequest(Context *ctx) { return ctx->asking_keys; }

void fake_KeyAtPos(Context *ctx, int position) {
    CHECK(ctx->asking_keys && position > 0 && position < ctx->argc);
    ctx->is_key[position] = true;
}

/* --- Replies --- */

static int replied(Context *ctx, long more) {
    CHECK(ctx->expected > 0 && more >= 0 && !ctx->blocking);
    ctx->expected += more - 1;
    return MODULE_OK;
}

int fake_ReplyWithError(Context *ctx, const char *text) {
    CHECK(strchr(text, ' ') != NULL && strpbrk(text, "\r\n") == NULL);
    ctx->failed = true;
    return replied(ctx, 0);
}

int fake_ReplyWithSimpleString(Context *ctx, const char *text) {
    CHECK(strpbrk(text, "\r\n") == NULL);
    return replied(ctx, 0);
}

int fake_ReplyWithNull(Context *ctx) { return replied(ctx, 0); }
int fake_ReplyWithArray(Context *ctx, long len) { return replied(ctx, len); }

int fake_ReplyWithLongLong(Context *ctx, long long number) {
    (void)number;
    return replied(ctx, 0);
}

int fake_ReplyWithDouble(Context *ctx, double number) {
    (void)number;
    return replied(ctx, 0);
}

int fake_ReplyWithStringBuffer(Context *ctx, const char *data, size_t len) {
    char *reply = ctx->client->reply;
    char *copy = malloc(len + 1); /* reads it all */
    memcpy(copy, data, len);
    copy[len] = '\0';
    if (*reply == '\0') snprintf(reply, sizeof ctx->client->reply, "%s", copy);
    free(copy);
    return replied(ctx, 0);
}

int fake_ReplyWithString(Context *ctx, String *string) {
    return fake_ReplyWithStringBuffer(ctx, string->data, string->len);
}

const char *fake_reply(int client) { return clients[client].reply; }

/* --- Commands --- */

static const struct command *find_command(const String *name) {
    for (size_t i = 0; i < fake_command_count; i++) {
        if (strcasecmp(name->data, fake_commands[i].name) == 0) return &fake_commands[i];
    }
    return NULL;
}

static void find_keys(Context *ctx) {
    const struct command *command = ctx->command;
    if (command->first > 0 && command->first < ctx->argc) ctx->is_key[command->first] = true;
    if (strstr(command->flags, "getkeys-api") == NULL) return;
    ctx->asking_keys = true;
    CHECK(command->run(ctx, ctx->argv, ctx->argc) == MODULE_OK && !ctx->blocking && ctx->expected == 0);
    ctx->asking_keys = false;
}

static enum fake_result run(struct client *client, String **argv, int argc) {
    const struct command *command = find_command(argv[0]);
    if (command == NULL) return FAKE_FAILED;
    bool *is_key = calloc((size_t)argc, sizeof *is_key);
    Context ctx = {.client = client, .command = command, .argc = argc, .argv = argv, .is_key = is_key};
    const int db = client->db;
    find_keys(&ctx);
    if (strstr(command->flags, "may-replicate") != NULL) ctx.is_key = NULL; /* workers write for others */
    ctx.expected = 1;
    client->reply[0] = '\0';
    client->last = command;
    CHECK(command->run(&ctx, argv, argc) == MODULE_OK);
    CHECK(ctx.expected == (ctx.blocking ? 1 : 0));
    end_call(&ctx, db);
    free(is_key);
    if (ctx.blocking) return FAKE_BLOCKED;
    return ctx.failed ? FAKE_FAILED : FAKE_REPLIED;
}

enum fake_result fake_run_on(enum fake_keyspace keyspace, int with_flags, const struct fake_command *command) {
    struct client client = {.id = ++last_client, .keyspace = keyspace, .db = command->db, .flags = with_flags};
    const enum fake_result result = run(&client, command->argv, command->argc);
    CHECK(result != FAKE_BLOCKED);
    return result;
}

static void tell_of_client(struct client *client, uint64_t change) {
    Context ctx = {.client = client};
    ClientInfo info = {.version = 1, .id = client->id};
    const int db = client->db;
    fake_listener(EVENT_CLIENT_CHANGE)(&ctx, (Event){EVENT_CLIENT_CHANGE, EVENT_VERSION}, change, &info);
    end_call(&ctx, db);
}

static struct client *connected(int number) {
    struct client *client = &clients[number];
    if (client->id == 0) {
        client->id = ++last_client;
        tell_of_client(client, CLIENT_CONNECTED);
    }
    return client;
}

enum fake_result fake_run(int number, String **argv, int argc) {
    struct client *client = connected(number);
    CHECK(client->blocked == NULL);
    client->flags = flags;
    enum fake_result result = FAKE_FAILED;
    if (argc > 0) result = fake_run_own(client, argv, argc) ? FAKE_REPLIED : run(client, argv, argc);
    client->flags = flags & SERVER_FLAGS;
    if (result == FAKE_BLOCKED) {
        client->argv = argv;
        client->argc = argc;
    } else {
        fake_free_strings(argv, argc);
    }
    return result;
}

void fake_set_flags(int new_flags) {
    flags = new_flags;
    for (size_t i = 0; i < FAKE_CLIENTS; i++) clients[i].flags = flags & SERVER_FLAGS;
}

/* --- What the module asks the server: CLIENT LIST ID n --- */

struct CallReply {
    char text[128];
};

CallReply *fake_Call(Context *ctx, const char *command, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    CHECK(!ctx->asking_keys && strcmp(command, "CLIENT") == 0 && strcmp(format, "ccl") == 0);
    CHECK(strcmp(va_arg(arguments, const char *), "LIST") == 0 && strcmp(va_arg(arguments, const char *), "ID") == 0);
    const unsigned long long id = (unsigned long long)va_arg(arguments, long long);
    va_end(arguments);
    CallReply *reply = fake_Calloc(1, sizeof *reply);
    for (const struct client *client = clients; client < clients + FAKE_CLIENTS; client++) {
        if (client->id != id) continue;
        const char *last = client->last == NULL ? "NULL" : client->last->name;
        snprintf(reply->text, sizeof reply->text, "id=%llu addr=127.0.0.1:9 db=%d cmd=%s user=default\n", id, client->db, last);
    }
    return reply;
}

const char *fake_CallReplyStringPtr(CallReply *reply, size_t *len) {
    *len = strlen(reply->text);
    return reply->text;
}

void fake_FreeCallReply(CallReply *reply) { fake_Free(reply); }

/* --- Clients that wait --- */

Blocked *fake_BlockClient(Context *ctx, CommandFunction reply, CommandFunction timed_out, PrivateDataFunction free_data,
                          long long timeout_ms) {
    const int never = CONTEXT_MULTI | CONTEXT_LUA | CONTEXT_DENY_BLOCKING;
    CHECK(ctx->command != NULL && !ctx->asking_keys && !ctx->blocking && ctx->expected == 1);
    CHECK(!(ctx->client->flags & never) && reply != NULL && timeout_ms >= 0 && timeout_ms < LLONG_MAX / MILLISECOND / 2);
    CHECK(timeout_ms == 0 || timed_out != NULL);
    ctx->blocking = true;
    Blocked *blocked = malloc(sizeof *blocked);
    *blocked = (Blocked){.client = ctx->client, .reply = reply, .timed_out = timed_out, .free_data = free_data};
    if (timeout_ms > 0) blocked->deadline = now + timeout_ms * MILLISECOND;
    ctx->client->blocked = blocked;
    return blocked;
}

int fake_UnblockClient(Blocked *blocked, void *data) {
    CHECK(!blocked->unblocked);
    blocked->unblocked = true;
    blocked->data = data;
    Blocked **link = &unblocked;
    while (*link != NULL) link = &(*link)->next;
    *link = blocked;
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

bool fake_waits(int client) { return clients[client].blocked != NULL; }

static void stop_waiting(struct client *client) {
    client->blocked->client = NULL;
    client->blocked = NULL;
    fake_free_strings(client->argv, client->argc);
}

/* Answer with one of the callbacks. */
static void answer(struct client *client, CommandFunction function) {
    Context ctx = {.client = client, .blocked = client->blocked, .expected = 1};
    const int db = client->db;
    client->reply[0] = '\0';
    CHECK(function(&ctx, client->argv, client->argc) == MODULE_OK && ctx.expected == 0);
    end_call(&ctx, db);
}

void fake_settle(void) {
    while (unblocked != NULL) {
        Blocked *blocked = unblocked;
        struct client nobody = {.flags = flags & SERVER_FLAGS};
        struct client *client = blocked->client;
        unblocked = blocked->next;
        if (client != NULL) answer(client, blocked->reply);
        if (blocked->data != NULL && blocked->free_data != NULL) {
            Context ctx = {.client = client == NULL ? &nobody : client, .blocked = blocked};
            const int db = ctx.client->db;
            blocked->free_data(&ctx, blocked->data);
            end_call(&ctx, db);
        }
        if (client != NULL) stop_waiting(client);
        free(blocked);
    }
}

static void time_out(struct client *client) {
    answer(client, client->blocked->timed_out);
    CHECK(client->blocked->unblocked); /* else it stays for ever */
    stop_waiting(client);
}

void fake_disconnect(int number) {
    struct client *client = &clients[number];
    if (client->id == 0) return;
    tell_of_client(client, CLIENT_DISCONNECTED);
    if (client->blocked != NULL) {
        if (client->blocked->disconnected != NULL) {
            Context ctx = {.client = client};
            const int db = client->db;
            client->blocked->disconnected(&ctx, client->blocked);
            end_call(&ctx, db);
        }
        CHECK(client->blocked->unblocked);
        stop_waiting(client);
    }
    *client = (struct client){.flags = flags & SERVER_FLAGS};
}

/* --- Time --- */

long long clock_now(void) { return now; }

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
    struct client nobody = {.flags = flags & SERVER_FLAGS};
    Context ctx = {.client = &nobody};
    timer->function(&ctx, timer->data);
    end_call(&ctx, 0);
    free(timer);
}

/* Let the first thing happen that is due by `end`. Returns false if there is none. */
static bool pass(long long end) {
    struct timer **first = NULL;
    struct client *late = NULL;
    for (struct timer **link = &timers; *link != NULL; link = &(*link)->next) {
        if ((*link)->due <= end && (first == NULL || (*link)->due < (*first)->due)) first = link;
    }
    for (struct client *client = clients; client < clients + FAKE_CLIENTS; client++) {
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
    struct client nobody = {.flags = flags & SERVER_FLAGS};
    Context ctx = {.client = &nobody};
    fake_listener(EVENT_CRON_LOOP)(&ctx, (Event){EVENT_CRON_LOOP, EVENT_VERSION}, 0, NULL);
    end_call(&ctx, 0);
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
