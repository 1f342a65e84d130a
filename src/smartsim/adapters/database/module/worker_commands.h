/* AI._WORKER: the protocol of docs/workers.md. */
#ifndef SMARTSIM_WORKER_COMMANDS_H
#define SMARTSIM_WORKER_COMMANDS_H

#include "server.h"

int worker_command(Context *ctx, String **argv, int argc);

#endif
