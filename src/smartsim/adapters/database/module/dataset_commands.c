#include "dataset_commands.h"

#include <string.h>

#include "dataset.h"
#include "dataset_find.h"
#include "errors.h"
#include "tensor_key.h"

enum { KEEP = -1 }; /* of what has an expiry: what it is */
static const long long longest = 1LL << 53; /* milliseconds, before the server's numbers overflow */

/* --- Writing --- */

/* Have the server do something with keys, here and on replicas. */
static void call(Context *ctx, const char *command, String **keys, size_t len) {
    CallReply *reply = server.Call(ctx, command, "!v", keys, len);
    if (reply != NULL) server.FreeCallReply(reply);
}

static void set_lifetime(Context *ctx, String *key, long long ms) {
    if (ms == KEEP) return;
    if (ms == 0) {
        call(ctx, "PERSIST", &key, 1);
        return;
    }
    /* Not in so many milliseconds but at that time, which is the same wherever and whenever this is done again. */
    String *words[] = {key, server.CreateStringFromLongLong(NULL, server.Milliseconds() + ms)};
    call(ctx, "PEXPIREAT", words, 2);
    server.FreeString(NULL, words[1]);
}

/* Read in how many milliseconds something expires: 0 is never. */
static bool parse_ms(const String *word, long long *ms) {
    return server.StringToLongLong(word, ms) == MODULE_OK && *ms >= 0 && *ms <= longest;
}

/* --- AI._DATASETPUT --- */

enum { BEFORE_FIELDS = 4 };

struct put {
    String **argv;
    int argc;
    long long ms;
    size_t words; /* fields and values */
    String *names; /* one of them; NULL if there is none */
    struct strings keys;
    struct tensors tensors;
    struct dataset old;
};

static String *find_names(String **words, size_t count) {
    String *names = NULL;
    for (size_t i = 0; i < count; i += 2) {
        size_t len;
        const char *field = server.StringPtrLen(words[i], &len);
        if (len == strlen(DATASET_NAMES) && memcmp(field, DATASET_NAMES, len) == 0) names = words[i + 1];
    }
    return names;
}

/* Read a whole command; `put` is to be freed, come what may. */
static const char *parse_put(String **argv, int argc, struct put *put) {
    static const char *const wrong_number = "ERR wrong number of arguments for 'AI._DATASETPUT' command";
    long long fields;
    size_t stem;
    if (argc < BEFORE_FIELDS + 2) return wrong_number;
    if (!dataset_stem(argv[1], &stem)) return dataset_no_key;
    if (!parse_ms(argv[2], &put->ms)) return "ERR invalid expire time in 'AI._DATASETPUT' command";
    if (server.StringToLongLong(argv[3], &fields) != MODULE_OK || fields < 1 || fields > (argc - BEFORE_FIELDS) / 2) {
        return "ERR invalid number of fields in 'AI._DATASETPUT' command";
    }
    put->words = 2 * (size_t)fields;
    put->names = find_names(argv + BEFORE_FIELDS, put->words);
    if (!dataset_keys(argv[1], put->names, &put->keys)) return dataset_unreadable;
    String **rest = argv + BEFORE_FIELDS + put->words;
    const size_t count = (size_t)argc - BEFORE_FIELDS - put->words;
    if (count == 1) return wrong_number;
    const char *error = count == 0 ? NULL : dataset_parse_tensors(rest[0], rest + 1, count - 1, &put->tensors);
    if (error != NULL) return error;
    if (put->tensors.len != put->keys.len) return "ERR there are not as many tensors as names of tensors";
    for (size_t i = 0; i < put->keys.len; i++) {
        if (text_same(put->keys.items[i], argv[1])) return "ERR a tensor cannot be named meta";
    }
    return NULL;
}

static bool has_same_names(const struct put *put) {
    if (put->names == NULL || put->old.names == NULL) return put->names == put->old.names;
    return text_same(put->names, put->old.names);
}

static void write_hash(Context *ctx, const struct put *put) {
    Key *key = server.OpenKey(ctx, put->argv[1], KEY_READ | KEY_WRITE);
    server.DeleteKey(key);
    String **word = put->argv + BEFORE_FIELDS;
    for (size_t i = 0; i < put->words; i += 2) server.HashSet(key, 0, word[i], word[i + 1], NULL);
    server.CloseKey(key);
    server.NotifyKeyspaceEvent(ctx, NOTIFY_HASH, "hset", put->argv[1]);
}

