#include "dataset_find.h"

#include "errors.h"
#include "permission.h"
#include "tensor_key.h"

const char *const dataset_no_key = "ERR the key of a dataset ends in .meta";
const char *const dataset_unreadable = "ERR the field .tensor_names of the dataset cannot be read";
const char *const dataset_unsteady_slot =
    "TRYAGAIN some keys of the dataset are on another node, while its slot moves";

/* --- What there is of a dataset --- */

struct dataset dataset_find_hash(Context *ctx, String *meta) {
    struct dataset dataset = {.meta = meta, .presence = ABSENT};
    Key *key = server.OpenKey(ctx, meta, KEY_READ);
    const int type = server.KeyType(key);
    if (type != KEY_TYPE_EMPTY) dataset.presence = type == KEY_TYPE_HASH ? PRESENT : OTHER_TYPE;
    if (type == KEY_TYPE_HASH) server.HashGet(key, HASH_CFIELDS, DATASET_NAMES, &dataset.names, NULL);
    server.CloseKey(key);
    return dataset;
}

void dataset_find_keys(struct dataset *dataset) {
    dataset->readable = dataset_keys(dataset->meta, dataset->names, &dataset->keys);
}

struct dataset dataset_find_all(Context *ctx, String *meta) {
    struct dataset dataset = dataset_find_hash(ctx, meta);
    dataset_find_keys(&dataset);
    return dataset;
}

void dataset_forget(Context *ctx, struct dataset *dataset) {
    if (dataset->names != NULL) server.FreeString(ctx, dataset->names);
    strings_free(&dataset->keys);
}

const char *dataset_check_readable(const struct dataset *dataset) {
    size_t stem;
    if (dataset->presence == OTHER_TYPE) return error_wrong_type;
    if (!dataset_stem(dataset->meta, &stem)) return dataset_no_key;
    return dataset->readable ? NULL : dataset_unreadable;
}

/* --- Keys that the server was not told of --- */

static bool is_trusted(Context *ctx) {
    return (server.GetContextFlags(ctx) & (CONTEXT_REPLICATED | CONTEXT_LOADING)) != 0;
}

/* The server says of several keys of a slot that moves whether all are here. */
static bool are_here(Context *ctx, String *meta, const struct strings *keys) {
    CallReply *reply = server.Call(ctx, "EXISTS", "sv", meta, keys->items, keys->len);
    if (reply == NULL) return false;
    server.FreeCallReply(reply);
    return true;
}

const char *dataset_check_keys(Context *ctx, const String *meta, const struct strings *keys, int access) {
    if (keys->len == 0 || is_trusted(ctx)) return NULL;
    const char *error = NULL;
    if (permission_can_be_asked()) {
        User *user = permission_user(ctx);
        for (size_t i = 0; i < keys->len && error == NULL; i++) error = permission_check(user, keys->items[i], access);
        if (user != NULL) server.FreeModuleUser(user);
    }
    if (error == NULL && server.GetContextFlags(ctx) & CONTEXT_CLUSTER && !dataset_in_one_slot(meta)) {
        return "CROSSSLOT the keys of a dataset are in one slot only if its stem has a {tag}";
    }
    return error;
}

const char *dataset_check_writes(Context *ctx, String *meta, const struct strings *keys) {
    const char *error = dataset_check_keys(ctx, meta, keys, ACL_UPDATE | ACL_INSERT | ACL_DELETE);
    if (error != NULL || keys->len == 0 || is_trusted(ctx)) return error;
    if (server.GetContextFlags(ctx) & CONTEXT_CLUSTER && !are_here(ctx, meta, keys)) return dataset_unsteady_slot;
    return NULL;
}

/* --- Its tensors --- */

static struct tensor *find_tensor(Context *ctx, String *name) {
    Key *key;
    struct tensor *tensor;
    if (!tensor_key_open(ctx, name, KEY_READ, &key, &tensor)) return NULL;
    server.CloseKey(key);
    return tensor;
}

static const char *incomplete(Context *ctx, const struct dataset *dataset, const String *key) {
    size_t stem, len;
    dataset_stem(dataset->meta, &stem);
    const char *name = server.StringPtrLen(key, &len);
    if (!is_trusted(ctx) && server.GetContextFlags(ctx) & CONTEXT_CLUSTER &&
        !are_here(ctx, dataset->meta, &dataset->keys)) {
        return dataset_unsteady_slot;
    }
    return error_about("INCOMPLETE the dataset is without its tensor", name + stem + 1, len - stem - 1);
}

const char *dataset_find_tensors(Context *ctx, const struct dataset *dataset, struct tensor ***tensors) {
    *tensors = server.Alloc((dataset->keys.len + 1) * sizeof **tensors);
    for (size_t i = 0; i < dataset->keys.len; i++) {
        String *key = dataset->keys.items[i];
        (*tensors)[i] = find_tensor(ctx, key);
        if ((*tensors)[i] == NULL) return incomplete(ctx, dataset, key);
    }
    return NULL;
}
