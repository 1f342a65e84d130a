#include "run_commands.h"

#include "call.h"
#include "errors.h"
#include "program_key.h"
#include "tensor_key.h"

/* A run that clients wait for, and what makes it the same as another. */
struct run_call {
    struct call call;
    struct request *request; /* NULL when it is finished */
    unsigned long long version; /* of the program */
    struct strings input_keys;
    unsigned long long *inputs; /* the numbers of the tensors: an outcome that is kept keeps no tensors */
    String *function;
    struct strings keys, args;
    long long list_start;
    struct strings outputs;
    unsigned long long *written; /* the numbers of what it put under the keys of the outputs; NULL before, and if it failed */
    unsigned long long newest;   /* the highest number of a tensor when it began */
};

/* --- What a run needs --- */

const char *run_find_program(Context *ctx, enum run_form form, const struct run_arguments *run,
                             struct program **program) {
    Key *key;
    const enum program_kind kind = run_program_kind(form);
    if (!program_key_open(ctx, run->program_key, kind, KEY_READ, &key, program)) return error_wrong_type;
    server.CloseKey(key);
    if (*program == NULL) return kind == PROGRAM_MODEL ? "ERR model key is empty" : "ERR script key is empty";
    if (kind == PROGRAM_SCRIPT) return NULL;
    const size_t inputs = (*program)->inputs.len;
    const size_t outputs = (*program)->outputs.len;
    if (inputs != 0 && inputs != run->inputs.len) {
        return "Number of keys given as INPUTS here does not match model definition";
    }
    if (outputs != 0 && outputs != run->outputs.len) {
        return "Number of keys given as OUTPUTS here does not match model definition";
    }
    return NULL;
}

struct request *run_request(const struct run_arguments *run, struct program *program) {
    struct request *request = request_new(REQUEST_RUN, program, run->inputs.len, run->outputs.len);
    if (run->function != NULL) request->function = server.HoldString(NULL, run->function);
    request->keys = strings_hold(run->keys.items, run->keys.len);
    request->args = strings_hold(run->args.items, run->args.len);
    request->list_start = run->list_start;
    if (program->name == NULL) program->name = server.HoldString(NULL, run->program_key);
    return request;
}

static const char *open_tensor(Context *ctx, String *name, struct tensor **tensor) {
    Key *key;
    if (!tensor_key_open(ctx, name, KEY_READ, &key, tensor)) return error_wrong_type;
    server.CloseKey(key);
    return *tensor == NULL ? "ERR tensor key is empty or in a different shard" : NULL;
}

/* Give the inputs to the request, and note them in the call. */
static const char *hold_inputs(Context *ctx, struct run_call *call, struct request *request) {
    for (size_t i = 0; i < call->input_keys.len; i++) {
        struct tensor *tensor;
        const char *error = open_tensor(ctx, call->input_keys.items[i], &tensor);
        if (error != NULL) return error;
        tensor_hold(tensor);
        request->inputs[i] = tensor;
        call->inputs[i] = tensor->number;
    }
    return NULL;
}

/* --- Writing outputs --- */

static void replicate_tensor(Context *ctx, String *key, const struct tensor *tensor) {
    size_t len;
    String **words = tensor_arguments(tensor, key, &len);
    server.Replicate(ctx, "AI.TENSORSET", "v", words, len);
    for (size_t i = 0; i < len; i++) server.FreeString(NULL, words[i]);
    server.Free(words);
}

const char *run_write(Context *ctx, const struct strings *keys, struct tensor **tensors) {
    Key *key;
    struct tensor *old;
    if (server.GetContextFlags(ctx) & CONTEXT_REPLICA) return error_replica;
    for (size_t i = 0; i < keys->len; i++) {
        if (!tensor_key_open(ctx, keys->items[i], KEY_READ, &key, &old)) return error_wrong_type;
        server.CloseKey(key);
    }
    for (size_t i = 0; i < keys->len; i++) {
        tensor_key_open(ctx, keys->items[i], KEY_READ | KEY_WRITE, &key, &old);
        tensor_hold(tensors[i]);
        tensor_key_set(key, tensors[i]);
        server.CloseKey(key);
        server.NotifyKeyspaceEvent(ctx, NOTIFY_MODULE, "ai.tensorset", keys->items[i]);
        replicate_tensor(ctx, keys->items[i], tensors[i]);
    }
    return NULL;
}

