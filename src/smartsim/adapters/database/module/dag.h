/* AI.DAGEXECUTE, AI.DAGEXECUTE_RO, AI.DAGRUN and AI.DAGRUN_RO. */
#ifndef SMARTSIM_DAG_H
#define SMARTSIM_DAG_H

#include "server.h"

int dag_execute(Context *ctx, String **argv, int argc);
int dag_execute_ro(Context *ctx, String **argv, int argc);
int dag_run(Context *ctx, String **argv, int argc);
int dag_run_ro(Context *ctx, String **argv, int argc);

#endif
