/* A tensor as the server keeps it: a type, a shape and a blob that never change once made. */
#ifndef SMARTSIM_TENSOR_H
#define SMARTSIM_TENSOR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "server.h"

/* The numbers are part of the RDB encoding: never reorder, only append. */
enum element_type {
    ELEMENT_FLOAT,
    ELEMENT_DOUBLE,
    ELEMENT_INT8,
    ELEMENT_INT16,
    ELEMENT_INT32,
    ELEMENT_INT64,
    ELEMENT_UINT8,
    ELEMENT_UINT16,
    ELEMENT_BOOL,
    ELEMENT_STRING,
    ELEMENT_TYPES
};

struct element {
    const char *name; /* on the wire */
    size_t name_len;
    size_t size; /* bytes of one element; for STRING the least there can be: its final NUL */
};

extern const struct element elements[ELEMENT_TYPES];

struct tensor {
    atomic_size_t owners; /* keys that share this tensor: COPY makes more */
    struct tensor *next;  /* in the queue of tensors to free, see tensor_key.c */
    String *blob;         /* row-major, host byte order; STRING: NUL-terminated elements one after the other */
    size_t len;           /* elements */
    enum element_type type;
    size_t ndims; /* 0 for a scalar */
    long long dims[];
};

/* A tensor without a blob yet, owned once, of `ndims` dimensions still to be filled in. */
struct tensor *tensor_new(enum element_type type, size_t ndims);

/* Set `len` from the dimensions. Returns false if one is not positive or the bytes of it all overflow. */
bool tensor_measure(struct tensor *tensor);

/* Take `blob` (the caller's reference becomes the tensor's) if it fits type and shape. Returns NULL or the error. */
const char *tensor_take_blob(struct tensor *tensor, String *blob);

/* Free a tensor that nobody else can see. */
void tensor_discard(struct tensor *tensor);

/* Make a tensor of the arguments `TYPE dim... [BLOB data | VALUES v...]`. On failure returns NULL and sets `error`.
 * A BLOB is not copied: the tensor holds the argument itself. */
struct tensor *tensor_parse(String **args, int count, const char **error);

/* Whether `text` is `keyword`, in any case. */
bool text_is(const String *text, const char *keyword, size_t len);

#endif
