/* Datasets in the keyspace: what there is of one, and who may touch it.
 *
 * A command of a whole dataset tells the server the key of the hash alone. So the module itself looks whether the caller may
 * use the others, and whether this node of a cluster has them. */
#ifndef SMARTSIM_DATASET_FIND_H
#define SMARTSIM_DATASET_FIND_H

#include "dataset.h"

enum presence { ABSENT, OTHER_TYPE, PRESENT };

/* A dataset in the keyspace: its hash, and the keys of its tensors. */
struct dataset {
    String *meta;
    enum presence presence;
    String *names;       /* the field; NULL if there is none */
    struct strings keys; /* none if the field cannot be read */
    bool readable;
};

/* Errors. */
extern const char *const dataset_no_key;
extern const char *const dataset_unreadable;
extern const char *const dataset_unsteady_slot;

/* Find the hash of a dataset; which tensors it has is not looked at. To be given to `dataset_forget`. */
struct dataset dataset_find_hash(Context *ctx, String *meta);

/* Then find the keys of its tensors. */
void dataset_find_keys(struct dataset *dataset);

/* Both. */
struct dataset dataset_find_all(Context *ctx, String *meta);

void dataset_forget(Context *ctx, struct dataset *dataset);

/* NULL, or why what is there cannot be read. */
const char *dataset_check_readable(const struct dataset *dataset);

/* NULL, or why the caller must not do `access` with the keys of tensors, although they may with that of their hash. */
const char *dataset_check_keys(Context *ctx, const String *meta, const struct strings *keys, int access);

/* Likewise for keys that are written or removed. Half a slot is no place to write to: other halves would be left. */
const char *dataset_check_writes(Context *ctx, String *meta, const struct strings *keys);

/* Find all tensors of a dataset; they stay the keys'. Returns NULL, or why they cannot be read; `tensors` is to be freed, come
 * what may. */
const char *dataset_find_tensors(Context *ctx, const struct dataset *dataset, struct tensor ***tensors);

#endif
