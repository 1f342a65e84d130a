/* Models and scripts as keys: AI.MODELGET, AI.MODELDEL, AI._MODELSCAN, AI.SCRIPTGET, AI.SCRIPTDEL, AI._SCRIPTSCAN. */
#ifndef SMARTSIM_PROGRAM_COMMANDS_H
#define SMARTSIM_PROGRAM_COMMANDS_H

#include "server.h"

/* AI.MODELGET key [META] [BLOB] */
int model_get(Context *ctx, String **argv, int argc);

/* AI.MODELDEL key */
int model_delete(Context *ctx, String **argv, int argc);

/* AI._MODELSCAN */
int model_scan(Context *ctx, String **argv, int argc);

/* AI.SCRIPTGET key [META] [SOURCE] */
int script_get(Context *ctx, String **argv, int argc);

/* AI.SCRIPTDEL key */
int script_delete(Context *ctx, String **argv, int argc);

/* AI._SCRIPTSCAN */
int script_scan(Context *ctx, String **argv, int argc);

#endif
