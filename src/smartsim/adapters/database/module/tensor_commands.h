/* AI.TENSORSET and AI.TENSORGET. */
#ifndef SMARTSIM_TENSOR_COMMANDS_H
#define SMARTSIM_TENSOR_COMMANDS_H

#include "server.h"

/* AI.TENSORSET key TYPE dim... [BLOB data | VALUES v...] */
int tensor_set(Context *ctx, String **argv, int argc);

/* AI.TENSORGET key [META] [BLOB | VALUES] */
int tensor_get(Context *ctx, String **argv, int argc);

#endif