/* Whether an output was written by somebody else since a run began that nobody waits for: then it comes too late. */
static bool is_overtaken(Context *ctx, const struct run_call *call) {
    if (call->call.waiters != NULL) return false;
    for (size_t i = 0; i < call->outputs.len; i++) {
        struct tensor *tensor;
        if (open_tensor(ctx, call->outputs.items[i], &tensor) == NULL && tensor->number > call->newest) return true;
    }
    return false;
}

static void finish(Context *ctx, struct request *request, const struct outcome *outcome) {
    struct run_call *call = request->owner;
    call->request = NULL;
    const char *error = outcome->error;
    if (error == NULL && call_is_late(&call->call)) error = error_late;
    if (error == NULL) {
        const int selected = server.GetSelectedDb(ctx);
        server.SelectDb(ctx, call->call.db);
        error = is_overtaken(ctx, call) ? "ERR another command has written an output in the meantime"
                                        : run_write(ctx, &call->outputs, outcome->outputs);
        server.SelectDb(ctx, selected);
    }
    if (error == NULL) {
        call->written = server.Alloc((call->outputs.len + 1) * sizeof *call->written);
        for (size_t i = 0; i < call->outputs.len; i++) call->written[i] = outcome->outputs[i]->number;
    }
    call_finish(&call->call, error);
}

/* --- The call --- */

/* Whether a run that is done put the tensor of that number under `key`. */
static bool has_written(const struct run_call *call, const String *key, unsigned long long number) {
    for (size_t i = 0; call->written != NULL && i < call->outputs.len; i++) {
        if (call->written[i] == number && text_same(call->outputs.items[i], key)) return true;
    }
    return false;
}

/* A run that replaced its own input, and whose client did not hear of it, is the same as the one that is sent again and finds the
 * new input. */
static bool same_inputs(const struct run_call *before, const struct run_call *now) {
    if (!strings_same(&before->input_keys, &now->input_keys)) return false;
    for (size_t i = 0; i < now->input_keys.len; i++) {
        if (before->inputs[i] != now->inputs[i] && !has_written(before, now->input_keys.items[i], now->inputs[i])) {
            return false;
        }
    }
    return true;
}

static bool same(const struct call *one, const struct call *other) {
    const struct run_call *before = (const struct run_call *)one;
    const struct run_call *now = (const struct run_call *)other;
    return before->version == now->version && same_inputs(before, now) && before->list_start == now->list_start &&
           strings_same(&before->outputs, &now->outputs) &&
           (before->function == NULL || text_same(before->function, now->function)) &&
           strings_same(&before->keys, &now->keys) && strings_same(&before->args, &now->args);
}

static uint64_t hash(const struct run_call *call) {
    const struct strings *const lists[] = {&call->input_keys, &call->outputs, &call->keys, &call->args};
    uint64_t sum = bytes_hash(0, &call->version, sizeof call->version);
    if (call->function != NULL) sum = text_hash(sum, call->function);
    for (size_t list = 0; list < sizeof lists / sizeof *lists; list++) {
        for (size_t i = 0; i < lists[list]->len; i++) sum = text_hash(sum, lists[list]->items[i]);
    }
    return sum;
}

/* Whether the outputs are still where the run put them. */
static bool is_intact(Context *ctx, const struct call *call) {
    const struct run_call *run = (const struct run_call *)call;
    for (size_t i = 0; i < run->outputs.len; i++) {
        struct tensor *tensor;
        if (open_tensor(ctx, run->outputs.items[i], &tensor) != NULL || tensor->number != run->written[i]) {
            return false;
        }
    }
    return true;
}

