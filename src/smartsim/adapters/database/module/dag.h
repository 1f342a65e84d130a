/* AI.DAGEXECUTE, AI.DAGEXECUTE_RO, AI.DAGRUN, AI.DAGRUN_RO and AI._DAGLOCAL. */
#ifndef SMARTSIM_DAG_H
#define SMARTSIM_DAG_H

#include "server.h"

int dag_execute(Context *ctx, String **argv, int argc);
int dag_execute_ro(Context *ctx, String **argv, int argc);
int dag_run(Context *ctx, String **argv, int argc);
int dag_run_ro(Context *ctx, String **argv, int argc);
int dag_local(Context *ctx, String **argv, int argc);

#endif