static void write_tensors(Context *ctx, const struct put *put) {
    for (size_t i = 0; i < put->keys.len; i++) {
        Key *key = server.OpenKey(ctx, put->keys.items[i], KEY_READ | KEY_WRITE);
        tensor_hold(put->tensors.items[i]);
        tensor_key_set(key, put->tensors.items[i]);
        server.CloseKey(key);
        server.NotifyKeyspaceEvent(ctx, NOTIFY_MODULE, "ai.tensorset", put->keys.items[i]);
    }
}

static void replicate_put(Context *ctx, const struct put *put) {
    if (put->ms == 0) {
        server.ReplicateVerbatim(ctx);
        return;
    }
    String *given = put->argv[2];
    put->argv[2] = server.CreateString(NULL, "0", 1); /* what ends its life is passed on as what it does */
    server.Replicate(ctx, "AI._DATASETPUT", "v", put->argv + 1, (size_t)put->argc - 1);
    server.FreeString(NULL, put->argv[2]);
    put->argv[2] = given;
    set_lifetime(ctx, put->argv[1], put->ms);
    for (size_t i = 0; i < put->keys.len; i++) set_lifetime(ctx, put->keys.items[i], put->ms);
}

int dataset_put(Context *ctx, String **argv, int argc) {
    struct put put = {.argv = argv, .argc = argc};
    const char *error = parse_put(argv, argc, &put);
    if (error == NULL) {
        put.old = dataset_find_hash(ctx, argv[1]);
        if (!has_same_names(&put)) dataset_find_keys(&put.old); /* those that are to go */
        error = dataset_check_writes(ctx, argv[1], &put.keys);
    }
    if (error == NULL) error = dataset_check_writes(ctx, argv[1], &put.old.keys);
    if (error == NULL) {
        if (put.old.keys.len > 0) call(ctx, "UNLINK", put.old.keys.items, put.old.keys.len);
        write_hash(ctx, &put);
        write_tensors(ctx, &put);
        replicate_put(ctx, &put);
        server.ReplyWithSimpleString(ctx, "OK");
    } else {
        server.ReplyWithError(ctx, error);
    }
    dataset_forget(ctx, &put.old);
    strings_free(&put.keys);
    tensors_free(&put.tensors);
    return MODULE_OK;
}

/* --- AI._DATASETGET --- */

static void reply_dataset(Context *ctx, const struct dataset *dataset, struct tensor *const *tensors) {
    CallReply *fields = server.Call(ctx, "HGETALL", "s", dataset->meta);
    if (fields == NULL) {
        server.ReplyWithError(ctx, dataset_unsteady_slot);
        return;
    }
    server.ReplyWithArray(ctx, 2 + (long)dataset_count_blobs(tensors, dataset->keys.len));
    server.ReplyWithCallReply(ctx, fields);
    server.FreeCallReply(fields);
    dataset_reply_tensors(ctx, tensors, dataset->keys.len);
}

int dataset_get(Context *ctx, String **argv, int argc) {
    if (argc != 2) return server.ReplyWithError(ctx, "ERR wrong number of arguments for 'AI._DATASETGET' command");
    struct dataset dataset = dataset_find_all(ctx, argv[1]);
    if (dataset.presence == ABSENT) {
        server.ReplyWithNull(ctx);
    } else {
        struct tensor **tensors = NULL;
        const char *error = dataset_check_readable(&dataset);
        if (error == NULL) error = dataset_check_keys(ctx, argv[1], &dataset.keys, ACL_ACCESS);
        if (error == NULL) error = dataset_find_tensors(ctx, &dataset, &tensors);
        if (error == NULL) {
            reply_dataset(ctx, &dataset, tensors);
        } else {
            server.ReplyWithError(ctx, error);
        }
        server.Free(tensors);
    }
    dataset_forget(ctx, &dataset);
    return MODULE_OK;
}

/* --- AI._DATASETDEL --- */

static void unlink_dataset(Context *ctx, struct dataset *dataset) {
    call(ctx, "UNLINK", &dataset->meta, 1);
    if (dataset->keys.len > 0) call(ctx, "UNLINK", dataset->keys.items, dataset->keys.len);
}

