/* AI.INFO, and the sections that INFO has of this module. */
#ifndef SMARTSIM_INFO_H
#define SMARTSIM_INFO_H

#include <stdbool.h>

#include "server.h"

/* AI.INFO key [RESETSTAT] */
int info_command(Context *ctx, String **argv, int argc);

/* Register the sections. Call once, on the main thread. Returns false if the server refuses. */
bool info_register(Context *ctx);

#endif
