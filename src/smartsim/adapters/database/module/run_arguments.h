/* The arguments of the commands that run a model or a script. */
#ifndef SMARTSIM_RUN_ARGUMENTS_H
#define SMARTSIM_RUN_ARGUMENTS_H

#include "program.h"

enum run_form { RUN_MODELEXECUTE, RUN_MODELRUN, RUN_SCRIPTEXECUTE, RUN_SCRIPTRUN };

/* The lists are words of the command, and not held. */
struct run_arguments {
    String *program_key;
    String *function; /* of a script, else NULL */
    struct strings inputs, outputs, keys, args; /* of inputs, take run_input: one word among them may be a `$` */
    long long list_start;                        /* the input before which the `$` stands, -1 without it */
    long long timeout;                           /* milliseconds, 0 for none */
};

/* Read `argv`, which begins with the command's name. Returns NULL or the error; keys are not looked at. */
const char *run_parse(enum run_form form, String **argv, int argc, struct run_arguments *run);

/* Read the word after TIMEOUT, milliseconds. Returns NULL or the error. */
const char *run_parse_timeout(String **args, int count, long long *timeout);

/* The key of input `i`. */
String *run_input(const struct run_arguments *run, size_t i);

enum program_kind run_program_kind(enum run_form form);

/* For the server's question which words are keys. */
void run_report_keys(Context *ctx, enum run_form form, String **argv, int argc);

#endif
