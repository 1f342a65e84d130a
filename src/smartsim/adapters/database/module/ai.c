/* The server module "ai": what the server calls when it loads the library, and the table of commands. */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "server.h"
#include "tensor_commands.h"
#include "tensor_key.h"

enum { MODULE_VERSION = 1 };

static const struct {
    const char *name;
    CommandFunction run;
    const char *flags;
    const char *acl_categories;
    int first_key, last_key, key_step;
} commands[] = {
    {"AI.TENSORSET", tensor_set, "write deny-oom", "write", 1, 1, 1},
    {"AI.TENSORGET", tensor_get, "readonly", "read", 1, 1, 1},
};

static int refuse(Context *ctx, const char *reason, const char *name) {
    if (server.Log != NULL) {
        server.Log(ctx, "warning", "ai: not loaded: %s%s", reason, name);
    } else {
        fprintf(stderr, "ai: not loaded: %s%s\n", reason, name);
    }
    return MODULE_ERR;
}

/* Register all of `commands`. Returns NULL, or the name of the one that the server refused. */
static const char *create_commands(Context *ctx) {
    const bool acl = server.GetCommand != NULL && server.SetCommandACLCategories != NULL;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        const char *name = commands[i].name;
        if (server.CreateCommand(ctx, name, commands[i].run, commands[i].flags, commands[i].first_key,
                                 commands[i].last_key, commands[i].key_step) != MODULE_OK) {
            return name;
        }
        if (acl && server.SetCommandACLCategories(server.GetCommand(ctx, name), commands[i].acl_categories) !=
                       MODULE_OK) {
            return name;
        }
    }
    return NULL;
}

__attribute__((visibility("default"))) int RedisModule_OnLoad(Context *ctx, String **argv, int argc);

int RedisModule_OnLoad(Context *ctx, String **argv, int argc) {
    (void)argv;
    const char *missing = server_resolve(ctx);
    if (missing != NULL) {
        return refuse(ctx, "it needs Valkey, Redis 6.2 or KeyDB 6.3, or later; this server lacks RedisModule_", missing);
    }
    if (argc != 0) return refuse(ctx, "it takes no arguments", "");
    if (server.IsModuleNameBusy("ai")) return refuse(ctx, "there is another module named ", "ai");
    server.SetModuleAttribs(ctx, "ai", MODULE_VERSION, MODULE_API_VERSION);
    server.SetModuleOptions(ctx, OPTION_HANDLE_IO_ERRORS); /* a broken RDB is our loader's to refuse, no crash */
    if (!tensor_key_register(ctx)) return refuse(ctx, "the server refused the key type ", "AI_TENSOR");
    const char *refused = create_commands(ctx);
    if (refused != NULL) return refuse(ctx, "the server refused the command ", refused);
    return MODULE_OK;
}
