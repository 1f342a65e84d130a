/* AI.MODELEXECUTE, AI.MODELRUN, AI.SCRIPTEXECUTE and AI.SCRIPTRUN. */
#ifndef SMARTSIM_RUN_COMMANDS_H
#define SMARTSIM_RUN_COMMANDS_H

#include "queue.h"
#include "run_arguments.h"

int run_model_execute(Context *ctx, String **argv, int argc);
int run_model_run(Context *ctx, String **argv, int argc);
int run_script_execute(Context *ctx, String **argv, int argc);
int run_script_run(Context *ctx, String **argv, int argc);

/* Find the program of a run, and see that it takes as many inputs and outputs. Returns NULL with `program` set (not held), or the
 * error. */
const char *run_find_program(Context *ctx, enum run_form form, const struct run_arguments *run,
                             struct program **program);

/* A request for a run, its inputs still to be filled in. */
struct request *run_request(const struct run_arguments *run, struct program *program);

/* Write tensors under keys: all, or none and the error is returned. Each is replicated as AI.TENSORSET. */
const char *run_write(Context *ctx, const struct strings *keys, struct tensor **tensors);

#endif
