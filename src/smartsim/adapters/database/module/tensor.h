/* A tensor as the server keeps it: a type, a shape and a blob that never change once made. */
#ifndef SMARTSIM_TENSOR_H
#define SMARTSIM_TENSOR_H

#include <stdbool.h>
#include <stddef.h>

#include "shared.h"
#include "text.h"

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
    struct shared shared; /* by keys, and by requests under way */
    unsigned long long number; /* no other tensor of this server process has it; later ones have higher numbers */
    String *blob;         /* holds its bytes, and may hold those of others: see `tensor_data` */
    size_t start, size;   /* which of them */
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

/* Likewise the bytes of a blob from `start` on, as many as the tensor needs; there must be so many. Not for STRING. */
const char *tensor_take_part(struct tensor *tensor, String *blob, size_t start);

/* How many bytes the elements take; not for STRING. */
size_t tensor_size(const struct tensor *tensor);

/* Its bytes: row-major, host byte order; STRING: NUL-terminated elements one after the other. */
const char *tensor_data(const struct tensor *tensor, size_t *len);

/* Whether the blob holds nothing else. */
bool tensor_is_alone(const struct tensor *tensor);

/* The highest number of a tensor so far. */
unsigned long long tensor_newest(void);

void tensor_hold(struct tensor *tensor);
void tensor_release(struct tensor *tensor);

/* Read the name of a type, in any case. */
bool tensor_type_parse(const char *name, size_t len, enum element_type *type);

/* Make a tensor of the arguments `TYPE dim... [BLOB data | VALUES v...]`. On failure returns NULL and sets `error`.
 * A BLOB is not copied: the tensor holds the argument itself. */
struct tensor *tensor_parse(String **args, int count, const char **error);

/* The arguments `key TYPE dim... BLOB blob` of the AI.TENSORSET that makes the same tensor. The array is the caller's
 * to free, and each of the `len` strings. */
String **tensor_arguments(const struct tensor *tensor, String *key, size_t *len);

#endif
