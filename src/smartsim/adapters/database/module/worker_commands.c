#include "worker_commands.h"

#include <limits.h>
#include <string.h>

#include "errors.h"
#include "worker.h"
#include "worker_item.h"

enum { PROTOCOL = 1 };

/* --- HELLO, UNAVAILABLE --- */

static int hello(Context *ctx, String **argv, int argc) {
    long long protocol = 0;
    long long process = 0;
    struct device device;
    if (argc < 6 || argc % 2 != 0) return server.ReplyWithError(ctx, "ERR wrong number of arguments for HELLO");
    if (server.StringToLongLong(argv[2], &protocol) != MODULE_OK || protocol != PROTOCOL) {
        return server.ReplyWithError(ctx, "ERR this server speaks version 1 of the workers' protocol: use the worker of the same release");
    }
    const bool supervisor = WORD_IS(argv[3], "SUPERVISOR");
    if (!supervisor && !WORD_IS(argv[3], "WORKER")) return server.ReplyWithError(ctx, "ERR not WORKER or SUPERVISOR");
    if (!device_parse(argv[4], &device)) return server.ReplyWithError(ctx, "ERR Invalid DEVICE");
    if (server.StringToLongLong(argv[5], &process) != MODULE_OK) return server.ReplyWithError(ctx, "ERR invalid process id");
    enum backend backend;
    for (int i = 6; i < argc; i += 2) {
        if (!backend_parse(argv[i], &backend)) return server.ReplyWithError(ctx, "ERR unsupported backend");
    }
    struct worker *worker = worker_introduce(server.GetClientId(ctx));
    worker->supervisor = supervisor;
    worker->device = device;
    worker->process = process;
    for (int i = 6; i < argc; i += 2) {
        backend_parse(argv[i], &backend);
        if (worker->backends[backend] == NULL) worker->backends[backend] = server.HoldString(NULL, argv[i + 1]);
    }
    queue_fail_unserved(ctx);
    return server.ReplyWithSimpleString(ctx, "OK");
}

static int unavailable(Context *ctx, struct worker *worker, String **argv, int argc) {
    if (argc != 3 || !worker->supervisor) return server.ReplyWithError(ctx, "ERR UNAVAILABLE takes a supervisor's reason");
    if (worker->unavailable != NULL) server.FreeString(NULL, worker->unavailable);
    worker->unavailable = server.HoldString(NULL, argv[2]);
    queue_fail_unserved(ctx);
    return server.ReplyWithSimpleString(ctx, "OK");
}

/* --- Answers --- */

/* The words of an answer, from left to right; once one is not what it should be, `error` is set and stays. */
struct answer {
    String **words;
    int count, next;
    const char *error;
};

static String *take_word(struct answer *answer) {
    if (answer->error == NULL && answer->next >= answer->count) answer->error = "words are missing";
    return answer->error == NULL ? answer->words[answer->next++] : NULL;
}

static long long take_number(struct answer *answer, long long least, long long most) {
    long long number = 0;
    const String *word = take_word(answer);
    if (word == NULL) return least;
    if (server.StringToLongLong(word, &number) == MODULE_OK && number >= least && number <= most) return number;
    answer->error = "a number is none, or out of its range";
    return least;
}

/* Read the layout of one output: a tensor without a blob, to be discarded by the caller. */
static struct tensor *take_layout(struct answer *answer) {
    enum element_type type = ELEMENT_FLOAT;
    size_t len = 0;
    const String *word = take_word(answer);
    const char *name = word == NULL ? "" : server.StringPtrLen(word, &len);
    if (word != NULL && !tensor_type_parse(name, len, &type)) answer->error = "a type is unknown";
    const size_t ndims = (size_t)take_number(answer, 0, answer->count - answer->next);
    struct tensor *layout = tensor_new(type, ndims);
    for (size_t i = 0; i < ndims; i++) layout->dims[i] = take_number(answer, 0, LLONG_MAX);
    return layout;
}

