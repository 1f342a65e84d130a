/* A dataset: a hash `stem.meta` with the metadata, and a tensor `stem.name` for each name that the hash has in its field
 * `.tensor_names`. So do the clients in all languages keep it. */
#ifndef SMARTSIM_DATASET_H
#define SMARTSIM_DATASET_H

#include "tensor.h"

/* The field that lists the tensors: a byte 7, then of each name its length (8 bytes, little endian) and its bytes. */
#define DATASET_NAMES ".tensor_names"

/* How long the stem of a hash's key is. Returns false if that is not the key of a dataset. */
bool dataset_stem(const String *meta, size_t *len);

/* Whether one stem is the other, or the other and a dot begin it, so that both may have the same keys. */
bool dataset_stems_overlap(const String *meta, const String *other);

/* Whether all its keys are in one slot of a cluster: the braces with what is hashed are within the stem. */
bool dataset_in_one_slot(const String *meta);

/* The keys of the tensors, to be freed: `names` is the field, NULL if there is none. Returns false if that cannot be read,
 * or `meta` is no key of a dataset. */
bool dataset_keys(const String *meta, const String *names, struct strings *keys);

/* Owned tensors. */
struct tensors {
    struct tensor **items;
    size_t len;
};

void tensors_free(struct tensors *tensors);

/* Make tensors of layouts, `TYPE dim dim,TYPE dim`, and of blobs, in which their bytes follow one another. A blob is not
 * copied: it is held by the tensors that are in it. Returns NULL, or the error. */
const char *dataset_parse_tensors(const String *layouts, String **blobs, size_t blob_count, struct tensors *tensors);

/* Reply with the layouts, then with the bytes: as few blobs as can be sent without joining any. How many that are. */
size_t dataset_count_blobs(struct tensor *const *tensors, size_t len);
void dataset_reply_tensors(Context *ctx, struct tensor *const *tensors, size_t len);

#endif
