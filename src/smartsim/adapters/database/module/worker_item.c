#include "worker_item.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tensor_commands.h"

enum { MAX_WORD = 24 }; /* a number and the space before it */

/* Words with one space between them. */
struct text {
    char *data;
    size_t len, capacity;
};

static struct text text_new(size_t numbers) {
    const size_t capacity = 64 + numbers * MAX_WORD;
    return (struct text){server.Alloc(capacity), 0, capacity};
}

__attribute__((format(printf, 2, 3))) static void text_add(struct text *text, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const int len = vsnprintf(text->data + text->len, text->capacity - text->len, format, arguments);
    va_end(arguments);
    text->len += (size_t)len; /* there is room: text_new was told of all numbers */
}

static void text_reply(Context *ctx, struct text *text) {
    server.ReplyWithStringBuffer(ctx, text->data, text->len);
    server.Free(text->data);
}

static void reply_layout(Context *ctx, const struct tensor *input, long long rows) {
    struct text text = text_new(input->ndims);
    text_add(&text, "%s", elements[input->type].name);
    for (size_t i = 0; i < input->ndims; i++) text_add(&text, " %lld", i == 0 ? rows : input->dims[i]);
    text_reply(ctx, &text);
}

static void reply_inputs(Context *ctx, const struct batch *batch, long long rows) {
    for (size_t i = 0; i < batch->first->input_count; i++) {
        const struct tensor *first = batch->first->inputs[i];
        reply_layout(ctx, first, batch->len > 1 || first->ndims == 0 ? rows : first->dims[0]);
        for (const struct request *request = batch->first; request != NULL; request = request->next) {
            tensor_reply_blob(ctx, request->inputs[i]);
        }
    }
}

static void reply_run(Context *ctx, const struct batch *batch) {
    const struct request *first = batch->first;
    struct text text = text_new(5 + batch->len);
    text_add(&text, "RUN %llu %llu %s %zu %zu %zu", batch->job, batch->program->version,
             backend_names[batch->program->backend], batch->len, first->input_count, first->output_count);
    long long rows = 0;
    for (const struct request *request = first; request != NULL; request = request->next) {
        text_add(&text, " %lld", request->rows);
        rows += request->rows;
    }
    server.ReplyWithArray(ctx, (long)(1 + first->input_count * (1 + batch->len)));
    text_reply(ctx, &text);
    reply_inputs(ctx, batch, rows);
}

static void reply_strings(Context *ctx, const struct strings *strings) {
    for (size_t i = 0; i < strings->len; i++) server.ReplyWithString(ctx, strings->items[i]);
}

static void reply_script(Context *ctx, const struct batch *batch) {
    const struct request *call = batch->first;
    struct text text = text_new(7);
    text_add(&text, "SCRIPT %llu %llu %zu %zu %lld %zu %zu", batch->job, batch->program->version, call->keys.len,
             call->args.len, call->list_start, call->input_count, call->output_count);
    server.ReplyWithArray(ctx, (long)(2 + call->keys.len + call->args.len + call->input_count * 2));
    text_reply(ctx, &text);
    server.ReplyWithString(ctx, call->function);
    reply_strings(ctx, &call->keys);
    reply_strings(ctx, &call->args);
    reply_inputs(ctx, batch, 0);
}

void item_reply_batch(Context *ctx, const struct batch *batch) {
    if (batch->first->kind == REQUEST_CHECK) {
        struct text text = text_new(3);
        text_add(&text, "CHECK %llu %llu %s", batch->job, batch->program->version,
                 backend_names[batch->program->backend]);
        server.ReplyWithArray(ctx, 1);
        text_reply(ctx, &text);
    } else if (batch->program->kind == PROGRAM_SCRIPT) {
        reply_script(ctx, batch);
    } else {
        reply_run(ctx, batch);
    }
}

void item_reply_drop(Context *ctx, const unsigned long long *versions, size_t len) {
    struct text text = text_new(len);
    text_add(&text, "DROP");
    for (size_t i = 0; i < len; i++) text_add(&text, " %llu", versions[i]);
    server.ReplyWithArray(ctx, 1);
    text_reply(ctx, &text);
}

void item_reply_kill(Context *ctx, long long process) {
    struct text text = text_new(1);
    text_add(&text, "KILL %lld", process);
    server.ReplyWithArray(ctx, 1);
    text_reply(ctx, &text);
}

static void reply_list(Context *ctx, const struct strings *strings) {
    server.ReplyWithArray(ctx, (long)strings->len);
    reply_strings(ctx, strings);
}

#define REPLY_TEXT(ctx, text) server.ReplyWithStringBuffer(ctx, text, strlen(text))

void item_reply_program(Context *ctx, const struct program *program) {
    const bool model = program->kind == PROGRAM_MODEL;
    server.ReplyWithArray(ctx, 6);
    REPLY_TEXT(ctx, model ? "MODEL" : "SCRIPT");
    REPLY_TEXT(ctx, backend_names[program->backend]);
    server.ReplyWithString(ctx, program->device_name);
    reply_list(ctx, model ? &program->inputs : &program->entry_points);
    reply_list(ctx, &program->outputs);
    server.ReplyWithString(ctx, program->payload);
}
