/* The fake server's memory, strings, what the module registers, and INFO. */
#include <pthread.h>
#include <string.h>

#include "fake_parts.h"

/* ai.c */
int RedisModule_OnLoad(Context *ctx, String **argv, int argc);

enum { MAX_COMMANDS = 64, MAX_TYPES = 8, EVENTS = 32 };

static struct command commands[MAX_COMMANDS];
const struct command *fake_commands = commands;
size_t fake_command_count;
InfoFunction fake_info_function;
size_t fake_allocations;

static struct DataType types[MAX_TYPES];
static size_t type_count;
static EventFunction listeners[EVENTS];
static pthread_t main_thread;

/* --- Memory --- */

static void *allocated(void *memory) {
    CHECK(memory != NULL);
    fake_allocations++;
    return memory;
}

void *fake_Alloc(size_t bytes) { return allocated(malloc(bytes)); }
void *fake_Calloc(size_t count, size_t size) { return allocated(calloc(count, size)); }

void fake_Free(void *memory) {
    if (memory != NULL) fake_allocations--;
    free(memory);
}

void *fake_Realloc(void *memory, size_t bytes) {
    if (memory != NULL) fake_allocations--;
    return allocated(realloc(memory, bytes));
}

/* --- Strings --- */

String *fake_string(const char *data, size_t len) {
    String *string = fake_Alloc(sizeof *string);
    *string = (String){1, len, fake_Alloc(len + 1)};
    memcpy(string->data, data, len);
    string->data[len] = '\0';
    return string;
}

String *fake_CreateString(Context *ctx, const char *data, size_t len) {
    (void)ctx;
    return fake_string(data, len);
}

String *fake_CreateStringFromLongLong(Context *ctx, long long number) {
    char text[32];
    return fake_CreateString(ctx, text, (size_t)snprintf(text, sizeof text, "%lld", number));
}

String *fake_HoldString(Context *ctx, String *string) {
    (void)ctx;
    CHECK(string->references > 0);
    string->references++;
    return string;
}

void fake_FreeString(Context *ctx, String *string) {
    (void)ctx;
    CHECK(string->references > 0 && pthread_equal(pthread_self(), main_thread)); /* not counted atomically */
    if (--string->references > 0) return;
    fake_Free(string->data);
    fake_Free(string);
}

void fake_free_strings(String **strings, int count) {
    for (int i = 0; i < count; i++) fake_FreeString(NULL, strings[i]);
    free(strings);
}

const char *fake_StringPtrLen(const String *string, size_t *len) {
    CHECK(string->references > 0);
    if (len != NULL) *len = string->len;
    return string->data;
}

/* Strict, as the server is: what it prints for a number is what it reads as one. */
int fake_StringToLongLong(const String *string, long long *number) {
    char text[32];
    *number = strtoll(string->data, NULL, 10);
    const size_t len = (size_t)snprintf(text, sizeof text, "%lld", *number);
    return len == string->len && memcmp(text, string->data, len) == 0 ? MODULE_OK : MODULE_ERR;
}

/* --- What the module registers --- */

int fake_IsModuleNameBusy(const char *name) { return strcmp(name, "ai") != 0; }

void fake_SetModuleAttribs(Context *ctx, const char *name, int version, int api_version) {
    (void)ctx, (void)name, (void)version;
    CHECK(api_version == MODULE_API_VERSION);
}

void fake_SetModuleOptions(Context *ctx, int options) {
    (void)ctx;
    CHECK(options & OPTION_HANDLE_IO_ERRORS); /* else a server ends itself at the first broken RDB */
}

int fake_CreateCommand(Context *ctx, const char *name, CommandFunction run, const char *flags, int first, int last,
                       int step) {
    (void)ctx;
    CHECK(fake_command_count < MAX_COMMANDS && first <= last && step == (first > 0));
    commands[fake_command_count++] = (struct command){name, run, flags, first, last};
    return MODULE_OK;
}

