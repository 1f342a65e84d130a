#include "store_commands.h"

#include "call.h"
#include "errors.h"
#include "program_key.h"
#include "program_parse.h"
#include "queue.h"

enum { CHECK_TIMEOUT = 300 * 1000 }; /* milliseconds; large models take a while to load */

/* A store that waits for its check. */
struct store {
    struct call call;
    struct program *program; /* held */
    String *key;             /* held */
    struct request *request; /* the check; NULL before it is submitted and once it is finished */
};

static bool same(const struct call *one, const struct call *other) {
    const struct store *first = (const struct store *)one;
    const struct store *second = (const struct store *)other;
    return text_same(first->key, second->key) && program_equal(first->program, second->program);
}

/* A store that is sent again while the key holds its program is answered before it comes to this. */
static bool is_intact(Context *ctx, const struct call *call) {
    (void)ctx, (void)call;
    return false;
}

static void pause_check(Context *ctx, struct call *call, bool paused) {
    const struct store *store = (const struct store *)call;
    if (store->request != NULL) request_pause(ctx, store->request, paused);
}

static bool running(const struct call *call) {
    const struct store *store = (const struct store *)call;
    return store->request != NULL && store->request->worker != NULL;
}

static void withdraw(Context *ctx, struct call *call) {
    (void)ctx;
    struct store *store = (struct store *)call;
    if (store->request != NULL) request_withdraw(store->request);
    store->request = NULL;
}

static void reply(Context *ctx, struct call *call) {
    (void)call;
    server.ReplyWithSimpleString(ctx, "OK");
}

static void free_store(struct call *call) {
    struct store *store = (struct store *)call;
    program_release(store->program);
    server.FreeString(NULL, store->key);
    server.Free(store);
}

static const struct call_kind store_kind = {
    .same = same,
    .intact = is_intact,
    .pause = pause_check,
    .running = running,
    .withdraw = withdraw,
    .reply = reply,
    .free = free_store,
};

/* --- Writing the key --- */

static void notify(Context *ctx, const struct program *program, String *name) {
    const char *event = program->kind == PROGRAM_MODEL ? "ai.modelstore" : "ai.scriptstore";
    server.NotifyKeyspaceEvent(ctx, NOTIFY_MODULE, event, name);
}

static const char *write_key(Context *ctx, String *name, struct program *program) {
    Key *key;
    struct program *old;
    if (server.GetContextFlags(ctx) & CONTEXT_REPLICA) return error_replica;
    if (!program_key_open(ctx, name, program->kind, KEY_READ | KEY_WRITE, &key, &old)) return error_wrong_type;
    if (old != NULL && !old->loaded && old->version > program->version) { /* a later command was faster, and stays */
        server.CloseKey(key);
        return NULL;
    }
    program_hold(program);
    program_key_set(key, program);
    server.CloseKey(key);
    notify(ctx, program, name);
    const char *command;
    struct strings arguments = program_arguments(program, name, &command);
    server.Replicate(ctx, command, "v", arguments.items, arguments.len);
    strings_free(&arguments);
    return NULL;
}

/* Models other than TF's learn from the check what their inputs and outputs are called. */
static void take_names(struct program *program, const struct outcome *outcome) {
    if (program->kind != PROGRAM_MODEL || program->backend == BACKEND_TF) return;
    program->inputs = strings_hold(outcome->inputs_found->items, outcome->inputs_found->len);
    program->outputs = strings_hold(outcome->outputs_found->items, outcome->outputs_found->len);
}

static void finish(Context *ctx, struct request *request, const struct outcome *outcome) {
    struct store *store = request->owner;
    store->request = NULL;
    const char *error = outcome->error;
    if (error == NULL && call_is_late(&store->call)) error = error_late;
    if (error == NULL) {
        const int selected = server.GetSelectedDb(ctx);
        take_names(store->program, outcome);
        server.SelectDb(ctx, store->call.db);
        error = write_key(ctx, store->key, store->program);
        server.SelectDb(ctx, selected);
    }
    call_finish(&store->call, error);
}

/* --- The commands --- */

/* What the primary or the AOF says was checked before. */
static int store_checked(Context *ctx, Key *key, String *name, struct program *program) {
    program_key_set(key, program);
    server.CloseKey(key);
    notify(ctx, program, name);
    server.ReplicateVerbatim(ctx);
    return server.ReplyWithSimpleString(ctx, "OK");
}

/* Let the client wait for a check of `program`, whose ownership is taken over. */
static int store_after_check(Context *ctx, String *name, struct program *program) {
    struct store *store = server.Calloc(1, sizeof *store);
    call_init(ctx, &store->call, &store_kind);
    store->program = program;
    store->key = server.HoldString(NULL, name);
    store->call.hash = text_hash(0, name);

    struct call *call = call_find(ctx, &store->call);
    if (call == NULL) {
        struct request *request = request_new(REQUEST_CHECK, program, 0, 0);
        request->finish = finish;
        request->owner = store;
        const char *error = request_submit(ctx, request);
        if (error != NULL) {
            server.ReplyWithError(ctx, error);
            request_free(request);
            call_drop(&store->call);
            return MODULE_OK;
        }
        store->request = request;
        call = &store->call;
    } else {
        call_drop(&store->call);
    }
    call_wait(ctx, call, CHECK_TIMEOUT);
    return MODULE_OK;
}

static int store(Context *ctx, String **argv, int argc, enum program_kind kind, ProgramParser *parse,
                 const char *wrong_arity) {
    if (argc < 2) return server.ReplyWithError(ctx, wrong_arity);
    const bool checked = (server.GetContextFlags(ctx) & (CONTEXT_REPLICATED | CONTEXT_LOADING)) != 0;
    Key *key;
    struct program *old;
    if (!program_key_open(ctx, argv[1], kind, checked ? KEY_READ | KEY_WRITE : KEY_READ, &key, &old)) {
        return server.ReplyWithError(ctx, error_wrong_type);
    }
    struct program *program = program_new(kind);
    const char *error = parse(argv + 2, argc - 2, checked, program);
    if (error == NULL && checked) return store_checked(ctx, key, argv[1], program);
    const bool unchanged = error == NULL && old != NULL && program_equal(old, program);
    server.CloseKey(key);
    if (error == NULL && !unchanged && call_allowed(ctx)) return store_after_check(ctx, argv[1], program);
    program_release(program);
    if (error != NULL) return server.ReplyWithError(ctx, error);
    return unchanged ? server.ReplyWithSimpleString(ctx, "OK") : MODULE_OK;
}

int model_store(Context *ctx, String **argv, int argc) {
    return store(ctx, argv, argc, PROGRAM_MODEL, parse_model_store,
                 "ERR wrong number of arguments for 'AI.MODELSTORE' command");
}

int model_set(Context *ctx, String **argv, int argc) {
    return store(ctx, argv, argc, PROGRAM_MODEL, parse_model_set,
                 "ERR wrong number of arguments for 'AI.MODELSET' command");
}

int script_store(Context *ctx, String **argv, int argc) {
    return store(ctx, argv, argc, PROGRAM_SCRIPT, parse_script_store,
                 "ERR wrong number of arguments for 'AI.SCRIPTSTORE' command");
}

int script_set(Context *ctx, String **argv, int argc) {
    return store(ctx, argv, argc, PROGRAM_SCRIPT, parse_script_set,
                 "ERR wrong number of arguments for 'AI.SCRIPTSET' command");
}
