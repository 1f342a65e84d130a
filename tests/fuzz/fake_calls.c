/* What the module asks of the fake server: commands, and access control lists. */
#include <string.h>

#include "fake_parts.h"

/* A text, or texts. */
struct CallReply {
    char text[128];
    String **texts;
    int count;
};

/* --- Commands: CLIENT LIST ID n, EXISTS key..., HGETALL key, and those of `fake_run_plain` --- */

static void mark(const Context *ctx, bool *marks, const String *key) {
    bool known = false;
    for (int i = 1; i < ctx->argc; i++) {
        if (!fake_same_text(ctx->argv[i], key)) continue;
        known = marks[i] = true;
    }
    CHECK(known);
}

static void allow(Context *ctx, String *key) {
    ctx->allowed = realloc(ctx->allowed, (size_t)(ctx->allowed_count + 1) * sizeof *ctx->allowed);
    ctx->allowed[ctx->allowed_count++] = fake_HoldString(NULL, key);
}

/* The words of a command; `replicates` is whether replicas are to carry it out, too. */
static struct fake_command words_of(const char *command, const char *format, va_list arguments, bool *replicates) {
    enum { MOST = 4096 };
    struct fake_command words = {0, malloc(MOST * sizeof *words.argv), 1};
    words.argv[0] = fake_string(command, strlen(command));
    *replicates = *format == '!';
    for (format += *replicates; *format != '\0'; format++) {
        if (*format == 'v') {
            String **strings = va_arg(arguments, String **);
            const size_t count = va_arg(arguments, size_t);
            CHECK(count < MOST - (size_t)words.argc);
            for (size_t i = 0; i < count; i++) words.argv[words.argc++] = fake_HoldString(NULL, strings[i]);
        } else if (*format == 's') {
            words.argv[words.argc++] = fake_HoldString(NULL, va_arg(arguments, String *));
        } else if (*format == 'l') {
            words.argv[words.argc++] = fake_CreateStringFromLongLong(NULL, va_arg(arguments, long long));
        } else {
            CHECK(*format == 'c');
            const char *text = va_arg(arguments, const char *);
            words.argv[words.argc++] = fake_string(text, strlen(text));
        }
    }
    return words;
}

static bool are_served(const Context *ctx, const struct fake_command *words) {
    bool served = true;
    for (int i = 1; i < words->argc; i++) {
        if (ctx->is_served != NULL) mark(ctx, ctx->is_served, words->argv[i]);
        served = served && !fake_is_elsewhere(ctx->client, words->argv[i]);
    }
    return served;
}

static void list_client(CallReply *reply, const struct fake_command *words) {
    CHECK(words->argc == 4 && strcmp(words->argv[1]->data, "LIST") == 0 && strcmp(words->argv[2]->data, "ID") == 0);
    const unsigned long long id = strtoull(words->argv[3]->data, NULL, 10);
    for (const struct client *client = fake_clients; client < fake_clients + FAKE_CLIENTS; client++) {
        if (client->id != id) continue;
        const char *last = client->last == NULL ? "NULL" : client->last->name;
        snprintf(reply->text, sizeof reply->text, "id=%llu db=%d cmd=%s user=default\n", id, client->db, last);
    }
}

static void list_fields(CallReply *reply, const Context *ctx, const String *name) {
    const struct fake_entry *entry = fake_find(ctx->client->keyspace, ctx->client->db, name);
    CHECK(fake_may_open(ctx, name, KEY_READ) && entry != NULL && entry->type == NULL && entry->kind == FAKE_HASH);
    struct fake_field field;
    for (size_t position = 0; fake_next_field(entry->value, &position, &field);) {
        reply->texts = realloc(reply->texts, (size_t)(reply->count + 2) * sizeof *reply->texts);
        reply->texts[reply->count++] = fake_string(field.field, field.field_len);
        reply->texts[reply->count++] = fake_string(field.value, field.value_len);
    }
}

/* The keys of a command that changes some: all words, but for a time. */
static void change(Context *ctx, const struct fake_command *words) {
    enum { GENERIC = 1 << 2 };
    const struct client *client = ctx->client;
    const int keys = words->argc - (strcmp(words->argv[0]->data, "PEXPIREAT") == 0);
    CHECK(fake_open_keys == 0 && !fake_is_read_only(client));
    for (int i = 1; i < keys; i++) CHECK(fake_may_open(ctx, words->argv[i], KEY_WRITE));
    CHECK(fake_run_plain(client->keyspace, client->db, words->argv, words->argc));
    if (client->keyspace != FAKE_PRIMARY) return;
    for (int i = 1; i < keys; i++) fake_notify(client->db, GENERIC, words->argv[0]->data, words->argv[i]);
}

CallReply *fake_Call(Context *ctx, const char *command, const char *format, ...) {
    va_list arguments;
    bool replicates;
    va_start(arguments, format);
    struct fake_command words = words_of(command, format, arguments, &replicates);
    va_end(arguments);
    CHECK(!ctx->asking_keys);
    CallReply *reply = fake_Calloc(1, sizeof *reply);
    if (strcmp(command, "EXISTS") == 0) {
        if (!are_served(ctx, &words)) {
            fake_Free(reply);
            reply = NULL;
        }
    } else if (strcmp(command, "CLIENT") == 0) {
        list_client(reply, &words);
    } else if (strcmp(command, "HGETALL") == 0) {
        list_fields(reply, ctx, words.argv[1]);
    } else {
        CHECK(replicates);
        change(ctx, &words);
        fake_propagate(ctx, words);
        return reply;
    }
    CHECK(!replicates);
    fake_free_strings(words.argv, words.argc);
    return reply;
}

const char *fake_CallReplyStringPtr(CallReply *reply, size_t *len) {
    *len = strlen(reply->text);
    return reply->text;
}

void fake_FreeCallReply(CallReply *reply) {
    fake_free_strings(reply->texts, reply->count);
    fake_Free(reply);
}

int fake_ReplyWithCallReply(Context *ctx, CallReply *reply) {
    fake_ReplyWithArray(ctx, reply->count);
    for (int i = 0; i < reply->count; i++) fake_ReplyWithString(ctx, reply->texts[i]);
    return MODULE_OK;
}

/* --- Access control lists: nobody may touch a key that begins with an `!` --- */

struct User {
    Context *ctx;
};

static Context *asking;

String *fake_GetCurrentUserName(Context *ctx) {
    CHECK(ctx->command != NULL);
    asking = ctx;
    return fake_string("guest", strlen("guest"));
}

User *fake_GetModuleUserFromUserName(String *name) {
    User *user = fake_Alloc(sizeof *user);
    CHECK(name->references > 0);
    user->ctx = asking;
    return user;
}

void fake_FreeModuleUser(User *user) { fake_Free(user); }

int fake_ACLCheckKeyPermissions(User *user, String *key, int access) {
    CHECK(access != 0 && (access & ~(ACL_ACCESS | ACL_UPDATE | ACL_INSERT | ACL_DELETE)) == 0);
    if (key->data[0] == '!') return MODULE_ERR;
    if (user->ctx->finds_keys) {
        allow(user->ctx, key);
    } else {
        mark(user->ctx, user->ctx->is_key, key);
    }
    return MODULE_OK;
}
