#include "program.h"

#include <string.h>
#include <strings.h>

#include "queue.h"

const char *const backend_names[BACKENDS] = {
    [BACKEND_TF] = "TF",
    [BACKEND_TFLITE] = "TFLITE",
    [BACKEND_TORCH] = "TORCH",
    [BACKEND_ONNX] = "ONNX",
};

enum { DEVICE_LEN = 10 }; /* a device's name is shorter than this */

/* --- Sizes --- */

static size_t string_bytes(const String *string) {
    size_t len;
    server.StringPtrLen(string, &len);
    return len;
}

static size_t strings_bytes(const struct strings *strings) {
    size_t bytes = strings->len * sizeof *strings->items;
    for (size_t i = 0; i < strings->len; i++) bytes += string_bytes(strings->items[i]);
    return bytes;
}

/* --- Programs --- */

static void free_string(String *string) {
    if (string != NULL) server.FreeString(NULL, string);
}

static void discard(struct shared *value) {
    struct program *program = (struct program *)value;
    queue_forget(program);
    free_string(program->device_name);
    free_string(program->tag);
    free_string(program->payload);
    free_string(program->name);
    strings_free(&program->inputs);
    strings_free(&program->outputs);
    strings_free(&program->entry_points);
    server.Free(program);
}

struct program *program_new(enum program_kind kind) {
    static unsigned long long last_version;
    struct program *program = server.Calloc(1, sizeof *program);
    shared_init(&program->shared, discard);
    program->kind = kind;
    program->backend = BACKEND_TORCH;
    program->version = ++last_version;
    return program;
}

void program_hold(struct program *program) {
    shared_hold(&program->shared);
}

void program_release(struct program *program) {
    shared_release(&program->shared);
}

void program_take_payload(struct program *program, String *payload) {
    program->payload = payload;
    program->shared.bytes = string_bytes(payload);
}

size_t program_bytes(const struct program *program) {
    return sizeof *program + program->shared.bytes + string_bytes(program->device_name) + string_bytes(program->tag) +
           strings_bytes(&program->inputs) + strings_bytes(&program->outputs) + strings_bytes(&program->entry_points);
}

bool program_equal(const struct program *one, const struct program *other) {
    if (one->kind != other->kind || one->backend != other->backend || one->batch_size != other->batch_size ||
        one->min_batch_size != other->min_batch_size || one->min_batch_timeout != other->min_batch_timeout) {
        return false;
    }
    if (one->backend == BACKEND_TF &&
        !(strings_same(&one->inputs, &other->inputs) && strings_same(&one->outputs, &other->outputs))) {
        return false;
    }
    return text_same(one->device_name, other->device_name) && text_same(one->tag, other->tag) &&
           strings_same(&one->entry_points, &other->entry_points) && text_same(one->payload, other->payload);
}

/* --- The command that makes a program --- */

static void add_text(struct strings *to, const char *text) {
    to->items[to->len++] = server.CreateString(NULL, text, strlen(text));
}

static void add_held(struct strings *to, String *string) {
    to->items[to->len++] = server.HoldString(NULL, string);
}

/* Numbers that are 0 and lists that are empty were not given. */
static void add_number(struct strings *to, const char *keyword, long long number) {
    if (number == 0) return;
    add_text(to, keyword);
    to->items[to->len++] = server.CreateStringFromLongLong(NULL, number);
}

static void add_names(struct strings *to, const char *keyword, const struct strings *names) {
    add_number(to, keyword, (long long)names->len);
    for (size_t i = 0; i < names->len; i++) add_held(to, names->items[i]);
}

struct strings program_arguments(const struct program *program, String *key, const char **command) {
    enum { MOST_WITHOUT_NAMES = 19 };
    const size_t names = program->inputs.len + program->outputs.len + program->entry_points.len;
    struct strings arguments = {server.Alloc((MOST_WITHOUT_NAMES + names) * sizeof *arguments.items), 0};
    const bool model = program->kind == PROGRAM_MODEL;
    *command = model ? "AI.MODELSTORE" : program->entry_points.len > 0 ? "AI.SCRIPTSTORE" : "AI.SCRIPTSET";

    add_held(&arguments, key);
    if (model) add_text(&arguments, backend_names[program->backend]);
    add_held(&arguments, program->device_name);
    if (string_bytes(program->tag) > 0) {
        add_text(&arguments, "TAG");
        add_held(&arguments, program->tag);
    }
    add_number(&arguments, "BATCHSIZE", program->batch_size);
    add_number(&arguments, "MINBATCHSIZE", program->min_batch_size);
    add_number(&arguments, "MINBATCHTIMEOUT", program->min_batch_timeout);
    add_names(&arguments, "INPUTS", &program->inputs);
    add_names(&arguments, "OUTPUTS", &program->outputs);
    add_names(&arguments, "ENTRY_POINTS", &program->entry_points);
    add_text(&arguments, model ? "BLOB" : "SOURCE");
    add_held(&arguments, program->payload);
    return arguments;
}

/* --- Names of devices and backends --- */

bool device_parse(const String *name, struct device *device) {
    size_t len;
    const char *text = server.StringPtrLen(name, &len);
    if (len < 3 || len >= DEVICE_LEN) return false;
    const bool gpu = strncasecmp(text, "GPU", 3) == 0;
    if (!gpu && strncasecmp(text, "CPU", 3) != 0) return false;
    if (len == 4 || (len > 4 && text[3] != ':')) return false;
    int index = 0;
    for (size_t i = 4; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        index = index * 10 + (text[i] - '0');
    }
    *device = (struct device){gpu, gpu ? index : 0};
    return true;
}

bool backend_parse(const String *name, enum backend *backend) {
    size_t len;
    const char *text = server.StringPtrLen(name, &len);
    for (*backend = 0; *backend < BACKENDS; ++*backend) {
        const char *known = backend_names[*backend];
        if (len == strlen(known) && strncasecmp(text, known, len) == 0) return true;
    }
    return false;
}
