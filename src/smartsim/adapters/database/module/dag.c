#include "dag.h"

#include "dag_keys.h"
#include "dag_parse.h"
#include "errors.h"
#include "run_commands.h"

/* --- Running: what has its inputs runs. Only earlier operations make them, so one pass forward settles all. --- */

static void finish(Context *ctx, struct request *request, const struct outcome *outcome);

static void start(Context *ctx, struct dag_op *op) {
    for (size_t i = 0; i < op->input_count; i++) {
        op->request->inputs[i] = op->dag->values[op->inputs[i]].tensor;
        tensor_hold(op->request->inputs[i]);
    }
    op->request->finish = finish;
    op->state = DAG_RUNNING;
    const char *error = request_submit(ctx, op->request);
    if (error == NULL) return;
    request_free(op->request);
    op->request = NULL;
    op->dag->unfinished--;
    dag_fail(op, error);
}

static void give_up(struct dag_op *op) {
    op->state = DAG_NOT_RUN;
    op->dag->unfinished--;
    for (size_t i = 0; i < op->output_count; i++) op->dag->values[op->first_output + i].missing = true;
}

/* See to the operations from `first` on, since something has changed for them. */
static void advance(Context *ctx, struct dag *dag, size_t first) {
    for (size_t i = first; i < dag->op_count && !dag->paused; i++) {
        struct dag_op *op = &dag->ops[i];
        if (op->state != DAG_WAITING) continue;
        bool missing = false;
        bool ready = true;
        for (size_t j = 0; j < op->input_count; j++) {
            const struct dag_value *value = &dag->values[op->inputs[j]];
            missing = missing || value->missing;
            ready = ready && value->tensor != NULL;
        }
        if (missing) {
            give_up(op);
        } else if (ready) {
            start(ctx, op);
        }
    }
}

/* Write what is to be kept, if all went well. Returns NULL or the error. */
static const char *persist(Context *ctx, const struct dag *dag) {
    const size_t count = dag->persist_keys.len;
    if (dag->failed || count == 0) return NULL;
    struct tensor **tensors = server.Alloc(count * sizeof *tensors);
    for (size_t i = 0; i < count; i++) tensors[i] = dag->values[dag->persisted[i]].tensor;
    const int selected = server.GetSelectedDb(ctx);
    server.SelectDb(ctx, dag->call.db);
    const char *error = dag->local ? dag_check_served(ctx, &dag->persist_keys) : NULL; /* a slot may have moved away */
    if (error == NULL) error = run_write(ctx, &dag->persist_keys, tensors);
    server.SelectDb(ctx, selected);
    server.Free(tensors);
    return error;
}

static void finish(Context *ctx, struct request *request, const struct outcome *outcome) {
    struct dag_op *op = request->owner;
    struct dag *dag = op->dag;
    op->request = NULL;
    dag->unfinished--;
    if (outcome->error != NULL) {
        dag_fail(op, outcome->error);
    } else {
        op->state = DAG_DONE;
        for (size_t i = 0; i < op->output_count; i++) {
            dag->values[op->first_output + i].tensor = outcome->outputs[i];
            tensor_hold(outcome->outputs[i]);
        }
    }
    advance(ctx, dag, (size_t)(op - dag->ops) + 1);
    if (dag->unfinished == 0) call_finish(&dag->call, call_is_late(&dag->call) ? error_late : persist(ctx, dag));
}

/* --- The call. None joins another, so nobody comes back to one that is paused. --- */

static void pause_call(Context *ctx, struct call *call, bool paused) {
    struct dag *dag = (struct dag *)call;
    dag->paused = paused;
    for (size_t i = 0; i < dag->op_count; i++) {
        if (dag->ops[i].state == DAG_RUNNING) request_pause(ctx, dag->ops[i].request, paused);
    }
}

static bool is_running(const struct call *call) {
    const struct dag *dag = (const struct dag *)call;
    for (size_t i = 0; i < dag->op_count; i++) {
        if (dag->ops[i].state == DAG_RUNNING && dag->ops[i].request->worker != NULL) return true;
    }
    return false;
}

