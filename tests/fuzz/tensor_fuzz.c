/* Fuzz target (libFuzzer): any commands and any bytes of an RDB file, against the whole module on a fake server.
 *
 * An input is either `RDB\n` and the bytes to load a tensor from, or commands: one argument a line, `;` on a line of
 * its own ends a command. What the module accepts must survive saving, loading, rewriting and reading. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_server.h"

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            abort(); \
        } \
    } while (0)

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    fake_load_module();
    return 0;
}

/* `value`, saved and loaded, is the same; with the last byte missing it is refused. */
static void check_rdb(void *value) {
    Stream rdb = {0};
    fake_save(value, &rdb);
    void *loaded = fake_load(&rdb);
    CHECK(loaded != NULL && rdb.position == rdb.len && fake_digest(loaded) == fake_digest(value));
    fake_free(loaded);
    rdb.len -= 1;
    rdb.position = 0;
    CHECK(fake_load(&rdb) == NULL);
    free(rdb.data);
}

/* The command that an AOF rewrite makes of the key leaves the key as it is. */
static void check_aof(void) {
    const uint64_t before = fake_digest(fake_value());
    struct fake_command command = fake_rewrite(fake_value());
    CHECK(fake_run(command.argv, command.argc));
    CHECK(fake_digest(fake_value()) == before);
    fake_free_strings(command.argv, command.argc);
}

static void check_reads(void) {
    static const char *const formats[] = {"META", "BLOB", "VALUES"};
    for (size_t i = 0; i < 3; i++) {
        String **argv = malloc(3 * sizeof *argv);
        argv[0] = fake_string("AI.TENSORGET", 12);
        argv[1] = fake_string("key", 3);
        argv[2] = fake_string(formats[i], strlen(formats[i]));
        CHECK(fake_run(argv, 3));
        fake_free_strings(argv, 3);
    }
}

/* What the key holds survives all that can be done with it. */
static void check(void) {
    check_rdb(fake_value());
    check_aof();
    check_reads();
}

static void load(const char *data, size_t len) {
    Stream rdb = {.data = malloc(len + 1), .len = len};
    memcpy(rdb.data, data, len);
    fake_put(fake_load(&rdb));
    if (fake_value() != NULL) check();
    fake_delete();
    free(rdb.data);
}

static void run(String **argv, int argc) {
    const uint64_t before = fake_value() == NULL ? 0 : fake_digest(fake_value());
    const int accepted = argc > 0 && fake_run(argv, argc);
    fake_free_strings(argv, argc);
    const uint64_t after = fake_value() == NULL ? 0 : fake_digest(fake_value());
    if (accepted) {
        check();
    } else {
        CHECK(after == before);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    const char *text = (const char *)data;
    const char *end = text + len;
    if (len >= 4 && memcmp(text, "RDB\n", 4) == 0) {
        load(text + 4, len - 4);
        return 0;
    }
    String **argv = malloc((len + 1) * sizeof *argv);
    int argc = 0;
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const size_t line = (size_t)((newline == NULL ? end : newline) - text);
        if (line == 1 && *text == ';') {
            run(argv, argc);
            argv = malloc((len + 1) * sizeof *argv);
            argc = 0;
        } else {
            argv[argc++] = fake_string(text, line);
        }
        text += line + (newline != NULL);
    }
    run(argv, argc);
    fake_delete();
    return 0;
}
