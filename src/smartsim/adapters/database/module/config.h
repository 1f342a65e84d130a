/* What AI.CONFIG sets. */
#ifndef SMARTSIM_CONFIG_H
#define SMARTSIM_CONFIG_H

#include "server.h"

extern long long config_model_chunk_size;   /* bytes of one piece of AI.MODELGET's BLOB, at least 1 */
extern long long config_min_batch_timeout;  /* milliseconds, for models with MINBATCHSIZE but no MINBATCHTIMEOUT */

int config_command(Context *ctx, String **argv, int argc);

#endif