static void withdraw(Context *ctx, struct call *call) {
    (void)ctx;
    struct dag *dag = (struct dag *)call;
    for (size_t i = 0; i < dag->op_count; i++) {
        struct dag_op *op = &dag->ops[i];
        if (op->state != DAG_RUNNING) continue;
        request_withdraw(op->request);
        op->request = NULL; /* the queue's now */
    }
}

static void reply_get(Context *ctx, const struct dag_op *op) {
    const struct tensor *tensor = op->dag->values[op->inputs[0]].tensor;
    if (tensor != NULL) {
        tensor_reply(ctx, tensor, &op->format);
    } else {
        server.ReplyWithSimpleString(ctx, "NA");
    }
}

static void reply(Context *ctx, struct call *call) {
    const struct dag *dag = (const struct dag *)call;
    server.ReplyWithArray(ctx, (long)dag->op_count);
    for (size_t i = 0; i < dag->op_count; i++) {
        const struct dag_op *op = &dag->ops[i];
        if (op->state == DAG_FAILED) {
            server.ReplyWithError(ctx, server.StringPtrLen(op->error, NULL));
        } else if (op->kind == DAG_TENSORGET) {
            reply_get(ctx, op);
        } else {
            server.ReplyWithSimpleString(ctx, op->state == DAG_DONE ? "OK" : "NA");
        }
    }
}

static void free_call(struct call *call) { dag_free((struct dag *)call); }

static const struct call_kind dag_kind = {
    .pause = pause_call, .running = is_running, .withdraw = withdraw, .reply = reply, .free = free_call};

/* --- The commands --- */

static int execute(Context *ctx, const struct dag_form *form, String **argv, int argc) {
    if (server.IsKeysPositionRequest(ctx)) {
        dag_report_keys(ctx, argv, argc);
        return MODULE_OK;
    }
    const char *error = NULL;
    if (form->local) {
        if (!call_allowed(ctx)) return MODULE_OK; /* a transaction is one slot's, as far as the server knows */
        error = dag_check_keys(ctx, argv, argc);
    }
    if (error != NULL) return server.ReplyWithError(ctx, error);
    struct dag *dag = dag_parse(ctx, form, argv, argc, &error);
    if (dag == NULL) return server.ReplyWithError(ctx, error);
    call_init(ctx, &dag->call, &dag_kind);
    if (dag->unfinished > 0 && !call_allowed(ctx)) {
        call_drop(&dag->call);
        return MODULE_OK;
    }
    advance(ctx, dag, 0);
    if (dag->unfinished > 0) {
        call_wait(ctx, &dag->call, dag->timeout);
        return MODULE_OK;
    }
    error = persist(ctx, dag);
    if (error == NULL) {
        reply(ctx, &dag->call);
    } else {
        server.ReplyWithError(ctx, error);
    }
    call_drop(&dag->call);
    return MODULE_OK;
}

int dag_execute(Context *ctx, String **argv, int argc) {
    static const struct dag_form form = {.name = "AI.DAGEXECUTE", .least = 6};
    return execute(ctx, &form, argv, argc);
}

int dag_execute_ro(Context *ctx, String **argv, int argc) {
    static const struct dag_form form = {.name = "AI.DAGEXECUTE_RO", .least = 6, .read_only = true};
    return execute(ctx, &form, argv, argc);
}

int dag_run(Context *ctx, String **argv, int argc) {
    static const struct dag_form form = {.name = "AI.DAGRUN", .least = 4, .deprecated = true};
    return execute(ctx, &form, argv, argc);
}

int dag_run_ro(Context *ctx, String **argv, int argc) {
    static const struct dag_form form = {.name = "AI.DAGRUN_RO", .least = 4, .deprecated = true, .read_only = true};
    return execute(ctx, &form, argv, argc);
}

int dag_local(Context *ctx, String **argv, int argc) {
    static const struct dag_form form = {.name = "AI._DAGLOCAL", .least = 6, .local = true};
    return execute(ctx, &form, argv, argc);
}
