/* The fake server's clients: contexts, commands, replies, replication. */
#include <string.h>
#include <strings.h>

#include "fake_parts.h"

struct client fake_clients[FAKE_CLIENTS];
static unsigned long long last_client;
static int flags;

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
void fake_propagate(const Context *ctx, struct fake_command command) {
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
    fake_propagate(ctx, fake_format(command, format, arguments));
    va_end(arguments);
    return MODULE_OK;
}

int fake_ReplicateVerbatim(Context *ctx) {
    CHECK(ctx->command != NULL && strstr(ctx->command->flags, "write") != NULL && !ctx->asking_keys && !ctx->blocking);
    struct fake_command command = {0, malloc((size_t)ctx->argc * sizeof *command.argv), ctx->argc};
    for (int i = 0; i < ctx->argc; i++) command.argv[i] = fake_HoldString(NULL, ctx->argv[i]);
    fake_propagate(ctx, command);
    return MODULE_OK;
}

/* After each call of the module: nothing is left open, and what was written is the same on the replica. */
void fake_end_call(const Context *ctx, int db) {
    CHECK(fake_open_keys == 0 && ctx->client->db == db);
    struct fake_command *commands = propagated;
    const size_t count = propagated_count;
    propagated = NULL;
    propagated_count = 0;
    for (size_t i = 0; i < count; i++) {
        const int replicated = CONTEXT_REPLICATED | CONTEXT_REPLICA;
        CHECK(fake_run_plain(FAKE_REPLICA, commands[i].db, commands[i].argv, commands[i].argc) ||
              fake_run_on(FAKE_REPLICA, replicated, &commands[i]) == FAKE_REPLIED);
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
    char *reply = ctx->client->reply;
    if (*reply == '\0') snprintf(reply, sizeof ctx->client->reply, "%lld", number);
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

const char *fake_reply(int client) { return fake_clients[client].reply; }

/* --- Commands --- */

static const struct command *find_command(const String *name) {
    for (size_t i = 0; i < fake_command_count; i++) {
        if (strcasecmp(name->data, fake_commands[i].name) == 0) return &fake_commands[i];
    }
    return NULL;
}

static bool is_write(const struct command *command) { return strstr(command->flags, "write") != NULL; }

bool fake_is_read_only(const struct client *client) {
    return client->flags & CONTEXT_REPLICA && !(client->flags & (CONTEXT_REPLICATED | CONTEXT_LOADING));
}

static void find_keys(Context *ctx) {
    const struct command *command = ctx->command;
    for (int i = command->first; i > 0 && i <= command->last && i < ctx->argc; i++) ctx->is_key[i] = true;
    if (strstr(command->flags, "getkeys-api") == NULL) return;
    ctx->asking_keys = true;
    CHECK(command->run(ctx, ctx->argv, ctx->argc) == MODULE_OK && !ctx->blocking && ctx->expected == 0);
    ctx->asking_keys = false;
}

/* In a cluster. */
bool fake_is_elsewhere(const struct client *client, const String *key) {
    if (!(client->flags & CONTEXT_CLUSTER)) return false;
    return key->data[0] == 'z' || (key->data[0] == 'o' && client->flags & FAKE_MOVED);
}

static bool has_keys_elsewhere(const Context *ctx) {
    for (int i = 1; i < ctx->argc; i++) {
        if (ctx->is_key[i] && fake_is_elsewhere(ctx->client, ctx->argv[i])) return true;
    }
    return false;
}

static enum fake_result run(Context *ctx) {
    struct client *client = ctx->client;
    const struct command *command = ctx->command;
    const int db = client->db;
    find_keys(ctx);
    if (has_keys_elsewhere(ctx)) return FAKE_FAILED;
    if (strstr(command->flags, "may-replicate") != NULL) ctx->is_key = NULL; /* workers write for others */
    ctx->expected = 1;
    client->reply[0] = '\0';
    client->last = command;
    CHECK(command->run(ctx, ctx->argv, ctx->argc) == MODULE_OK);
    CHECK(ctx->expected == (ctx->blocking ? 1 : 0));
    fake_end_call(ctx, db);
    if (ctx->blocking) return FAKE_BLOCKED;
    return ctx->failed ? FAKE_FAILED : FAKE_REPLIED;
}

enum fake_result fake_run_as(struct client *client, String **argv, int argc) {
    const struct command *command = find_command(argv[0]);
    if (command == NULL || (is_write(command) && fake_is_read_only(client))) return FAKE_FAILED;
    bool *marks = calloc(2 * (size_t)argc, sizeof *marks);
    const bool looks_itself = strcmp(command->name, "AI._DAGLOCAL") == 0;
    Context ctx = {.client = client, .command = command, .argc = argc, .argv = argv, .is_key = marks};
    ctx.finds_keys = strncmp(command->name, "AI._DATASET", strlen("AI._DATASET")) == 0;
    if (looks_itself) ctx.is_served = marks + argc;
    const enum fake_result result = run(&ctx);
    fake_free_strings(ctx.allowed, ctx.allowed_count);
    free(marks);
    return result;
}

enum fake_result fake_run_on(enum fake_keyspace keyspace, int with_flags, const struct fake_command *command) {
    struct client client = {.id = ++last_client, .keyspace = keyspace, .db = command->db, .flags = with_flags};
    const enum fake_result result = fake_run_as(&client, command->argv, command->argc);
    CHECK(result != FAKE_BLOCKED);
    return result;
}

void fake_tell_of_client(struct client *client, uint64_t change) {
    Context ctx = {.client = client};
    ClientInfo info = {.version = 1, .id = client->id};
    const int db = client->db;
    fake_listener(EVENT_CLIENT_CHANGE)(&ctx, (Event){EVENT_CLIENT_CHANGE, EVENT_VERSION}, change, &info);
    fake_end_call(&ctx, db);
}

static struct client *connected(int number) {
    struct client *client = &fake_clients[number];
    if (client->id == 0) {
        client->id = ++last_client;
        fake_tell_of_client(client, CLIENT_CONNECTED);
    }
    return client;
}

enum fake_result fake_run(int number, String **argv, int argc) {
    struct client *client = connected(number);
    CHECK(client->blocked == NULL);
    client->flags = flags;
    enum fake_result result = FAKE_FAILED;
    if (argc > 0) result = fake_run_own(client, argv, argc) ? FAKE_REPLIED : fake_run_as(client, argv, argc);
    client->flags = fake_server_flags();
    if (result == FAKE_BLOCKED) {
        client->argv = argv;
        client->argc = argc;
    } else {
        fake_free_strings(argv, argc);
    }
    fake_serve_ready();
    return result;
}

int fake_server_flags(void) { return flags & (CONTEXT_REPLICA | CONTEXT_LOADING | CONTEXT_CLUSTER | FAKE_MOVED); }

void fake_set_flags(int new_flags) {
    flags = new_flags;
    for (size_t i = 0; i < FAKE_CLIENTS; i++) fake_clients[i].flags = fake_server_flags();
}
