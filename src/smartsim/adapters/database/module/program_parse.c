#include "program_parse.h"

#include <string.h>

#include "tensor.h"

/* What is still to be read. */
struct words {
    String **next;
    size_t left;
};

static const char *const no_blob = "ERR Insufficient arguments, missing model BLOB";
static const char *const no_source = "ERR Insufficient arguments, missing script SOURCE";

#define IS(words, keyword) ((words)->left > 0 && WORD_IS((words)->next[0], keyword))

static String *take(struct words *words) {
    words->left--;
    return *words->next++;
}

static struct strings take_all(struct words *words, size_t len) {
    struct strings strings = strings_hold(words->next, len);
    words->next += len;
    words->left -= len;
    return strings;
}

/* --- Options --- */

/* [TAG t] */
static bool parse_tag(struct words *words, struct program *program) {
    if (!IS(words, "TAG")) {
        program->tag = server.CreateString(NULL, "", 0);
        return true;
    }
    take(words);
    if (words->left == 0) return false;
    program->tag = server.HoldString(NULL, take(words));
    return true;
}

static bool parse_size(struct words *words, long long *size) {
    take(words);
    return words->left > 0 && server.StringToLongLong(take(words), size) == MODULE_OK && *size >= 0;
}

static const char *parse_batching(struct words *words, struct program *model) {
    if (IS(words, "BATCHSIZE") && !parse_size(words, &model->batch_size)) {
        return "ERR Invalid argument for BATCHSIZE";
    }
    if (IS(words, "MINBATCHSIZE")) {
        if (!parse_size(words, &model->min_batch_size)) return "ERR Invalid argument for MINBATCHSIZE";
        if (model->batch_size == 0) return "ERR MINBATCHSIZE specified without BATCHSIZE";
    }
    if (IS(words, "MINBATCHTIMEOUT")) {
        if (!parse_size(words, &model->min_batch_timeout)) return "ERR Invalid argument for MINBATCHTIMEOUT";
        if (model->min_batch_size == 0) return "ERR MINBATCHTIMEOUT specified without MINBATCHSIZE";
    }
    return NULL;
}

/* backend device [TAG t] [BATCHSIZE n ...] */
static const char *parse_head(struct words *words, struct program *model) {
    if (!backend_parse(take(words), &model->backend)) return "ERR unsupported backend";
    model->device_name = server.HoldString(NULL, take(words));
    if (!device_parse(model->device_name, &model->device)) return "ERR Invalid DEVICE";
    if (!parse_tag(words, model)) return no_blob;
    return parse_batching(words, model);
}

/* BLOB chunk... */
static const char *parse_blob(struct words *words, struct program *model) {
    if (words->left == 0) return no_blob;
    if (!IS(words, "BLOB")) return "ERR Invalid argument, expected BLOB";
    take(words);
    if (words->left == 0) return no_blob;
    if (words->left == 1) {
        program_take_payload(model, server.HoldString(NULL, take(words)));
        return NULL;
    }
    size_t total = 0;
    size_t len;
    for (size_t i = 0; i < words->left; i++) {
        server.StringPtrLen(words->next[i], &len);
        total += len;
    }
    char *data = server.Alloc(total);
    for (char *to = data; words->left > 0; to += len) {
        const char *chunk = server.StringPtrLen(take(words), &len);
        memcpy(to, chunk, len);
    }
    program_take_payload(model, server.CreateString(NULL, data, total));
    server.Free(data);
    return NULL;
}

/* --- Names of inputs and outputs --- */

static const char *const unwanted_inputs = "ERR INPUTS argument should not be specified for this backend";
static const char *const unwanted_outputs = "ERR OUTPUTS argument should not be specified for this backend";

/* A number and as many words. */
static const char *parse_counted(struct words *words, struct strings *names, const char *invalid,
                                 const char *mismatch) {
    long long count;
    if (words->left == 0 || server.StringToLongLong(take(words), &count) != MODULE_OK || count <= 0) return invalid;
    if ((unsigned long long)count > words->left) return mismatch;
    *names = take_all(words, (size_t)count);
    return NULL;
}

