#include "run_arguments.h"

#include <limits.h>

#include "errors.h"
#include "tensor.h"

static const struct {
    const char *name;
    int least; /* words, its name included */
} forms[] = {
    [RUN_MODELEXECUTE] = {"AI.MODELEXECUTE", 8},
    [RUN_MODELRUN] = {"AI.MODELRUN", 6},
    [RUN_SCRIPTEXECUTE] = {"AI.SCRIPTEXECUTE", 5},
    [RUN_SCRIPTRUN] = {"AI.SCRIPTRUN", 4},
};

enum { MAX_TIMEOUT_SHIFT = 50 }; /* 2^50 ms: no deadline that matters is later, and the server's sums do not overflow */

enum program_kind run_program_kind(enum run_form form) {
    return form == RUN_MODELEXECUTE || form == RUN_MODELRUN ? PROGRAM_MODEL : PROGRAM_SCRIPT;
}

String *run_input(const struct run_arguments *run, size_t i) {
    return run->inputs.items[run->list_start >= 0 && i >= (size_t)run->list_start ? i + 1 : i];
}

/* --- Both of the newer commands: every list has its length before it. --- */

struct words {
    enum run_form form;
    String **argv;
    int argc, next;
};

static const char *unexpected(const String *word) {
    size_t len;
    const char *text = server.StringPtrLen(word, &len);
    return error_format("Invalid argument: %.*s", len > INT_MAX ? INT_MAX : (int)len, text);
}

/* Take `n item...` after a keyword. `what` names the items, `number` what their number is called. */
static const char *take_list(struct words *words, const char *what, const char *number, struct strings *list) {
    long long len = 0;
    if (words->next >= words->argc || server.StringToLongLong(words->argv[words->next++], &len) != MODULE_OK) {
        return error_format("ERR Invalid argument for %s_count", what);
    }
    const bool may_be_empty = words->form == RUN_SCRIPTEXECUTE;
    if (len < 0 || (len == 0 && !may_be_empty)) return error_format("ERR %s count must be a positive integer", number);
    if (len > words->argc - words->next) {
        return error_format("ERR number of %s keys to %s command does not match the number of given arguments", what,
                            forms[words->form].name);
    }
    *list = (struct strings){words->argv + words->next, (size_t)len};
    words->next += (int)len;
    return NULL;
}

const char *run_parse_timeout(String **args, int count, long long *timeout) {
    if (count < 1) return "ERR No value provided for TIMEOUT";
    const bool read = server.StringToLongLong(args[0], timeout) == MODULE_OK;
    if (!read || *timeout <= 0) return "ERR Invalid value for TIMEOUT";
    if (*timeout > 1LL << MAX_TIMEOUT_SHIFT) *timeout = 1LL << MAX_TIMEOUT_SHIFT;
    return NULL;
}

static const char *take_timeout(struct words *words, long long *timeout) {
    const char *error = run_parse_timeout(words->argv + words->next, words->argc - words->next, timeout);
    words->next++;
    return error;
}

static const char *parse_model_execute(struct words *words, struct run_arguments *run) {
    if (!WORD_IS(words->argv[words->next++], "INPUTS")) return "ERR INPUTS not specified";
    const char *error = take_list(words, "input", "Input", &run->inputs);
    if (error != NULL) return error;
    if (words->next >= words->argc || !WORD_IS(words->argv[words->next++], "OUTPUTS")) {
        return "ERR OUTPUTS not specified";
    }
    error = take_list(words, "output", "Output", &run->outputs);
    if (error != NULL || words->next == words->argc) return error;
    if (!WORD_IS(words->argv[words->next++], "TIMEOUT")) return unexpected(words->argv[words->next - 1]);
    error = take_timeout(words, &run->timeout);
    if (error == NULL && words->next < words->argc) error = unexpected(words->argv[words->next]);
    return error;
}

static const char *parse_script_execute(struct words *words, struct run_arguments *run) {
    const String *first = words->argv[words->next];
    if (!WORD_IS(first, "KEYS") && !WORD_IS(first, "INPUTS")) {
        return "ERR KEYS or INPUTS must come first in 'AI.SCRIPTEXECUTE' command";
    }
    const char *error = NULL;
    bool timeout = false;
    while (error == NULL && words->next < words->argc) {
        const String *word = words->argv[words->next++];
        if (WORD_IS(word, "KEYS") && run->keys.items == NULL) {
            error = take_list(words, "key", "Key", &run->keys);
        } else if (WORD_IS(word, "INPUTS") && run->inputs.items == NULL) {
            error = take_list(words, "input", "Input", &run->inputs);
        } else if (WORD_IS(word, "ARGS") && run->args.items == NULL) {
            error = take_list(words, "arg", "Arg", &run->args);
        } else if (WORD_IS(word, "OUTPUTS") && run->outputs.items == NULL) {
            error = take_list(words, "output", "Output", &run->outputs);
        } else if (WORD_IS(word, "TIMEOUT") && !timeout) {
            timeout = true;
            error = take_timeout(words, &run->timeout);
        } else {
            error = unexpected(word);
        }
    }
    return error;
}