/* Cut the piece of one request out of an output. Returns NULL with the answer's error set if it does not fit. */
static struct tensor *take_piece(struct answer *answer, const struct tensor *layout, bool joined, long long rows) {
    String *blob = take_word(answer);
    if (blob == NULL) return NULL;
    struct tensor *piece = tensor_new(layout->type, layout->ndims);
    memcpy(piece->dims, layout->dims, layout->ndims * sizeof layout->dims[0]);
    if (joined) piece->dims[0] = rows;
    const char *error = NULL;
    if (!tensor_measure(piece)) {
        error = "an output is empty, and a tensor has one element at least";
    } else {
        error = tensor_take_blob(piece, server.HoldString(NULL, blob));
        if (error != NULL) error += strlen("ERR ");
    }
    if (error == NULL) return piece;
    answer->error = error;
    tensor_release(piece);
    return NULL;
}

/* Read one output of all requests into `outputs[request * output_count + output]`. */
static void take_output(struct answer *answer, const struct batch *batch, size_t output, struct tensor **outputs) {
    struct tensor *layout = take_layout(answer);
    const bool joined = batch->len > 1;
    long long rows = 0;
    for (const struct request *request = batch->first; request != NULL; request = request->next) rows += request->rows;
    if (answer->error == NULL && joined && (layout->ndims == 0 || layout->dims[0] != rows)) {
        answer->error = "Model did not generate the expected batch size";
    }
    size_t place = output;
    for (const struct request *request = batch->first; request != NULL; request = request->next) {
        if (answer->error == NULL) outputs[place] = take_piece(answer, layout, joined, request->rows);
        place += batch->first->output_count;
    }
    tensor_release(layout);
}

static struct tensor **take_outputs(struct answer *answer, const struct batch *batch) {
    const size_t each = batch->first->output_count;
    struct tensor **outputs = server.Calloc(each * batch->len + 1, sizeof *outputs);
    const long long found = take_number(answer, 0, INT_MAX);
    if (answer->error == NULL && (size_t)found != each) answer->error = "the number of outputs is not the one that was asked for";
    for (size_t i = 0; i < each && answer->error == NULL; i++) take_output(answer, batch, i, outputs);
    if (answer->error == NULL && answer->next != answer->count) answer->error = "there are words too many";
    return outputs;
}

/* Take the batch from its worker, so that finishing its requests may give the worker another. */
static struct batch *take_batch(struct worker *worker) {
    struct batch *batch = worker->batch;
    worker->batch = NULL;
    worker->jobs++;
    return batch;
}

static void fail_all(Context *ctx, struct worker *worker, const char *error) {
    queue_fail(ctx, take_batch(worker), error);
}

static void done(Context *ctx, struct worker *worker, struct answer *answer) {
    const long long run_time = take_number(answer, 0, LLONG_MAX);
    if (worker->batch->first->kind != REQUEST_RUN) answer->error = "the job is no run";
    struct tensor **outputs = take_outputs(answer, worker->batch);
    const size_t each = worker->batch->first->output_count;
    const size_t count = each * worker->batch->len;
    if (answer->error != NULL) {
        fail_all(ctx, worker, error_format("ERR %s", answer->error));
    } else {
        struct batch *batch = take_batch(worker);
        struct tensor **own = outputs;
        for (struct request *request = batch->first, *next; request != NULL; request = next, own += each) {
            next = request->next;
            queue_finish(ctx, batch, request, &(struct outcome){.outputs = own});
        }
        queue_end(batch, run_time);
    }
    for (size_t i = 0; i < count; i++) {
        if (outputs[i] != NULL) tensor_release(outputs[i]);
    }
    server.Free(outputs);
}

/* Take `n name...`; the names stay the command's. */
static struct strings take_names(struct answer *answer) {
    const long long len = take_number(answer, 0, INT_MAX);
    if (len > answer->count - answer->next) answer->error = "names are missing";
    if (answer->error != NULL) return (struct strings){NULL, 0};
    const struct strings names = {answer->words + answer->next, (size_t)len};
    answer->next += (int)len;
    return names;
}