static const char *parse_store_names(struct words *words, bool ours, struct program *model) {
    const bool named = model->backend == BACKEND_TF;
    const char *error = NULL;
    if (IS(words, "INPUTS")) {
        take(words);
        if (!named && !ours) return unwanted_inputs;
        error = parse_counted(words, &model->inputs, "ERR Invalid argument for input_count",
                              "ERR number of model inputs does not match the number of given arguments");
    } else if (named) {
        error = "ERR INPUTS not specified for TF";
    }
    if (error != NULL) return error;
    if (IS(words, "OUTPUTS")) {
        take(words);
        if (!named && !ours) return unwanted_outputs;
        return parse_counted(words, &model->outputs, "ERR Invalid argument for output_count",
                             "ERR number of model outputs does not match the number of given arguments");
    }
    return named ? "ERR OUTPUTS not specified for TF" : NULL;
}

/* The words before `keyword`, or all. */
#define TAKE_UNTIL(words, keyword) take_before(words, keyword, sizeof(keyword) - 1)
static struct strings take_before(struct words *words, const char *keyword, size_t len) {
    size_t count = 0;
    while (count < words->left && !text_is(words->next[count], keyword, len)) count++;
    return take_all(words, count);
}

static const char *parse_set_names(struct words *words, struct program *model) {
    if (model->backend != BACKEND_TF) {
        if (IS(words, "INPUTS")) return unwanted_inputs;
        return IS(words, "OUTPUTS") ? unwanted_outputs : NULL;
    }
    if (words->left == 0) return "ERR Insufficient arguments, INPUTS and OUTPUTS not specified";
    if (!IS(words, "INPUTS")) return "ERR INPUTS not specified";
    take(words);
    model->inputs = TAKE_UNTIL(words, "OUTPUTS");
    if (words->left == 0) return "ERR OUTPUTS not specified";
    if (model->inputs.len == 0) return "ERR INPUTS not specified";
    take(words);
    model->outputs = TAKE_UNTIL(words, "BLOB");
    return model->outputs.len == 0 ? "ERR OUTPUTS not specified" : NULL;
}

/* --- The commands --- */

const char *parse_model_store(String **args, int count, bool ours, struct program *program) {
    if (count < 2) return "ERR wrong number of arguments for 'AI.MODELSTORE' command";
    struct words words = {args, (size_t)count};
    const char *error = parse_head(&words, program);
    if (error == NULL) error = parse_store_names(&words, ours, program);
    return error == NULL ? parse_blob(&words, program) : error;
}

const char *parse_model_set(String **args, int count, bool ours, struct program *program) {
    (void)ours;
    if (count < 2) return "ERR wrong number of arguments for 'AI.MODELSET' command";
    struct words words = {args, (size_t)count};
    const char *error = parse_head(&words, program);
    if (error == NULL && program->backend == BACKEND_TFLITE && program->batch_size > 0) {
        error = "ERR Auto-batching not supported by the TFLITE backend";
    }
    if (error == NULL) error = parse_set_names(&words, program);
    return error == NULL ? parse_blob(&words, program) : error;
}

/* SOURCE text, and then the device, which is looked at last. */
static const char *parse_source(struct words *words, struct program *script) {
    if (!IS(words, "SOURCE") || words->left != 2) return no_source;
    take(words);
    program_take_payload(script, server.HoldString(NULL, take(words)));
    return device_parse(script->device_name, &script->device) ? NULL : "ERR unsupported device";
}

const char *parse_script_store(String **args, int count, bool ours, struct program *program) {
    (void)ours;
    static const char *const no_entry_points = "ERR Insufficient arguments, missing script entry points";
    if (count < 1) return "ERR wrong number of arguments for 'AI.SCRIPTSTORE' command";
    struct words words = {args, (size_t)count};
    program->device_name = server.HoldString(NULL, take(&words));
    if (!parse_tag(&words, program) || !IS(&words, "ENTRY_POINTS")) return no_entry_points;
    take(&words);
    if (words.left == 0) return no_entry_points;
    const char *error = parse_counted(&words, &program->entry_points,
                                      "ERR Non numeric entry points number provided to AI.SCRIPTSTORE command",
                                      no_entry_points);
    return error == NULL ? parse_source(&words, program) : error;
}

const char *parse_script_set(String **args, int count, bool ours, struct program *program) {
    (void)ours;
    if (count != 3 && count != 5) return "ERR wrong number of arguments for 'AI.SCRIPTSET' command";
    struct words words = {args, (size_t)count};
    program->device_name = server.HoldString(NULL, take(&words));
    return parse_tag(&words, program) ? parse_source(&words, program) : no_source;
}
