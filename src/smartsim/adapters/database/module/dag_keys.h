/* Which words of a DAG are keys, and whether its caller and this node may use them. */
#ifndef SMARTSIM_DAG_KEYS_H
#define SMARTSIM_DAG_KEYS_H

#include "text.h"

/* For the server's question which words are keys. */
void dag_report_keys(Context *ctx, String **argv, int argc);

/* For keys that the server was not told of: NULL, or the error if the caller may not use one of them, or this node does
 * not serve it. The context is that of the command. */
const char *dag_check_keys(Context *ctx, String **argv, int argc);

/* NULL, or the error if this node does not serve one of the keys (any more). */
const char *dag_check_served(Context *ctx, const struct strings *keys);

#endif
