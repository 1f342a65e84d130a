/* What a worker is told to do, as the replies that docs/workers.md describes. */
#ifndef SMARTSIM_WORKER_ITEM_H
#define SMARTSIM_WORKER_ITEM_H

#include "queue.h"

void item_reply_batch(Context *ctx, const struct batch *batch);
void item_reply_drop(Context *ctx, const unsigned long long *versions, size_t len);
void item_reply_kill(Context *ctx, long long process);
void item_reply_program(Context *ctx, const struct program *program);

#endif
