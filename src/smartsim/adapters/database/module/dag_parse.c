#include "dag_parse.h"

#include <string.h>

#include "errors.h"
#include "program_key.h"
#include "run_commands.h"
#include "tensor_key.h"

static const char *const not_in_dag = "ERR INPUT key cannot be found in DAG";

/* --- The newest value of each name, in a table with open addressing. --- */

struct name {
    const String *text; /* NULL in an empty slot */
    size_t value;
    bool persisted;
};

struct names {
    struct name *slots;
    size_t capacity; /* a power of two, more than there are names */
};

/* The slot of a name, or the empty one where it belongs. */
static struct name *find_name(const struct names *names, const String *text) {
    size_t slot = text_hash(0, text) & (names->capacity - 1);
    while (names->slots[slot].text != NULL && !text_same(names->slots[slot].text, text)) {
        slot = (slot + 1) & (names->capacity - 1);
    }
    return &names->slots[slot];
}

/* --- Operations --- */

struct parser {
    Context *ctx;
    struct dag *dag;
    struct names names;
};

/* A new value, the newest of `name`. */
static struct dag_value *add_value(struct parser *parser, const String *name) {
    struct name *slot = find_name(&parser->names, name);
    slot->text = name;
    slot->value = parser->dag->value_count++;
    return &parser->dag->values[slot->value];
}

static bool find_input(const struct parser *parser, struct dag_op *op, const String *name) {
    const struct name *slot = find_name(&parser->names, name);
    op->inputs[op->input_count++] = slot->value;
    return slot->text != NULL;
}

void dag_fail(struct dag_op *op, const char *error) {
    op->state = DAG_FAILED;
    op->error = server.CreateString(NULL, error, strlen(error));
    op->dag->failed = true;
    for (size_t i = 0; i < op->output_count; i++) op->dag->values[op->first_output + i].missing = true;
}

static const char *load(struct parser *parser, String *name) {
    Key *key;
    struct tensor *tensor;
    if (!tensor_key_open(parser->ctx, name, KEY_READ, &key, &tensor)) return error_wrong_type;
    if (tensor != NULL) {
        tensor_hold(tensor);
        add_value(parser, name)->tensor = tensor;
    }
    server.CloseKey(key);
    return tensor == NULL ? "ERR tensor key is empty or in a different shard" : NULL;
}

static const char *parse_tensor_set(struct parser *parser, const struct dag_piece *piece, struct dag_op *op) {
    if (piece->argc < 4) return "ERR wrong number of arguments for 'AI.TENSORSET' command";
    const char *error;
    struct tensor *tensor = tensor_parse(piece->argv + 2, piece->argc - 2, &error);
    op->output_count = 1;
    add_value(parser, piece->argv[1])->tensor = tensor;
    if (tensor == NULL) dag_fail(op, error);
    return NULL;
}

static const char *parse_tensor_get(const struct parser *parser, const struct dag_piece *piece, struct dag_op *op) {
    if (piece->argc < 2 || piece->argc > 4) return "ERR wrong number of arguments for 'AI.TENSORGET' command";
    op->inputs = server.Alloc(sizeof *op->inputs);
    if (!find_input(parser, op, piece->argv[1])) return not_in_dag;
    const char *error = tensor_format_parse(piece->argv + 2, piece->argc - 2, &op->format);
    if (error != NULL) dag_fail(op, error);
    return NULL;
}

static const char *parse_run(struct parser *parser, const struct dag_piece *piece, struct dag_op *op) {
    struct run_arguments run;
    const char *error = run_parse(piece->command->form, piece->argv, piece->argc, &run);
    if (error != NULL) return error;
    if (run.timeout > 0) return "ERR TIMEOUT not allowed within a DAG command";
    struct program *program;
    error = run_find_program(parser->ctx, piece->command->form, &run, &program);
    if (error != NULL) return error;
    op->request = run_request(&run, program);
    op->request->owner = op;
    op->state = DAG_WAITING;
    parser->dag->unfinished++;
    op->inputs = server.Alloc((run.inputs.len + 1) * sizeof *op->inputs);
    for (size_t i = 0; i < run.inputs.len; i++) {
        if (!find_input(parser, op, run_input(&run, i))) return not_in_dag;
    }
    op->output_count = run.outputs.len;
    for (size_t i = 0; i < run.outputs.len; i++) add_value(parser, run.outputs.items[i]);
    return NULL;
}

