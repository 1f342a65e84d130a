#include "wait.h"

#include "call.h"
#include "errors.h"
#include "text.h"

/* The server itself keeps who waits for which key: it asks `key_ready` after the command, transaction or script in
 * which the key was signalled, and sees to clients that leave, to time-outs, and to slots of a cluster that move away.
 * But it signals only some changes of some types of keys; every other one is signalled here. */

enum { LONGEST = 60 * 60 * 1000 }; /* milliseconds */

enum kind { EXISTS, FIELD, LENGTH };
enum comparison { EQUAL, AT_LEAST, AT_MOST };

/* What a client waits for; the strings are words of its command. */
struct condition {
    long long timeout; /* milliseconds */
    enum kind kind;
    String *key;
    String *field;              /* of FIELD */
    enum comparison comparison; /* of LENGTH, and with what */
    long long length;
};

enum verdict { NOT_YET, HOLDS, WRONG_TYPE };

/* --- Arguments --- */

static const char *parse_length(String **args, struct condition *condition) {
    if (WORD_IS(args[0], "EQ")) {
        condition->comparison = EQUAL;
    } else if (WORD_IS(args[0], "GE")) {
        condition->comparison = AT_LEAST;
    } else if (WORD_IS(args[0], "LE")) {
        condition->comparison = AT_MOST;
    } else {
        return "ERR a LENGTH is to be EQ, GE or LE";
    }
    const bool read = server.StringToLongLong(args[1], &condition->length) == MODULE_OK;
    return read && condition->length >= 0 ? NULL : "ERR a LENGTH is an integer from 0 on";
}

/* Read a whole command. Returns NULL or the error. */
static const char *parse(String **argv, int argc, struct condition *condition) {
    static const char *const wrong_number = "ERR wrong number of arguments for 'AI._WAIT' command";
    if (argc < 4) return wrong_number;
    *condition = (struct condition){.key = argv[3]};
    const bool read = server.StringToLongLong(argv[1], &condition->timeout) == MODULE_OK;
    if (!read || condition->timeout < 0 || condition->timeout > LONGEST) {
        return "ERR a wait takes 0 to 3600000 milliseconds";
    }
    if (WORD_IS(argv[2], "EXISTS")) return argc == 4 ? NULL : wrong_number;
    if (WORD_IS(argv[2], "FIELD")) {
        if (argc != 5) return wrong_number;
        condition->kind = FIELD;
        condition->field = argv[4];
        return NULL;
    }
    if (!WORD_IS(argv[2], "LENGTH")) return "ERR a wait is for EXISTS, FIELD or LENGTH";
    condition->kind = LENGTH;
    return argc == 6 ? parse_length(argv + 4, condition) : wrong_number;
}

/* --- Looking at keys --- */

static enum verdict judge_length(const struct condition *condition, long long length) {
    switch (condition->comparison) {
        case EQUAL: return length == condition->length ? HOLDS : NOT_YET;
        case AT_LEAST: return length >= condition->length ? HOLDS : NOT_YET;
        default: return length <= condition->length ? HOLDS : NOT_YET;
    }
}

static enum verdict judge_key(const struct condition *condition, Key *key) {
    const int type = server.KeyType(key);
    if (condition->kind == EXISTS) return type == KEY_TYPE_EMPTY ? NOT_YET : HOLDS;
    if (condition->kind == LENGTH) {
        if (type == KEY_TYPE_EMPTY) return judge_length(condition, 0);
        if (type != KEY_TYPE_LIST && type != KEY_TYPE_STREAM) return WRONG_TYPE;
        return judge_length(condition, (long long)server.ValueLength(key));
    }
    if (type == KEY_TYPE_EMPTY) return NOT_YET;
    if (type != KEY_TYPE_HASH) return WRONG_TYPE;
    int exists = 0;
    server.HashGet(key, HASH_EXISTS, condition->field, &exists, NULL);
    return exists ? HOLDS : NOT_YET;
}

static enum verdict judge(Context *ctx, const struct condition *condition) {
    Key *key = server.OpenKey(ctx, condition->key, KEY_READ);
    const enum verdict verdict = judge_key(condition, key);
    server.CloseKey(key);
    return verdict;
}

