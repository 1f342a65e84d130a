/* AI._DATASETPUT, AI._DATASETGET, AI._DATASETDEL, AI._DATASETCOPY and AI._DATASETRENAME: a whole dataset in one step.
 *
 * Each is given the key of the hash, and finds the others itself. */
#ifndef SMARTSIM_DATASET_COMMANDS_H
#define SMARTSIM_DATASET_COMMANDS_H

#include "server.h"

/* AI._DATASETPUT meta ms n field value... [layouts blob...] */
int dataset_put(Context *ctx, String **argv, int argc);

/* AI._DATASETGET meta */
int dataset_get(Context *ctx, String **argv, int argc);

/* AI._DATASETDEL meta */
int dataset_delete(Context *ctx, String **argv, int argc);

/* AI._DATASETCOPY from to [ms] */
int dataset_copy(Context *ctx, String **argv, int argc);

/* AI._DATASETRENAME from to [ms] */
int dataset_rename(Context *ctx, String **argv, int argc);

#endif