static const char *parse_op(struct parser *parser, const struct dag_form *form, const struct dag_piece *piece) {
    const char *error = dag_check_piece(form, piece);
    if (error != NULL) return error;
    struct dag_op *op = &parser->dag->ops[parser->dag->op_count++];
    op->dag = parser->dag;
    op->kind = piece->command->kind;
    op->state = DAG_DONE; /* a run and what fails change it */
    op->first_output = parser->dag->value_count;
    switch (op->kind) {
        case DAG_TENSORSET: return parse_tensor_set(parser, piece, op);
        case DAG_TENSORGET: return parse_tensor_get(parser, piece, op);
        default: return parse_run(parser, piece, op);
    }
}

static const char *parse_persists(struct parser *parser, const struct strings *keys) {
    struct dag *dag = parser->dag;
    dag->persisted = server.Alloc((keys->len + 1) * sizeof *dag->persisted);
    for (size_t i = 0; i < keys->len; i++) {
        struct name *slot = find_name(&parser->names, keys->items[i]);
        if (slot->text == NULL) return "ERR PERSIST key cannot be found in DAG";
        if (slot->persisted) return "ERR PERSIST keys must be unique";
        slot->persisted = true;
        dag->persisted[i] = slot->value;
    }
    dag->persist_keys = strings_hold(keys->items, keys->len);
    return NULL;
}

static const char *parse_pieces(struct parser *parser, const struct dag_form *form, const struct dag_options *options,
                                const struct dag_piece *pieces, size_t count) {
    const char *error = count == 0 ? "ERR DAG is empty" : NULL;
    for (size_t i = 0; i < options->load.len && error == NULL; i++) error = load(parser, options->load.items[i]);
    for (size_t i = 0; i < count && error == NULL; i++) error = parse_op(parser, form, &pieces[i]);
    if (error == NULL) error = parse_persists(parser, &options->persist);
    return error;
}

/* How many values there may be at most. */
static size_t count_values(const struct dag_piece *piece) {
    if (piece->command == NULL || piece->command->kind == DAG_TENSORGET) return 0;
    return piece->command->kind == DAG_TENSORSET ? 1 : (size_t)piece->argc;
}

static void make_room(struct parser *parser, size_t ops, size_t values) {
    parser->dag->ops = server.Calloc(ops + 1, sizeof *parser->dag->ops);
    parser->dag->values = server.Calloc(values + 1, sizeof *parser->dag->values);
    parser->names.capacity = 2;
    while (parser->names.capacity < 2 * values) parser->names.capacity *= 2;
    parser->names.slots = server.Calloc(parser->names.capacity, sizeof *parser->names.slots);
}

struct dag *dag_parse(Context *ctx, const struct dag_form *form, String **argv, int argc, const char **error) {
    struct dag_words words = {argv, argc, 1};
    struct dag_options options = {.timeout = 0};
    *error = dag_take_options(form, &words, &options);
    if (*error != NULL) return NULL;

    struct dag_piece *pieces = server.Alloc((size_t)(argc - words.next + 1) * sizeof *pieces);
    size_t count = 0;
    size_t values = options.load.len;
    while (words.next < argc) {
        pieces[count] = dag_take_piece(&words);
        values += count_values(&pieces[count++]);
    }
    struct parser parser = {.ctx = ctx, .dag = server.Calloc(1, sizeof(struct dag))};
    parser.dag->timeout = options.timeout;
    parser.dag->local = form->local;
    make_room(&parser, count, values);
    *error = parse_pieces(&parser, form, &options, pieces, count);
    server.Free(parser.names.slots);
    server.Free(pieces);
    if (*error == NULL) return parser.dag;
    dag_free(parser.dag);
    return NULL;
}

static void free_op(struct dag_op *op) {
    if (op->request != NULL) request_free(op->request);
    if (op->error != NULL) server.FreeString(NULL, op->error);
    server.Free(op->inputs);
}

void dag_free(struct dag *dag) {
    for (size_t i = 0; i < dag->op_count; i++) free_op(&dag->ops[i]);
    for (size_t i = 0; i < dag->value_count; i++) {
        if (dag->values[i].tensor != NULL) tensor_release(dag->values[i].tensor);
    }
    strings_free(&dag->persist_keys);
    server.Free(dag->persisted);
    server.Free(dag->values);
    server.Free(dag->ops);
    server.Free(dag);
}