/* --- Both of the older commands: the words INPUTS and OUTPUTS divide them. --- */

/* Words up to the next keyword, or to the end. */
static struct strings take_rest(struct words *words, bool until_outputs) {
    struct strings list = {words->argv + words->next, 0};
    while (words->next < words->argc && !(until_outputs && WORD_IS(words->argv[words->next], "OUTPUTS"))) {
        words->next++;
        list.len++;
    }
    return list;
}

static const char *parse_model_run(struct words *words, struct run_arguments *run) {
    if (WORD_IS(words->argv[words->next], "TIMEOUT")) {
        words->next++;
        const char *error = take_timeout(words, &run->timeout);
        if (error != NULL) return error;
    }
    if (words->next >= words->argc || !WORD_IS(words->argv[words->next++], "INPUTS")) return "ERR INPUTS not specified";
    run->inputs = take_rest(words, true);
    if (words->next++ >= words->argc) return "ERR OUTPUTS not specified";
    run->outputs = take_rest(words, false);
    if (run->inputs.len == 0) return "ERR Input count must be a positive integer";
    if (run->outputs.len == 0) return "ERR Output count must be a positive integer";
    return NULL;
}

static const char *mark_list(struct run_arguments *run) {
    for (size_t i = 0; i < run->inputs.len; i++) {
        if (!WORD_IS(run->inputs.items[i], "$")) continue;
        if (run->list_start >= 0) return "ERR Already encountered a variable size list of tensors";
        run->list_start = (long long)i;
    }
    if (run->list_start >= 0) run->inputs.len--;
    return NULL;
}

static const char *parse_script_run(struct words *words, struct run_arguments *run) {
    const char *error = NULL;
    bool timeout = false;
    while (error == NULL && words->next < words->argc) {
        const String *word = words->argv[words->next++];
        if (WORD_IS(word, "TIMEOUT")) {
            error = timeout ? "ERR Already encountered a TIMEOUT keyword" : take_timeout(words, &run->timeout);
            timeout = true;
        } else if (WORD_IS(word, "INPUTS")) {
            if (run->inputs.items != NULL) return "ERR Already encountered an INPUTS keyword";
            run->inputs = take_rest(words, true);
            error = mark_list(run);
        } else if (WORD_IS(word, "OUTPUTS")) {
            if (run->outputs.items != NULL) return "ERR Already encountered an OUTPUTS keyword";
            run->outputs = take_rest(words, false);
        } else if (WORD_IS(word, "$")) {
            return "ERR Encountered a variable size list of tensors outside of input section";
        } else {
            return "ERR Unrecongnized parameter to SCRIPTRUN"; /* sic: clients may compare it */
        }
    }
    return error;
}

/* --- */

const char *run_parse(enum run_form form, String **argv, int argc, struct run_arguments *run) {
    *run = (struct run_arguments){.list_start = -1};
    if (argc < forms[form].least) {
        return error_format("ERR wrong number of arguments for '%s' command", forms[form].name);
    }
    const bool script = run_program_kind(form) == PROGRAM_SCRIPT;
    struct words words = {form, argv, argc, script ? 3 : 2};
    run->program_key = argv[1];
    if (script) run->function = argv[2];
    switch (form) {
        case RUN_MODELEXECUTE: return parse_model_execute(&words, run);
        case RUN_MODELRUN: return parse_model_run(&words, run);
        case RUN_SCRIPTEXECUTE: return parse_script_execute(&words, run);
        default: return parse_script_run(&words, run);
    }
}

void run_report_keys(Context *ctx, enum run_form form, String **argv, int argc) {
    struct run_arguments run;
    const char *error = run_parse(form, argv, argc, &run);
    if (argc > 1) server.KeyAtPos(ctx, 1);
    if (error != NULL) return;
    for (size_t i = 0; i < run.inputs.len; i++) {
        const size_t after_mark = run.list_start >= 0 && i >= (size_t)run.list_start;
        server.KeyAtPos(ctx, (int)(run.inputs.items - argv) + (int)(i + after_mark));
    }
    const struct strings *const lists[] = {&run.outputs, &run.keys};
    for (size_t list = 0; list < sizeof lists / sizeof *lists; list++) {
        for (size_t i = 0; i < lists[list]->len; i++) {
            server.KeyAtPos(ctx, (int)(lists[list]->items - argv) + (int)i);
        }
    }
}
