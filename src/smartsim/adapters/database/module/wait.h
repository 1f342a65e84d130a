/* AI._WAIT: clients wait for keys, and the server wakes them. */
#ifndef SMARTSIM_WAIT_H
#define SMARTSIM_WAIT_H

#include <stdbool.h>

#include "server.h"

/* Ask the server to tell of changes of keys. Call once. Returns false if it refuses. */
bool wait_register(Context *ctx);

/* AI._WAIT ms EXISTS key | FIELD key field | LENGTH key EQ|GE|LE n */
int wait_command(Context *ctx, String **argv, int argc);

/* Any key may have changed without being told of: look at all that clients wait for. */
void wait_signal_all(Context *ctx);

/* For each beat of the server's clock. */
void wait_sweep(Context *ctx);

#endif