static void pause_call(Context *ctx, struct call *call, bool paused) {
    struct run_call *run = (struct run_call *)call;
    request_pause(ctx, run->request, paused);
}

static bool is_running(const struct call *call) {
    const struct run_call *run = (const struct run_call *)call;
    return run->request->worker != NULL;
}

static void withdraw(Context *ctx, struct call *call) {
    (void)ctx;
    struct run_call *run = (struct run_call *)call;
    request_withdraw(run->request);
}

static void reply(Context *ctx, struct call *call) {
    (void)call;
    server.ReplyWithSimpleString(ctx, "OK");
}

static void free_call(struct call *call) {
    struct run_call *run = (struct run_call *)call;
    server.Free(run->inputs);
    server.Free(run->written);
    if (run->function != NULL) server.FreeString(NULL, run->function);
    strings_free(&run->input_keys);
    strings_free(&run->keys);
    strings_free(&run->args);
    strings_free(&run->outputs);
    server.Free(run);
}

static const struct call_kind run_kind = {
    .same = same, .intact = is_intact, .pause = pause_call, .running = is_running, .withdraw = withdraw, .reply = reply, .free = free_call};

static struct run_call *new_call(Context *ctx, const struct run_arguments *run, const struct program *program) {
    struct run_call *call = server.Calloc(1, sizeof *call);
    call_init(ctx, &call->call, &run_kind);
    call->version = program->version;
    call->newest = tensor_newest();
    call->input_keys = (struct strings){server.Alloc((run->inputs.len + 1) * sizeof(String *)), run->inputs.len};
    for (size_t i = 0; i < run->inputs.len; i++) {
        call->input_keys.items[i] = server.HoldString(NULL, run_input(run, i));
    }
    call->inputs = server.Calloc(run->inputs.len + 1, sizeof *call->inputs);
    if (run->function != NULL) call->function = server.HoldString(NULL, run->function);
    call->keys = strings_hold(run->keys.items, run->keys.len);
    call->args = strings_hold(run->args.items, run->args.len);
    call->outputs = strings_hold(run->outputs.items, run->outputs.len);
    call->list_start = run->list_start;
    return call;
}

/* --- The commands --- */

static int execute(Context *ctx, enum run_form form, String **argv, int argc) {
    if (server.IsKeysPositionRequest(ctx)) {
        run_report_keys(ctx, form, argv, argc);
        return MODULE_OK;
    }
    struct run_arguments run;
    struct program *program = NULL;
    const char *error = run_parse(form, argv, argc, &run);
    if (error == NULL) error = run_find_program(ctx, form, &run, &program);
    if (error != NULL) return server.ReplyWithError(ctx, error);
    if (!call_allowed(ctx)) return MODULE_OK;

    struct run_call *call = new_call(ctx, &run, program);
    struct request *request = run_request(&run, program);
    request->finish = finish;
    request->owner = call;
    struct call *found = NULL;
    error = hold_inputs(ctx, call, request);
    if (error == NULL) {
        call->call.hash = hash(call);
        found = call_find(ctx, &call->call);
    }
    if (error == NULL && found == NULL) error = request_submit(ctx, request);
    if (error == NULL && found == NULL) {
        call->request = request;
        call_wait(ctx, &call->call, run.timeout);
        return MODULE_OK;
    }
    if (error != NULL) server.ReplyWithError(ctx, error);
    request_free(request);
    call_drop(&call->call);
    if (found != NULL) call_wait(ctx, found, run.timeout);
    return MODULE_OK;
}

int run_model_execute(Context *ctx, String **argv, int argc) { return execute(ctx, RUN_MODELEXECUTE, argv, argc); }
int run_model_run(Context *ctx, String **argv, int argc) { return execute(ctx, RUN_MODELRUN, argv, argc); }
int run_script_execute(Context *ctx, String **argv, int argc) { return execute(ctx, RUN_SCRIPTEXECUTE, argv, argc); }
int run_script_run(Context *ctx, String **argv, int argc) { return execute(ctx, RUN_SCRIPTRUN, argv, argc); }
