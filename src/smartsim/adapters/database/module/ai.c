/* The server module "ai": what the server calls when it loads the library, and the table of commands. */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "call.h"
#include "config.h"
#include "dag.h"
#include "dataset_commands.h"
#include "info.h"
#include "program_commands.h"
#include "program_key.h"
#include "run_commands.h"
#include "server.h"
#include "shared.h"
#include "store_commands.h"
#include "tensor_commands.h"
#include "tensor_key.h"
#include "version.h"
#include "wait.h"
#include "worker.h"
#include "worker_commands.h"

static const struct {
    const char *name;
    CommandFunction run;
    const char *flags;
    const char *acl_categories;
    int first, last; /* the positions of its keys; 0 if there are none, or the command itself says where they are */
} commands[] = {
    {"AI.TENSORSET", tensor_set, "write deny-oom", "write", 1, 1},
    {"AI.TENSORGET", tensor_get, "readonly", "read", 1, 1},
    {"AI._DATASETPUT", dataset_put, "write deny-oom", "write", 1, 1},
    {"AI._DATASETGET", dataset_get, "readonly", "read", 1, 1},
    {"AI._DATASETDEL", dataset_delete, "write", "write", 1, 1},
    {"AI._DATASETCOPY", dataset_copy, "write deny-oom", "write", 1, 2},
    {"AI._DATASETRENAME", dataset_rename, "write", "write", 1, 2},
    {"AI.MODELSTORE", model_store, "write deny-oom", "write", 1, 1},
    {"AI.MODELSET", model_set, "write deny-oom", "write", 1, 1},
    {"AI.MODELGET", model_get, "readonly", "read", 1, 1},
    {"AI.MODELDEL", model_delete, "write", "write", 1, 1},
    {"AI._MODELSCAN", model_scan, "readonly", "read", 0, 0},
    {"AI.SCRIPTSTORE", script_store, "write deny-oom", "write", 1, 1},
    {"AI.SCRIPTSET", script_set, "write deny-oom", "write", 1, 1},
    {"AI.SCRIPTGET", script_get, "readonly", "read", 1, 1},
    {"AI.SCRIPTDEL", script_delete, "write", "write", 1, 1},
    {"AI._SCRIPTSCAN", script_scan, "readonly", "read", 0, 0},
    {"AI.MODELEXECUTE", run_model_execute, "write deny-oom getkeys-api", "write", 0, 0},
    {"AI.MODELRUN", run_model_run, "write deny-oom getkeys-api", "write", 0, 0},
    {"AI.SCRIPTEXECUTE", run_script_execute, "write deny-oom getkeys-api", "write", 0, 0},
    {"AI.SCRIPTRUN", run_script_run, "write deny-oom getkeys-api", "write", 0, 0},
    {"AI.DAGEXECUTE", dag_execute, "write deny-oom getkeys-api", "write", 0, 0},
    {"AI.DAGEXECUTE_RO", dag_execute_ro, "readonly getkeys-api", "read", 0, 0},
    {"AI.DAGRUN", dag_run, "write deny-oom getkeys-api", "write", 0, 0},
    {"AI.DAGRUN_RO", dag_run_ro, "readonly getkeys-api", "read", 0, 0},
    {"AI._DAGLOCAL", dag_local, "write deny-oom", "write", 0, 0}, /* looks after its keys itself */
    {"AI._WAIT", wait_command, "readonly", "read", 3, 3},
    {"AI.INFO", info_command, "readonly", "read", 1, 1},
    {"AI.CONFIG", config_command, "", "write", 0, 0},
    /* Its answers write keys, so a server that has paused writes pauses them. */
    {"AI._WORKER", worker_command, "may-replicate no-slowlog", "admin dangerous", 0, 0},
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
        const int first = commands[i].first;
        if (server.CreateCommand(ctx, name, commands[i].run, commands[i].flags, first, commands[i].last,
                                 first > 0) != MODULE_OK) {
            return name;
        }
        if (acl && server.SetCommandACLCategories(server.GetCommand(ctx, name), commands[i].acl_categories) !=
                       MODULE_OK) {
            return name;
        }
    }
    return NULL;
}

/* A module has one listener for an event. */

static void client_changed(Context *ctx, Event event, uint64_t change, void *data) {
    (void)event;
    const ClientInfo *client = data;
    if (change == CLIENT_CONNECTED) call_client_came(client->id);
    if (change != CLIENT_DISCONNECTED) return;
    worker_client_gone(ctx, client->id);
    call_client_gone(ctx, client->id);
}

static void beat(Context *ctx, Event event, uint64_t subevent, void *data) {
    (void)event, (void)subevent, (void)data;
    shared_free_released();
    call_sweep(ctx);
    worker_sweep(ctx);
    wait_sweep(ctx);
}

static void databases_swapped(Context *ctx, Event event, uint64_t subevent, void *data) {
    (void)event, (void)subevent, (void)data;
    wait_signal_all(ctx);
}

/* A replica that has lost its primary for long gets all its keys anew, and nothing tells of each. */
static void loaded(Context *ctx, Event event, uint64_t subevent, void *data) {
    (void)event, (void)data;
    if (subevent == LOADING_ENDED) wait_signal_all(ctx);
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
    shared_begin();
    if (!tensor_key_register(ctx)) return refuse(ctx, "the server refused the key type ", "AI_TENSOR");
    if (!program_key_register(ctx)) return refuse(ctx, "the server refused a key type of ", "models or scripts");
    const Event clock_beat = {EVENT_CRON_LOOP, EVENT_VERSION};
    const Event client_change = {EVENT_CLIENT_CHANGE, EVENT_VERSION};
    const Event loading = {EVENT_LOADING, EVENT_VERSION};
    const Event swap = {EVENT_SWAP_DB, EVENT_VERSION};
    if (server.SubscribeToServerEvent(ctx, clock_beat, beat) != MODULE_OK ||
        server.SubscribeToServerEvent(ctx, client_change, client_changed) != MODULE_OK ||
        server.SubscribeToServerEvent(ctx, loading, loaded) != MODULE_OK) {
        return refuse(ctx, "the server does not tell of ", "its clock, its clients and its loading");
    }
    server.SubscribeToServerEvent(ctx, swap, databases_swapped); /* older servers do not tell, see wait_sweep */
    if (!wait_register(ctx)) return refuse(ctx, "the server does not tell of ", "changes of keys");
    if (!info_register(ctx)) return refuse(ctx, "the server refused ", "sections of INFO");
    const char *refused = create_commands(ctx);
    if (refused != NULL) return refuse(ctx, "the server refused the command ", refused);
    return MODULE_OK;
}