static void checked(Context *ctx, struct worker *worker, struct answer *answer) {
    const long long run_time = take_number(answer, 0, LLONG_MAX);
    const struct strings inputs = take_names(answer);
    const struct strings outputs = take_names(answer);
    if (worker->batch->first->kind != REQUEST_CHECK) answer->error = "the job is no check";
    if (answer->error == NULL && answer->next != answer->count) answer->error = "there are words too many";
    if (answer->error != NULL) {
        fail_all(ctx, worker, error_format("ERR %s", answer->error));
    } else {
        struct batch *batch = take_batch(worker);
        queue_finish(ctx, batch, batch->first, &(struct outcome){.inputs_found = &inputs, .outputs_found = &outputs});
        queue_end(batch, run_time);
    }
}

static void failed(Context *ctx, struct worker *worker, struct answer *answer) {
    size_t len = 0;
    const String *word = take_word(answer);
    const char *text = word == NULL ? "" : server.StringPtrLen(word, &len);
    if (answer->error == NULL && answer->next != answer->count) answer->error = "there are words too many";
    fail_all(ctx, worker, answer->error == NULL ? error_line(text, len) : error_format("ERR %s", answer->error));
}

/* DONE, CHECKED and FAIL name the job that they answer. They do not wait for the next: a command that waits keeps its words, and
 * those of DONE may be large. */
static int answer_job(Context *ctx, struct worker *worker, String **argv, int argc) {
    struct answer answer = {argv, argc, 2, NULL};
    const long long job = take_number(&answer, 0, LLONG_MAX);
    if (answer.error != NULL || worker->batch == NULL || (unsigned long long)job != worker->batch->job) {
        return server.ReplyWithError(ctx, "ERR this connection has no such job");
    }
    if (WORD_IS(argv[1], "DONE")) {
        done(ctx, worker, &answer);
    } else if (WORD_IS(argv[1], "CHECKED")) {
        checked(ctx, worker, &answer);
    } else {
        failed(ctx, worker, &answer);
    }
    worker_dispatch(ctx); /* what had to wait for this job, for a process of its own, may go to another connection */
    return server.ReplyWithSimpleString(ctx, "OK");
}

/* --- The command --- */

int worker_command(Context *ctx, String **argv, int argc) {
    if (argc < 2) return server.ReplyWithError(ctx, "ERR wrong number of arguments for 'AI._WORKER' command");
    if (server.GetContextFlags(ctx) & (CONTEXT_MULTI | CONTEXT_LUA | CONTEXT_DENY_BLOCKING)) {
        return server.ReplyWithError(ctx, "ERR workers do not work within a transaction or a script");
    }
    const String *word = argv[1];
    if (WORD_IS(word, "HELLO")) return hello(ctx, argv, argc);
    struct worker *worker = worker_find(server.GetClientId(ctx));
    if (worker == NULL) return server.ReplyWithError(ctx, "ERR say HELLO first");
    if (WORD_IS(word, "DONE") || WORD_IS(word, "CHECKED") || WORD_IS(word, "FAIL")) {
        return answer_job(ctx, worker, argv, argc);
    }
    if (WORD_IS(word, "UNAVAILABLE")) return unavailable(ctx, worker, argv, argc);
    if (WORD_IS(word, "NEXT")) {
        if (worker->batch == NULL) return worker_next(ctx, worker);
        return server.ReplyWithError(ctx, "ERR answer the job before you ask for the next");
    }
    if (WORD_IS(word, "FETCH")) {
        if (worker->batch == NULL) return server.ReplyWithError(ctx, "ERR this connection has no job");
        worker_remember(worker, worker->batch->program);
        item_reply_program(ctx, worker->batch->program);
        return MODULE_OK;
    }
    return server.ReplyWithError(ctx, "ERR unsupported subcommand");
}
