/* The words of the commands that run a DAG:
 * `[LOAD n key...] [PERSIST n key...] [ROUTING tag] [TIMEOUT ms] |> op [|> op...]`. */
#ifndef SMARTSIM_DAG_WORDS_H
#define SMARTSIM_DAG_WORDS_H

#include "run_arguments.h"

/* Which of the commands it is. */
struct dag_form {
    const char *name;
    int least; /* words, its name included */
    bool deprecated; /* AI.DAGRUN */
    bool read_only;
    bool local; /* AI._DAGLOCAL: its keys are not told to the server */
};

/* A command's words, and which is the next to be read. */
struct dag_words {
    String **argv;
    int argc, next;
};

struct dag_options {
    struct strings load, persist;
    const String *routing; /* read and not needed: a cluster finds the shard by the keys */
    long long timeout;     /* milliseconds, 0 for none */
};

enum dag_op_kind { DAG_TENSORSET, DAG_TENSORGET, DAG_RUN };

/* A command that may be an operation. */
struct dag_command {
    const char *name;
    size_t len;
    enum dag_op_kind kind;
    /* Of a run: */
    bool deprecated;
    enum run_form form;
};

/* The words of one operation. */
struct dag_piece {
    String **argv; /* begins with the name of the command */
    int argc;
    const struct dag_command *command; /* NULL if there is none of that name */
};

/* Read what stands before the first `|>`. Returns NULL or the error. */
const char *dag_take_options(const struct dag_form *form, struct dag_words *words, struct dag_options *options);

/* Read up to the next `|>`. The word to be read next is one. */
struct dag_piece dag_take_piece(struct dag_words *words);

/* NULL, or why this cannot be an operation in this form of the command. */
const char *dag_check_piece(const struct dag_form *form, const struct dag_piece *piece);

#endif
