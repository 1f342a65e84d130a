#include "dag_words.h"

#include <limits.h>

#include "errors.h"
#include "tensor.h"

/* --- What stands before the first `|>` --- */

static const char *unexpected(const String *word) {
    size_t len;
    const char *text = server.StringPtrLen(word, &len);
    if (len > INT_MAX) len = INT_MAX;
    return error_format("ERR Invalid DAG command. Unexpected argument:  %.*s", (int)len, text);
}

static const char *take_keys(struct dag_words *words, const char *keyword, struct strings *keys) {
    long long len = 0;
    const bool given = words->next < words->argc;
    if (!given || server.StringToLongLong(words->argv[words->next++], &len) != MODULE_OK || len < 1) {
        return error_format("ERR Invalid or missing number of keys to %s", keyword);
    }
    if (len > words->argc - words->next) {
        return error_format("ERR number of keys to %s does not match the number of given arguments", keyword);
    }
    *keys = (struct strings){words->argv + words->next, (size_t)len};
    words->next += (int)len;
    return NULL;
}

static const char *take_routing(struct dag_words *words, const String **routing) {
    if (words->next >= words->argc || WORD_IS(words->argv[words->next], "|>")) return "ERR Missing ROUTING value";
    *routing = words->argv[words->next++];
    return NULL;
}

const char *dag_take_options(const struct dag_form *form, struct dag_words *words, struct dag_options *options) {
    if (words->argc < form->least) {
        return error_format("ERR %s arguments for '%s' command", form->deprecated ? "wrong number of" : "missing",
                            form->name);
    }
    const char *error = NULL;
    while (error == NULL && words->next < words->argc && !WORD_IS(words->argv[words->next], "|>")) {
        const String *word = words->argv[words->next++];
        if (WORD_IS(word, "LOAD") && options->load.items == NULL) {
            error = take_keys(words, "LOAD", &options->load);
        } else if (WORD_IS(word, "PERSIST") && options->persist.items == NULL) {
            if (form->read_only) return "ERR PERSIST cannot be used in a read-only DAG";
            error = take_keys(words, "PERSIST", &options->persist);
        } else if (WORD_IS(word, "ROUTING") && options->routing == NULL) {
            error = take_routing(words, &options->routing);
        } else if (WORD_IS(word, "TIMEOUT") && options->timeout == 0) {
            error = run_parse_timeout(words->argv + words->next, words->argc - words->next, &options->timeout);
            words->next++;
        } else {
            error = unexpected(word);
        }
    }
    if (error != NULL || form->deprecated) return error;
    if (options->load.items == NULL && options->persist.items == NULL && options->routing == NULL) {
        return error_format("ERR %s needs at least one of LOAD, PERSIST and ROUTING", form->name);
    }
    return NULL;
}

/* --- Operations --- */

static const struct dag_command commands[] = {
#define COMMAND(text, ...) {.name = text, .len = sizeof(text) - 1, __VA_ARGS__}
    COMMAND("AI.TENSORSET", .kind = DAG_TENSORSET),
    COMMAND("AI.TENSORGET", .kind = DAG_TENSORGET),
    COMMAND("AI.MODELEXECUTE", .kind = DAG_RUN, .form = RUN_MODELEXECUTE),
    COMMAND("AI.SCRIPTEXECUTE", .kind = DAG_RUN, .form = RUN_SCRIPTEXECUTE),
    COMMAND("AI.MODELRUN", .kind = DAG_RUN, .form = RUN_MODELRUN, .deprecated = true),
    COMMAND("AI.SCRIPTRUN", .kind = DAG_RUN, .form = RUN_SCRIPTRUN, .deprecated = true),
#undef COMMAND
};

static const struct dag_command *find_command(const String *name) {
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (text_is(name, commands[i].name, commands[i].len)) return &commands[i];
    }
    return NULL;
}

/* The bytes of a tensor may look like a `|>`, and are none. */
struct dag_piece dag_take_piece(struct dag_words *words) {
    struct dag_piece piece = {words->argv + ++words->next, 0, NULL};
    if (words->next < words->argc) piece.command = find_command(words->argv[words->next]);
    bool data = piece.command == NULL || piece.command->kind != DAG_TENSORSET; /* whether BLOB is a word like others */
    for (; words->next < words->argc && !WORD_IS(words->argv[words->next], "|>"); words->next++, piece.argc++) {
        if (data || piece.argc < 3) continue; /* the command, the key, the type */
        const bool blob = WORD_IS(words->argv[words->next], "BLOB");
        data = blob || WORD_IS(words->argv[words->next], "VALUES");
        if (blob && words->next + 1 < words->argc) words->next++, piece.argc++;
    }
    return piece;
}

const char *dag_check_piece(const struct dag_form *form, const struct dag_piece *piece) {
    const struct dag_command *command = piece->command;
    if (piece->argc == 0) return "ERR DAG is empty";
    if (command == NULL) return "Unsupported command within DAG";
    if (command->kind != DAG_RUN) return NULL;
    if (command->deprecated && !form->deprecated) {
        return error_format("Deprecated %s cannot be used in AI.DAGEXECUTE command", command->name);
    }
    if (!command->deprecated && form->deprecated) {
        return error_format("%s cannot be used in a deprecated AI.DAGRUN command", command->name);
    }
    if (form->read_only && run_program_kind(command->form) == PROGRAM_SCRIPT) {
        return error_format("ERR %s cannot be used in a read-only DAG", command->name);
    }
    return NULL;
}
