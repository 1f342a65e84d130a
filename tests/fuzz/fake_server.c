#include "fake_server.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ai.c */
int RedisModule_OnLoad(Context *ctx, String **argv, int argc);

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: the module broke a rule of the server: %s\n", __FILE__, __LINE__, #condition); \
            abort(); \
        } \
    } while (0)

struct Context {
    int (*lookup)(const char *name, void *function);
    long expected; /* replies that are still to come */
    int failed;    /* an error was among them */
};

struct String {
    size_t references, len;
    char *data; /* of its own allocation, so that a read beyond the NUL is seen */
};

struct DataType {
    DataTypeMethods methods;
    int encoding_version;
};

struct Key {
    int open, mode;
};

struct Digest {
    uint64_t sum;
};

enum { MAX_COMMANDS = 64 };
static struct {
    const char *name;
    CommandFunction run;
} commands[MAX_COMMANDS];
static size_t command_count;
static struct DataType type;
static EventFunction beat;
static struct Key the_key;
static void *the_value;

/* --- Memory and strings --- */

static void *checked(void *memory) {
    CHECK(memory != NULL);
    return memory;
}

static void *fake_Alloc(size_t bytes) { return checked(malloc(bytes)); }
static void *fake_Calloc(size_t count, size_t size) { return checked(calloc(count, size)); }
static void fake_Free(void *memory) { free(memory); }

String *fake_string(const char *data, size_t len) {
    String *string = fake_Alloc(sizeof *string);
    *string = (String){1, len, fake_Alloc(len + 1)};
    memcpy(string->data, data, len);
    string->data[len] = '\0';
    return string;
}

static String *fake_CreateString(Context *ctx, const char *data, size_t len) {
    (void)ctx;
    return fake_string(data, len);
}

static String *fake_CreateStringFromLongLong(Context *ctx, long long number) {
    char text[32];
    return fake_CreateString(ctx, text, (size_t)snprintf(text, sizeof text, "%lld", number));
}

static String *fake_HoldString(Context *ctx, String *string) {
    (void)ctx;
    string->references++;
    return string;
}

static void fake_FreeString(Context *ctx, String *string) {
    (void)ctx;
    CHECK(string->references > 0);
    if (--string->references > 0) return;
    free(string->data);
    free(string);
}

void fake_free_strings(String **strings, int count) {
    for (int i = 0; i < count; i++) fake_FreeString(NULL, strings[i]);
    free(strings);
}

static const char *fake_StringPtrLen(const String *string, size_t *len) {
    *len = string->len;
    return string->data;
}

/* Strict, as the server is: what it prints for a number is what it reads as one. */
static int fake_StringToLongLong(const String *string, long long *number) {
    char text[32];
    *number = strtoll(string->data, NULL, 10);
    const size_t len = (size_t)snprintf(text, sizeof text, "%lld", *number);
    return len == string->len && memcmp(text, string->data, len) == 0 ? MODULE_OK : MODULE_ERR;
}

/* --- Registration --- */

static int fake_IsModuleNameBusy(const char *name) { return strcmp(name, "ai") != 0; }

static void fake_SetModuleAttribs(Context *ctx, const char *name, int version, int api_version) {
    (void)ctx, (void)name, (void)version;
    CHECK(api_version == MODULE_API_VERSION);
}

static void fake_SetModuleOptions(Context *ctx, int options) {
    (void)ctx;
    CHECK(options & OPTION_HANDLE_IO_ERRORS); /* else a server ends itself at the first broken RDB */
}

static int fake_CreateCommand(Context *ctx, const char *name, CommandFunction run, const char *flags, int first,
                              int last, int step) {
    (void)ctx, (void)flags, (void)first, (void)last, (void)step;
    CHECK(command_count < MAX_COMMANDS);
    commands[command_count].name = name;
    commands[command_count++].run = run;
    return MODULE_OK;
}

static DataType *fake_CreateDataType(Context *ctx, const char *name, int version, DataTypeMethods *methods) {
    (void)ctx;
    CHECK(strlen(name) == 9 && methods->version == DATA_TYPE_METHODS_VERSION);
    type = (struct DataType){*methods, version};
    return &type;
}

static int fake_SubscribeToServerEvent(Context *ctx, Event event, EventFunction function) {
    (void)ctx;
    CHECK(event.id == EVENT_CRON_LOOP);
    beat = function;
    return MODULE_OK;
}

