/* Fuzz target (libFuzzer): any commands of several clients and any bytes of an RDB file, against the whole module on a
 * fake server.
 *
 * An input is either `RDB type`, a newline and the bytes to load a value from, or lines. `;` ends a command, and before
 * it stands one argument a line; the argument `@job` is the number of the job that the client was given last. Beside
 * commands:
 *
 *   @client N   what follows comes from client N; while one waits for a reply, its commands are left out
 *   @gone N     client N disconnects
 *   @later      what comes next happens before those are answered whom the module has unblocked
 *   @tick MS    time passes
 *   @unblock N  client N is told that its time is up
 *   @loaded     all keys were loaded anew, as far as the module knows
 *   @old        the server lacks what older ones lack, until the end of the input
 *   @flags WORD...  of what follows: MULTI, LUA, DENY (blocking), PRIMARY (it comes from there), REPLICA, LOADING,
 *               CLUSTER (in which keys that begin with a `z` are elsewhere), MOVED (those with an `o`, too)
 *   @info       INFO
 *
 * What the module accepts must survive saving, loading, rewriting and reading, and be the same on a replica. A command
 * that fails changes nothing. At the end nothing is left. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_server.h"
#include "queue.h"
#include "worker.h"

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            abort(); \
        } \
    } while (0)

enum { LONGEST_TICK = 60 * 1000 };

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* --- What holds for every value --- */

/* `value`, saved and loaded, is the same; with the last byte missing it is refused. */
static void check_rdb(const DataType *type, void *value) {
    Stream rdb = {0};
    fake_save(type, value, &rdb);
    void *loaded = fake_load(type, &rdb);
    CHECK(loaded != NULL && rdb.position == rdb.len && fake_digest(type, loaded) == fake_digest(type, value));
    fake_free(type, loaded);
    rdb.len -= 1;
    rdb.position = 0;
    CHECK(fake_load(type, &rdb) == NULL);
    free(rdb.data);
}

/* The command that an AOF rewrite makes of the key makes the same key. */
static void check_aof(const struct fake_entry *entry) {
    struct fake_command command = fake_rewrite(entry);
    CHECK(fake_run_on(FAKE_REWRITTEN, CONTEXT_LOADING | CONTEXT_DENY_BLOCKING, &command) == FAKE_REPLIED);
    const struct fake_entry *again = fake_find(FAKE_REWRITTEN, entry->db, entry->name);
    CHECK(again != NULL && again->type == entry->type);
    CHECK(fake_digest(again->type, again->value) == fake_digest(entry->type, entry->value));
    fake_free_strings(command.argv, command.argc);
    fake_clear(FAKE_REWRITTEN);
}

static String *word(const char *text) { return fake_string(text, strlen(text)); }

/* It can be read in every way. */
static void check_reads(const struct fake_entry *entry) {
    static const char *const reads[][4] = {
        {"AI_TENSOR", "AI.TENSORGET", "META"},   {"AI_TENSOR", "AI.TENSORGET", "BLOB"},
        {"AI_TENSOR", "AI.TENSORGET", "VALUES"}, {"AI__MODEL", "AI.MODELGET", "META", "BLOB"},
        {"AI__MODEL", "AI.INFO"},                {"AI_SCRIPT", "AI.SCRIPTGET", "META", "SOURCE"},
        {"AI_SCRIPT", "AI.INFO"},
    };
    for (size_t i = 0; i < sizeof reads / sizeof *reads; i++) {
        if (fake_type(reads[i][0], strlen(reads[i][0])) != entry->type) continue;
        String *argv[4] = {word(reads[i][1]), server.HoldString(NULL, entry->name)};
        int argc = 2;
        for (; argc < 4 && reads[i][argc] != NULL; argc++) argv[argc] = word(reads[i][argc]);
        CHECK(fake_run_on(FAKE_PRIMARY, 0, &(struct fake_command){entry->db, argv, argc}) == FAKE_REPLIED);
        while (argc > 0) server.FreeString(NULL, argv[--argc]);
    }
}

/* Look at what is new, and at the replica. */
static void check(void) {
    for (struct fake_entry *entry = fake_entries(FAKE_PRIMARY); entry != NULL; entry = entry->next) {
        if (entry->checked || entry->type == NULL) continue;
        entry->checked = true;
        check_rdb(entry->type, entry->value);
        check_aof(entry);
        check_reads(entry);
    }
    CHECK(fake_digest_all(FAKE_PRIMARY) == fake_digest_all(FAKE_REPLICA));
}

/* --- Inputs --- */

static void load(const char *data, size_t len) {
    const char *newline = memchr(data, '\n', len);
    const DataType *type = newline == NULL ? NULL : fake_type(data, (size_t)(newline - data));
    if (type == NULL) return;
    Stream rdb = {.len = len - (size_t)(newline + 1 - data)};
    rdb.data = malloc(rdb.len + 1);
    memcpy(rdb.data, newline + 1, rdb.len);
    String *name = word("key");
    for (enum fake_keyspace keyspace = FAKE_PRIMARY; keyspace <= FAKE_REPLICA; keyspace++) {
        rdb.position = 0;
        rdb.failed = false;
        void *value = fake_load(type, &rdb);
        if (value != NULL) fake_put(keyspace, 0, name, type, value);
    }
    server.FreeString(NULL, name);
    free(rdb.data);
    check();
}

