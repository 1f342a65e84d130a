/* The native key types AI__MODEL and AI_SCRIPT. */
#ifndef SMARTSIM_PROGRAM_KEY_H
#define SMARTSIM_PROGRAM_KEY_H

#include "program.h"

/* Register both types. Call once, on the server's main thread. Returns false if the server refuses. */
bool program_key_register(Context *ctx);

/* Open `name` in `mode`: `key` is to be closed, `program` is what it holds, NULL if it is empty.
 * Returns false, with nothing open, if another kind of value is there. */
bool program_key_open(Context *ctx, String *name, enum program_kind kind, int mode, Key **key,
                      struct program **program);

/* What an open key holds; NULL if it is empty or holds another kind of value. */
struct program *program_key_value(Key *key, enum program_kind kind);

/* Put `program` (the caller's ownership becomes the key's) in the place of what is there, if anything. */
void program_key_set(Key *key, struct program *program);

#endif