static void fake_Log(Context *ctx, const char *level, const char *format, ...) { (void)ctx, (void)level, (void)format; }

/* --- Keys --- */

static Key *fake_OpenKey(Context *ctx, String *name, int mode) {
    (void)ctx, (void)name;
    CHECK(!the_key.open);
    if (the_value == NULL && !(mode & KEY_WRITE)) return NULL;
    the_key = (struct Key){1, mode};
    return &the_key;
}

static void fake_CloseKey(Key *key) {
    if (key == NULL) return;
    CHECK(key->open);
    key->open = 0;
}

static int fake_KeyType(Key *key) { return key == NULL || the_value == NULL ? KEY_TYPE_EMPTY : 6; }

static DataType *fake_ModuleTypeGetType(Key *key) {
    CHECK(key->open);
    return &type;
}

static void *fake_ModuleTypeGetValue(Key *key) {
    CHECK(key->open);
    return the_value;
}

static int fake_ModuleTypeSetValue(Key *key, DataType *data_type, void *value) {
    CHECK(key->open && key->mode & KEY_WRITE && data_type == &type);
    fake_delete();
    the_value = value;
    return MODULE_OK;
}

static int fake_NotifyKeyspaceEvent(Context *ctx, int kind, const char *event, String *key) {
    (void)ctx, (void)event;
    CHECK(kind == NOTIFY_MODULE && key->references > 0);
    return MODULE_OK;
}

void *fake_value(void) { return the_value; }

void fake_put(void *value) { the_value = value; }

void fake_free(void *value) {
    type.methods.free(value);
    beat(NULL, (Event){EVENT_CRON_LOOP, EVENT_CRON_LOOP_VERSION}, 0, NULL);
}

void fake_delete(void) {
    if (the_value != NULL) fake_free(the_value);
    the_value = NULL;
}

/* --- Commands and replies --- */

static int replied(Context *ctx, long more) {
    CHECK(ctx->expected > 0 && more >= 0);
    ctx->expected += more - 1;
    return MODULE_OK;
}

static int fake_ReplicateVerbatim(Context *ctx) {
    CHECK(ctx->expected > 0);
    return MODULE_OK;
}

static int fake_ReplyWithError(Context *ctx, const char *text) {
    CHECK(strchr(text, ' ') != NULL && strpbrk(text, "\r\n") == NULL);
    ctx->failed = 1;
    return replied(ctx, 0);
}

static int fake_ReplyWithSimpleString(Context *ctx, const char *text) {
    CHECK(strpbrk(text, "\r\n") == NULL);
    return replied(ctx, 0);
}

static int fake_ReplyWithArray(Context *ctx, long len) { return replied(ctx, len); }

static int fake_ReplyWithLongLong(Context *ctx, long long number) {
    (void)number;
    return replied(ctx, 0);
}

static int fake_ReplyWithDouble(Context *ctx, double number) {
    (void)number;
    return replied(ctx, 0);
}

static int fake_ReplyWithStringBuffer(Context *ctx, const char *data, size_t len) {
    free(memcpy(fake_Alloc(len + 1), data, len)); /* reads it all */
    return replied(ctx, 0);
}

static int fake_ReplyWithString(Context *ctx, String *string) {
    return fake_ReplyWithStringBuffer(ctx, string->data, string->len);
}

static int lookup(const char *name, void *function);

int fake_run(String **argv, int argc) {
    for (size_t i = 0; i < command_count; i++) {
        if (strcmp(argv[0]->data, commands[i].name) != 0) continue;
        Context ctx = {lookup, 1, 0};
        CHECK(commands[i].run(&ctx, argv, argc) == MODULE_OK);
        CHECK(ctx.expected == 0 && !the_key.open);
        return !ctx.failed;
    }
    return 0;
}

/* --- Persistence --- */

static void fake_SaveStringBuffer(Stream *rdb, const char *data, size_t len) {
    const size_t total = rdb->len + 4 + len;
    if (total > rdb->capacity) {
        rdb->capacity = 2 * total;
        rdb->data = checked(realloc(rdb->data, rdb->capacity));
    }
    for (int i = 0; i < 4; i++) rdb->data[rdb->len + (size_t)i] = (char)(len >> (8 * i));
    memcpy(rdb->data + rdb->len + 4, data, len);
    rdb->len = total;
}

static void fake_SaveString(Stream *rdb, String *string) { fake_SaveStringBuffer(rdb, string->data, string->len); }

