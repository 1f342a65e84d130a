/* AI.MODELSTORE, AI.MODELSET, AI.SCRIPTSTORE and AI.SCRIPTSET: nothing is stored before a worker has found it sound. */
#ifndef SMARTSIM_STORE_COMMANDS_H
#define SMARTSIM_STORE_COMMANDS_H

#include "server.h"

/* AI.MODELSTORE key backend device [TAG t] [BATCHSIZE n [MINBATCHSIZE m [MINBATCHTIMEOUT ms]]]
 * [INPUTS n name... OUTPUTS n name...] BLOB chunk... */
int model_store(Context *ctx, String **argv, int argc);

/* AI.MODELSET: the same with INPUTS name... OUTPUTS name... */
int model_set(Context *ctx, String **argv, int argc);

/* AI.SCRIPTSTORE key device [TAG t] ENTRY_POINTS n function... SOURCE text */
int script_store(Context *ctx, String **argv, int argc);

/* AI.SCRIPTSET key device [TAG t] SOURCE text */
int script_set(Context *ctx, String **argv, int argc);

#endif
