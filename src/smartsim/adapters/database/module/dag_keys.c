#include "dag_keys.h"

#include "dag_words.h"
#include "errors.h"
#include "permission.h"

enum { READS = ACL_ACCESS, WRITES = ACL_UPDATE | ACL_INSERT };

/* What is to be done for each key. */
struct visitor {
    Context *ctx;
    const char *(*visit)(const struct visitor *visitor, String **word, int access); /* NULL, or an error to stop at */
    String **argv;
    User *user; /* whom the permissions are asked of */
};

/* --- All keys --- */

static const char *visit_list(const struct visitor *visitor, const struct strings *list, int access) {
    const char *error = NULL;
    for (size_t i = 0; i < list->len && error == NULL; i++) error = visitor->visit(visitor, list->items + i, access);
    return error;
}

static const char *visit_piece(const struct visitor *visitor, const struct dag_piece *piece) {
    struct run_arguments run;
    if (piece->command == NULL || piece->command->kind != DAG_RUN || piece->argc < 2) return NULL;
    const char *error = visitor->visit(visitor, piece->argv + 1, READS);
    if (error != NULL || run_parse(piece->command->form, piece->argv, piece->argc, &run) != NULL) return error;
    return visit_list(visitor, &run.keys, READS | WRITES);
}

/* Of words that cannot be read as a DAG: those before it goes wrong, and nobody opens others. */
static const char *visit_keys(const struct visitor *visitor, int argc) {
    static const struct dag_form any = {.name = "", .deprecated = true};
    struct dag_words words = {visitor->argv, argc, 1};
    struct dag_options options = {.timeout = 0};
    const bool readable = dag_take_options(&any, &words, &options) == NULL;
    const char *error = visit_list(visitor, &options.load, READS);
    if (error == NULL) error = visit_list(visitor, &options.persist, WRITES);
    while (error == NULL && readable && words.next < argc) {
        const struct dag_piece piece = dag_take_piece(&words);
        error = visit_piece(visitor, &piece);
    }
    return error;
}

/* --- For the server --- */

static const char *report(const struct visitor *visitor, String **word, int access) {
    (void)access;
    server.KeyAtPos(visitor->ctx, (int)(word - visitor->argv));
    return NULL;
}

void dag_report_keys(Context *ctx, String **argv, int argc) {
    visit_keys(&(struct visitor){.ctx = ctx, .visit = report, .argv = argv}, argc);
}

/* --- In its place --- */

/* The server refuses what the module asks it to do with a key that it would not let a client use here. */
static const char *check_served(Context *ctx, String *key) {
    CallReply *reply = server.Call(ctx, "EXISTS", "s", key);
    if (reply != NULL) {
        server.FreeCallReply(reply);
        return NULL;
    }
    size_t len;
    const char *name = server.StringPtrLen(key, &len);
    return error_about("NOTLOCAL this node does not serve the key", name, len);
}

static bool in_cluster(Context *ctx) { return (server.GetContextFlags(ctx) & CONTEXT_CLUSTER) != 0; }

static const char *check(const struct visitor *visitor, String **word, int access) {
    const char *error = permission_check(visitor->user, *word, access);
    return error == NULL && in_cluster(visitor->ctx) ? check_served(visitor->ctx, *word) : error;
}

const char *dag_check_keys(Context *ctx, String **argv, int argc) {
    const struct visitor visitor = {.ctx = ctx, .visit = check, .argv = argv, .user = permission_user(ctx)};
    const char *error = visit_keys(&visitor, argc);
    if (visitor.user != NULL) server.FreeModuleUser(visitor.user);
    return error;
}

const char *dag_check_served(Context *ctx, const struct strings *keys) {
    const char *error = NULL;
    if (!in_cluster(ctx)) return NULL;
    for (size_t i = 0; i < keys->len && error == NULL; i++) error = check_served(ctx, keys->items[i]);
    return error;
}