/* Reply if there is something to say already. */
static bool settle(Context *ctx, const struct condition *condition) {
    const enum verdict verdict = judge(ctx, condition);
    if (verdict == HOLDS) server.ReplyWithLongLong(ctx, 1);
    if (verdict == WRONG_TYPE) server.ReplyWithError(ctx, error_wrong_type);
    return verdict != NOT_YET;
}

/* --- Who waits --- */

struct waiter {
    struct waiter *previous, *next;
    Blocked *blocked;
    int db;
    struct strings words; /* of the command */
};

static struct waiter *waiters;

static struct condition condition_of(const struct waiter *waiter) {
    struct condition condition;
    parse(waiter->words.items, (int)waiter->words.len, &condition);
    return condition;
}

/* The key was signalled, and nothing is under way any more. */
static int key_ready(Context *ctx, String **argv, int argc) {
    struct condition condition;
    parse(argv, argc, &condition);
    return settle(ctx, &condition) ? MODULE_OK : MODULE_ERR; /* an error lets it wait on */
}

static int time_out(Context *ctx, String **argv, int argc) {
    struct condition condition;
    parse(argv, argc, &condition);
    if (!settle(ctx, &condition)) server.ReplyWithLongLong(ctx, 0);
    return MODULE_OK;
}

/* Called in the end, whatever became of the client. */
static void forget(Context *ctx, void *data) {
    (void)ctx;
    struct waiter *waiter = data;
    *(waiter->previous == NULL ? &waiters : &waiter->previous->next) = waiter->next;
    if (waiter->next != NULL) waiter->next->previous = waiter->previous;
    strings_free(&waiter->words);
    server.Free(waiter);
}

static void wait_for(Context *ctx, String **argv, int argc, struct condition *condition) {
    struct waiter *waiter = server.Calloc(1, sizeof *waiter);
    waiter->db = server.GetSelectedDb(ctx);
    waiter->words = strings_hold(argv, (size_t)argc);
    waiter->next = waiters;
    if (waiters != NULL) waiters->previous = waiter;
    waiters = waiter;
    const long long ms = condition->timeout;
    waiter->blocked = server.BlockClientOnKeysWithFlags == NULL
                          ? server.BlockClientOnKeys(ctx, key_ready, time_out, forget, ms, &condition->key, 1, waiter)
                          : server.BlockClientOnKeysWithFlags(ctx, key_ready, time_out, forget, ms, &condition->key, 1,
                                                              waiter, BLOCK_UNBLOCK_DELETED);
}

int wait_command(Context *ctx, String **argv, int argc) {
    struct condition condition;
    const char *error = parse(argv, argc, &condition);
    if (error != NULL) return server.ReplyWithError(ctx, error);
    if (settle(ctx, &condition)) return MODULE_OK;
    if (condition.timeout == 0 || !call_may_wait(ctx)) return server.ReplyWithLongLong(ctx, 0);
    wait_for(ctx, argv, argc, &condition);
    return MODULE_OK;
}

/* --- What wakes them --- */

/* Called for every write of every command. */
static int key_changed(Context *ctx, int kind, const char *event, String *key) {
    (void)kind, (void)event;
    if (waiters != NULL) server.SignalKeyAsReady(ctx, key);
    return MODULE_OK;
}

bool wait_register(Context *ctx) {
    return server.SubscribeToKeyspaceEvents(ctx, NOTIFY_WRITES, key_changed) == MODULE_OK;
}

void wait_signal_all(Context *ctx) {
    const int selected = server.GetSelectedDb(ctx);
    for (const struct waiter *waiter = waiters; waiter != NULL; waiter = waiter->next) {
        server.SelectDb(ctx, waiter->db);
        server.SignalKeyAsReady(ctx, condition_of(waiter).key);
    }
    server.SelectDb(ctx, selected);
}

/* Older servers ask nobody who waits for a key that was deleted, which may be short enough now. */
void wait_sweep(Context *ctx) {
    if (server.BlockClientOnKeysWithFlags != NULL || waiters == NULL) return;
    const int selected = server.GetSelectedDb(ctx);
    for (const struct waiter *waiter = waiters; waiter != NULL; waiter = waiter->next) {
        const struct condition condition = condition_of(waiter);
        server.SelectDb(ctx, waiter->db);
        if (judge(ctx, &condition) != NOT_YET) server.UnblockClient(waiter->blocked, NULL); /* as if it timed out */
    }
    server.SelectDb(ctx, selected);
}
