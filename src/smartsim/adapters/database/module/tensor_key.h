/* The native key type AI_TENSOR: how a key that holds a tensor is saved, loaded, copied, measured and freed. */
#ifndef SMARTSIM_TENSOR_KEY_H
#define SMARTSIM_TENSOR_KEY_H

#include "tensor.h"

/* Register the type. Call once, on the server's main thread. Returns false if the server refuses. */
bool tensor_key_register(Context *ctx);

/* Open `name` in `mode`: `key` is to be closed, `tensor` is what it holds, NULL if it is empty.
 * Returns false, with nothing open, if another kind of value is there. */
bool tensor_key_open(Context *ctx, String *name, int mode, Key **key, struct tensor **tensor);

/* Put `tensor` (the caller's becomes the key's) in the place of what is there, if anything. */
void tensor_key_set(Key *key, struct tensor *tensor);

#endif