/* What is read, line by line. */
struct input {
    const char *next, *end;
    int client;
    bool later; /* what the server does between commands is left out once */
    String **argv; /* of the command that is being read */
    int argc;
    char jobs[FAKE_CLIENTS][24]; /* that each client was given last */
};

static void settle(struct input *input) {
    if (!input->later) fake_settle();
    input->later = false;
    for (int i = 0; i < FAKE_CLIENTS; i++) sscanf(fake_reply(i), "%*s %20[0-9]", input->jobs[i]);
    check();
}

static void run(struct input *input) {
    const uint64_t before = fake_digest_all(FAKE_PRIMARY);
    String **argv = input->argv;
    const int argc = input->argc;
    input->argv = NULL;
    input->argc = 0;
    if (fake_waits(input->client)) {
        fake_free_strings(argv, argc);
        return;
    }
    if (fake_run(input->client, argv, argc) == FAKE_FAILED) CHECK(fake_digest_all(FAKE_PRIMARY) == before);
    settle(input);
}

static int flags_of(const char *text) {
    static const struct {
        const char *name;
        int flag;
    } flags[] = {{"MULTI", CONTEXT_MULTI},           {"LUA", CONTEXT_LUA},         {"PRIMARY", CONTEXT_REPLICATED},
                 {"REPLICA", CONTEXT_REPLICA}, {"LOADING", CONTEXT_LOADING}, {"DENY", CONTEXT_DENY_BLOCKING},
                 {"CLUSTER", CONTEXT_CLUSTER},         {"MOVED", FAKE_MOVED}};
    int all = 0;
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        if (strstr(text, flags[i].name) != NULL) all |= flags[i].flag;
    }
    return all;
}

static void control(struct input *input, const char *line) {
    int number = 0;
    if (sscanf(line, "@client %d", &number) == 1 && number >= 0) {
        input->client = number % FAKE_CLIENTS;
    } else if (sscanf(line, "@gone %d", &number) == 1 && number >= 0) {
        fake_disconnect(number % FAKE_CLIENTS);
        settle(input);
    } else if (sscanf(line, "@tick %d", &number) == 1 && number >= 0) {
        fake_tick(number % LONGEST_TICK);
        settle(input);
    } else if (sscanf(line, "@unblock %d", &number) == 1 && number >= 0) {
        fake_give_up(number % FAKE_CLIENTS);
        settle(input);
    } else if (strcmp(line, "@loaded") == 0) {
        fake_loaded();
        settle(input);
    } else if (strcmp(line, "@old") == 0) {
        server.BlockClientOnKeysWithFlags = NULL;
        server.ACLCheckKeyPermissions = NULL;
    } else if (strcmp(line, "@later") == 0) {
        input->later = true;
    } else if (strncmp(line, "@flags", 6) == 0) {
        fake_set_flags(flags_of(line));
    } else if (strcmp(line, "@info") == 0) {
        fake_info();
    }
}

static void add_argument(struct input *input, const char *line, size_t len) {
    const bool job = len == 4 && memcmp(line, "@job", 4) == 0;
    input->argv[input->argc++] = job ? word(input->jobs[input->client]) : fake_string(line, len);
}

static void read_line(struct input *input) {
    const char *line = input->next;
    const char *newline = memchr(line, '\n', (size_t)(input->end - line));
    const size_t len = (size_t)((newline == NULL ? input->end : newline) - line);
    input->next = line + len + (newline != NULL);
    if (input->argv == NULL) input->argv = malloc((size_t)(input->end - line + 1) * sizeof *input->argv);
    if (len == 1 && *line == ';') {
        run(input);
    } else if (input->argc == 0 && len > 0 && *line == '@') {
        char text[64];
        snprintf(text, sizeof text, "%.*s", len > sizeof text ? (int)sizeof text : (int)len, line);
        control(input, text);
    } else {
        add_argument(input, line, len);
    }
}

/* Settings outlive an input. */
static void reset_settings(void) {
    static const char *const settings[][2] = {
        {"MODEL_CHUNK_SIZE", "535822336"}, {"MINBATCHTIMEOUT", "1000"}, {"BACKENDSPATH", "/"}};
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        String *argv[3] = {word("AI.CONFIG"), word(settings[i][0]), word(settings[i][1])};
        CHECK(fake_run_on(FAKE_PRIMARY, 0, &(struct fake_command){0, argv, 3}) == FAKE_REPLIED);
        for (int j = 0; j < 3; j++) server.FreeString(NULL, argv[j]);
    }
}

static size_t allocations; /* that belong to the module itself */
static struct server functions;

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    fake_load_module();
    reset_settings();
    allocations = fake_allocations;
    functions = server;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    struct input input = {.next = (const char *)data, .end = (const char *)data + len};
    if (len >= 4 && memcmp(data, "RDB ", 4) == 0) {
        load(input.next + 4, len - 4);
    } else {
        while (input.next < input.end) read_line(&input);
        fake_free_strings(input.argv, input.argc);
        fake_info();
    }
    fake_end();
    server = functions;
    reset_settings();
    CHECK(workers == NULL && programs == NULL && fake_allocations == allocations);
    return 0;
}