int dataset_delete(Context *ctx, String **argv, int argc) {
    if (argc != 2) return server.ReplyWithError(ctx, "ERR wrong number of arguments for 'AI._DATASETDEL' command");
    size_t stem;
    struct dataset dataset = dataset_find_all(ctx, argv[1]);
    const char *error = dataset_stem(argv[1], &stem) ? dataset_check_writes(ctx, argv[1], &dataset.keys) : dataset_no_key;
    if (error == NULL) {
        if (dataset.presence != ABSENT) unlink_dataset(ctx, &dataset);
        server.ReplyWithLongLong(ctx, dataset.presence != ABSENT);
    } else {
        server.ReplyWithError(ctx, error);
    }
    dataset_forget(ctx, &dataset);
    return MODULE_OK;
}

/* --- AI._DATASETCOPY, AI._DATASETRENAME --- */

struct transfer {
    bool moves; /* or copies */
    long long ms;
    struct dataset from, old; /* what is, and what is replaced */
    struct strings keys;      /* that the tensors will have */
};

static const char *check_transfer(Context *ctx, struct transfer *transfer) {
    struct tensor **tensors = NULL;
    const struct dataset *from = &transfer->from;
    String *to = transfer->old.meta;
    const char *error = dataset_check_readable(from);
    if (error == NULL && !dataset_keys(to, from->names, &transfer->keys)) error = dataset_no_key;
    if (error == NULL) error = dataset_check_keys(ctx, from->meta, &from->keys, transfer->moves ? ACL_ACCESS | ACL_DELETE : ACL_ACCESS);
    if (error == NULL) error = dataset_check_writes(ctx, to, &transfer->old.keys);
    if (error == NULL) error = dataset_check_writes(ctx, to, &transfer->keys);
    if (error == NULL) error = dataset_find_tensors(ctx, from, &tensors);
    server.Free(tensors);
    if (error == NULL && dataset_stems_overlap(from->meta, to) && !text_same(from->meta, to)) {
        error = "ERR the one dataset may have keys of the other, since its stem begins with the other's";
    }
    return error;
}

static void transfer_key(Context *ctx, const struct transfer *transfer, String *from, String *to) {
    String *words[] = {from, to};
    call(ctx, transfer->moves ? "RENAME" : "COPY", words, 2);
    set_lifetime(ctx, to, transfer->ms);
}

static void carry_out(Context *ctx, struct transfer *transfer) {
    if (text_same(transfer->from.meta, transfer->old.meta)) return;
    if (transfer->old.presence != ABSENT) unlink_dataset(ctx, &transfer->old);
    if (transfer->keys.len > 0) call(ctx, "UNLINK", transfer->keys.items, transfer->keys.len);
    transfer_key(ctx, transfer, transfer->from.meta, transfer->old.meta);
    for (size_t i = 0; i < transfer->keys.len; i++) {
        transfer_key(ctx, transfer, transfer->from.keys.items[i], transfer->keys.items[i]);
    }
}

static int run_transfer(Context *ctx, String **argv, int argc, bool moves) {
    struct transfer transfer = {.moves = moves, .ms = KEEP};
    const char *name = moves ? "AI._DATASETRENAME" : "AI._DATASETCOPY";
    if (argc != 3 && argc != 4) {
        return server.ReplyWithError(ctx, error_format("ERR wrong number of arguments for '%s' command", name));
    }
    if (argc == 4 && !parse_ms(argv[3], &transfer.ms)) {
        return server.ReplyWithError(ctx, error_format("ERR invalid expire time in '%s' command", name));
    }
    transfer.from = dataset_find_all(ctx, argv[1]);
    transfer.old = dataset_find_all(ctx, argv[2]);
    const bool present = transfer.from.presence != ABSENT;
    const char *error = present ? check_transfer(ctx, &transfer) : NULL;
    if (error == NULL) {
        if (present) carry_out(ctx, &transfer);
        server.ReplyWithLongLong(ctx, present);
    } else {
        server.ReplyWithError(ctx, error);
    }
    dataset_forget(ctx, &transfer.from);
    dataset_forget(ctx, &transfer.old);
    strings_free(&transfer.keys);
    return MODULE_OK;
}

int dataset_copy(Context *ctx, String **argv, int argc) { return run_transfer(ctx, argv, argc, false); }

int dataset_rename(Context *ctx, String **argv, int argc) { return run_transfer(ctx, argv, argc, true); }
