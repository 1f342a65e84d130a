/* A DAG: operations on tensors that its clients name, as AI.DAGEXECUTE and its kin give them. */
#ifndef SMARTSIM_DAG_PARSE_H
#define SMARTSIM_DAG_PARSE_H

#include "call.h"
#include "dag_words.h"
#include "queue.h"
#include "tensor_commands.h"

/* What a name stands for from one position of the DAG to another. */
struct dag_value {
    struct tensor *tensor; /* held; NULL until it is there */
    bool missing;          /* it never will be there */
};

enum dag_op_state {
    DAG_WAITING, /* for inputs; only a run does */
    DAG_RUNNING,
    DAG_DONE,
    DAG_FAILED,
    DAG_NOT_RUN, /* since an input is missing */
};

struct dag_op {
    struct dag *dag;
    enum dag_op_kind kind;
    enum dag_op_state state;
    String *error;               /* of one that failed */
    struct tensor_format format; /* of AI.TENSORGET */
    struct request *request;     /* of a run until it is finished; its inputs are filled in when it is submitted */
    size_t *inputs;              /* positions among the values */
    size_t input_count;
    size_t first_output, output_count; /* a range of the values */
};

struct dag {
    struct call call;
    struct dag_op *ops;
    size_t op_count;
    struct dag_value *values;
    size_t value_count;
    struct strings persist_keys;
    size_t *persisted; /* the position of the value for each of those keys */
    long long timeout; /* milliseconds, 0 for none */
    size_t unfinished; /* runs that wait or run */
    bool failed;       /* one of the operations */
    bool paused;       /* nobody waits for it any more: nothing else is run */
    bool local;        /* its keys may be anywhere on this node */
};

/* Read the whole command: names are resolved; programs, and tensors that are loaded, are held. `call` is left to the
 * caller. On failure returns NULL and sets `error`. */
struct dag *dag_parse(Context *ctx, const struct dag_form *form, String **argv, int argc, const char **error);

/* An operation failed; what it would have made is missing. */
void dag_fail(struct dag_op *op, const char *error);

/* Free a DAG of which nothing is queued or run. */
void dag_free(struct dag *dag);

#endif