DataType *fake_CreateDataType(Context *ctx, const char *name, int version, DataTypeMethods *methods) {
    (void)ctx;
    CHECK(strlen(name) == 9 && methods->version == DATA_TYPE_METHODS_VERSION && type_count < MAX_TYPES);
    DataType *type = &types[type_count++];
    *type = (struct DataType){.methods = *methods, .encoding_version = version};
    memcpy(type->name, name, sizeof type->name);
    return type;
}

const DataType *fake_type(const char *name, size_t len) {
    for (size_t i = 0; i < type_count; i++) {
        if (strlen(types[i].name) == len && memcmp(types[i].name, name, len) == 0) return &types[i];
    }
    return NULL;
}

int fake_SubscribeToServerEvent(Context *ctx, Event event, EventFunction function) {
    (void)ctx;
    CHECK(event.id < EVENTS && event.version == EVENT_VERSION);
    CHECK(listeners[event.id] == NULL); /* a second one takes the place of the first */
    listeners[event.id] = function;
    return MODULE_OK;
}

EventFunction fake_listener(uint64_t event) {
    CHECK(listeners[event] != NULL);
    return listeners[event];
}

int fake_RegisterInfoFunc(Context *ctx, InfoFunction function) {
    (void)ctx;
    fake_info_function = function;
    return MODULE_OK;
}

Command *fake_GetCommand(Context *ctx, const char *name) {
    (void)ctx;
    return (Command *)(uintptr_t)name;
}

int fake_SetCommandACLCategories(Command *command, const char *categories) {
    CHECK(command != NULL && categories != NULL);
    return MODULE_OK;
}

void fake_Log(Context *ctx, const char *level, const char *format, ...) { (void)ctx, (void)level, (void)format; }

int fake_lookup(const char *name, void *function) {
#define LOOK(result, fname, arguments) \
    if (strcmp(name, "RedisModule_" #fname) == 0) { \
        result(*found) arguments = fake_##fname; \
        memcpy(function, &found, sizeof found); \
        return MODULE_OK; \
    }
    SERVER_FUNCTIONS(LOOK)
    SERVER_OPTIONAL_FUNCTIONS(LOOK)
#undef LOOK
    return MODULE_ERR;
}

void fake_load_module(void) {
    Context ctx = {.lookup = fake_lookup};
    main_thread = pthread_self();
    CHECK(RedisModule_OnLoad(&ctx, NULL, 0) == MODULE_OK);
}

/* --- INFO --- */

struct InfoReply {
    const char *wanted; /* a section, NULL for all */
    bool in_section, in_dict;
};

int fake_InfoAddSection(InfoReply *info, const char *name) {
    CHECK(!info->in_dict && strpbrk(name, " \r\n") == NULL);
    info->in_section = info->wanted == NULL || strcmp(info->wanted, name) == 0;
    return info->in_section ? MODULE_OK : MODULE_ERR;
}

int fake_InfoBeginDictField(InfoReply *info, const char *name) {
    CHECK(info->in_section && !info->in_dict && strpbrk(name, ":\r\n") == NULL);
    info->in_dict = true;
    return MODULE_OK;
}

int fake_InfoEndDictField(InfoReply *info) {
    CHECK(info->in_dict);
    info->in_dict = false;
    return MODULE_OK;
}

int fake_InfoAddFieldCString(InfoReply *info, const char *field, const char *value) {
    CHECK(info->in_section && strpbrk(field, ":=,\r\n") == NULL);
    CHECK(strpbrk(value, info->in_dict ? ",=\r\n" : "\r\n") == NULL);
    return MODULE_OK;
}

int fake_InfoAddFieldLongLong(InfoReply *info, const char *field, long long value) {
    (void)value;
    return fake_InfoAddFieldCString(info, field, "");
}

int fake_InfoAddFieldULongLong(InfoReply *info, const char *field, unsigned long long value) {
    (void)value;
    return fake_InfoAddFieldCString(info, field, "");
}

void fake_info(void) {
    InfoReply all = {.wanted = NULL};
    InfoReply one = {.wanted = "models"};
    fake_info_function(&all, 0);
    fake_info_function(&one, 0);
    fake_info_function(&all, 1);
    CHECK(!all.in_dict && !one.in_dict);
}