/* The next string, or NULL at a length that is not there. */
static const char *next_string(Stream *rdb, size_t *len) {
    if (rdb->len - rdb->position < 4) return NULL;
    *len = 0;
    for (int i = 0; i < 4; i++) *len |= (size_t)(unsigned char)rdb->data[rdb->position++] << (8 * i);
    if (*len > rdb->len - rdb->position) return NULL;
    rdb->position += *len;
    return rdb->data + rdb->position - *len;
}

static char *fake_LoadStringBuffer(Stream *rdb, size_t *len) {
    const char *data = next_string(rdb, len);
    return data == NULL ? NULL : memcpy(fake_Alloc(*len), data, *len);
}

static String *fake_LoadString(Stream *rdb) {
    size_t len;
    const char *data = next_string(rdb, &len);
    return data == NULL ? NULL : fake_string(data, len);
}

static void fake_LogIOError(Stream *rdb, const char *level, const char *format, ...) {
    (void)rdb, (void)level, (void)format;
}

void fake_save(void *value, Stream *rdb) { type.methods.rdb_save(rdb, value); }

void *fake_load(Stream *rdb) {
    CHECK(type.methods.rdb_load(rdb, type.encoding_version + 1) == NULL);
    return type.methods.rdb_load(rdb, type.encoding_version);
}

static struct fake_command emitted;

static void emit(String *string) {
    emitted.argv = checked(realloc(emitted.argv, (size_t)(emitted.argc + 1) * sizeof *emitted.argv));
    emitted.argv[emitted.argc++] = string;
}

static void fake_EmitAOF(Stream *aof, const char *command, const char *format, ...) {
    (void)aof;
    va_list arguments;
    va_start(arguments, format);
    emit(fake_string(command, strlen(command)));
    for (; *format != '\0'; format++) {
        if (*format == 's') {
            emit(fake_HoldString(NULL, va_arg(arguments, String *)));
        } else if (*format == 'c') {
            const char *text = va_arg(arguments, const char *);
            emit(fake_string(text, strlen(text)));
        } else {
            CHECK(*format == 'v');
            String **strings = va_arg(arguments, String **);
            const size_t count = va_arg(arguments, size_t);
            for (size_t i = 0; i < count; i++) emit(fake_HoldString(NULL, strings[i]));
        }
    }
    va_end(arguments);
}

struct fake_command fake_rewrite(void *value) {
    String *key = fake_string("key", 3);
    emitted = (struct fake_command){NULL, 0};
    type.methods.aof_rewrite(NULL, key, value);
    fake_FreeString(NULL, key);
    return emitted;
}

/* --- Digest --- */

static void fake_DigestAddStringBuffer(Digest *digest, const char *data, size_t len) {
    for (size_t i = 0; i < len; i++) digest->sum = (digest->sum ^ (unsigned char)data[i]) * 1099511628211U;
    digest->sum = (digest->sum ^ len) * 1099511628211U;
}

static void fake_DigestAddLongLong(Digest *digest, long long number) {
    fake_DigestAddStringBuffer(digest, (const char *)&number, sizeof number);
}

static void fake_DigestEndSequence(Digest *digest) { digest->sum *= 1099511628211U; }

uint64_t fake_digest(void *value) {
    Digest digest = {14695981039346656037U};
    type.methods.digest(&digest, value);
    CHECK(type.methods.mem_usage(value) > 0 && type.methods.free_effort(NULL, value) > 0);
    void *copy = type.methods.copy(NULL, NULL, value);
    fake_free(copy);
    return digest.sum;
}

/* --- Look-up --- */

static Command *fake_GetCommand(Context *ctx, const char *name) {
    (void)ctx;
    return (Command *)(uintptr_t)name;
}

static int fake_SetCommandACLCategories(Command *command, const char *categories) {
    CHECK(command != NULL && categories != NULL);
    return MODULE_OK;
}

static int lookup(const char *name, void *function) {
#define LOOK(result, fname, arguments) \
    if (strcmp(name, "RedisModule_" #fname) == 0) { \
        result(*found) arguments = fake_##fname; \
        memcpy(function, &found, sizeof found); \
        return MODULE_OK; \
    }
    SERVER_FUNCTIONS(LOOK)
    SERVER_OPTIONAL_FUNCTIONS(LOOK)
    return MODULE_ERR;
}

void fake_load_module(void) {
    Context ctx = {lookup, 0, 0};
    CHECK(RedisModule_OnLoad(&ctx, NULL, 0) == MODULE_OK);
}
