/* AI.TENSORSET and AI.TENSORGET. */
#ifndef SMARTSIM_TENSOR_COMMANDS_H
#define SMARTSIM_TENSOR_COMMANDS_H

#include "tensor.h"

/* What AI.TENSORGET replies with. */
struct tensor_format {
    bool meta, blob, values;
};

/* Read `[META] [BLOB | VALUES]`. Returns NULL or the error. */
const char *tensor_format_parse(String **args, int count, struct tensor_format *format);

/* Reply with its bytes. */
void tensor_reply_blob(Context *ctx, const struct tensor *tensor);

void tensor_reply(Context *ctx, const struct tensor *tensor, const struct tensor_format *format);

/* AI.TENSORSET key TYPE dim... [BLOB data | VALUES v...] */
int tensor_set(Context *ctx, String **argv, int argc);

/* AI.TENSORGET key [META] [BLOB | VALUES] */
int tensor_get(Context *ctx, String **argv, int argc);

#endif
