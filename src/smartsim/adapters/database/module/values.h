/* Single elements of a tensor: from the words of a VALUES argument to bytes, and from bytes to a reply. */
#ifndef SMARTSIM_VALUES_H
#define SMARTSIM_VALUES_H

#include "tensor.h"

/* Write `count` words as elements into a new buffer, the caller's to free. Returns NULL or the error. */
const char *values_parse(enum element_type type, String **words, size_t count, char **data, size_t *len);

/* Reply with an array of all elements. */
void values_reply(Context *ctx, const struct tensor *tensor);

#endif
