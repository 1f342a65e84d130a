#include "server.h"

struct server server;

typedef int (*Lookup)(const char *name, void *function);

const char *server_resolve(Context *ctx) {
    /* The one thing known about a context: its first word is the look-up function. */
    Lookup lookup = *(Lookup *)(void *)ctx;
    const char *missing = NULL;
#define RESOLVE(result, name, arguments) \
    if (lookup("RedisModule_" #name, (void *)&server.name) != MODULE_OK && missing == NULL) missing = #name;
    SERVER_FUNCTIONS(RESOLVE)
#undef RESOLVE
#define RESOLVE_OPTIONAL(result, name, arguments) \
    if (lookup("RedisModule_" #name, (void *)&server.name) != MODULE_OK) server.name = NULL;
    SERVER_OPTIONAL_FUNCTIONS(RESOLVE_OPTIONAL)
#undef RESOLVE_OPTIONAL
    return missing;
}
