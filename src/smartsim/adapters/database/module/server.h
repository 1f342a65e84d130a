/* What this module needs of the server's module interface, declared here so that no server header is needed.
 *
 * Valkey, Redis and KeyDB hand a module a context whose first word is a look-up function. `server_resolve` fills
 * the table `server` through it, under the names that all three know ("RedisModule_..."). */
#ifndef SMARTSIM_SERVER_H
#define SMARTSIM_SERVER_H

#include <stddef.h>
#include <stdint.h>

typedef struct Context Context;   /* one call of one command */
typedef struct String String;     /* a counted byte string of the server */
typedef struct Command Command;   /* a registered command */
typedef struct Key Key;           /* an open key */
typedef struct DataType DataType; /* a native key type, registered by a module */
typedef struct Stream Stream;     /* an RDB or AOF file being read or written */
typedef struct Digest Digest;     /* a DEBUG DIGEST under way */

enum { MODULE_OK = 0, MODULE_ERR = 1 };
enum { MODULE_API_VERSION = 1 };
enum { KEY_READ = 1 << 0, KEY_WRITE = 1 << 1 };
enum { KEY_TYPE_EMPTY = 0 };
enum { OPTION_HANDLE_IO_ERRORS = 1 << 0 };
enum { NOTIFY_MODULE = 1 << 13 };
enum { EVENT_CRON_LOOP = 8, EVENT_CRON_LOOP_VERSION = 1 };
enum { DATA_TYPE_METHODS_VERSION = 3 };

typedef struct Event {
    uint64_t id;
    uint64_t version;
} Event;

typedef int (*CommandFunction)(Context *ctx, String **argv, int argc);
typedef void (*EventFunction)(Context *ctx, Event event, uint64_t subevent, void *data);

/* The callbacks of a native key type, in the order the server reads them (version 3 of the table). */
typedef struct DataTypeMethods {
    uint64_t version;
    void *(*rdb_load)(Stream *rdb, int encoding_version);
    void (*rdb_save)(Stream *rdb, void *value);
    void (*aof_rewrite)(Stream *aof, String *key, void *value);
    size_t (*mem_usage)(const void *value);
    void (*digest)(Digest *digest, void *value);
    void (*free)(void *value);
    int (*aux_load)(Stream *rdb, int encoding_version, int when);
    void (*aux_save)(Stream *rdb, int when);
    int aux_save_triggers;
    size_t (*free_effort)(String *key, const void *value);
    void (*unlink)(String *key, const void *value);
    void *(*copy)(String *from, String *to, const void *value);
    int (*defrag)(void *ctx, String *key, void **value);
} DataTypeMethods;

/* result, name, arguments */
#define SERVER_FUNCTIONS(F) \
    F(int, IsModuleNameBusy, (const char *name)) \
    F(void, SetModuleAttribs, (Context *, const char *name, int version, int api_version)) \
    F(void, SetModuleOptions, (Context *, int options)) \
    F(int, CreateCommand, \
      (Context *, const char *name, CommandFunction, const char *flags, int first, int last, int step)) \
    F(DataType *, CreateDataType, (Context *, const char *name, int encoding_version, DataTypeMethods *)) \
    F(int, SubscribeToServerEvent, (Context *, Event, EventFunction)) \
    F(void *, Alloc, (size_t bytes)) \
    F(void *, Calloc, (size_t count, size_t size)) \
    F(void, Free, (void *)) \
    F(String *, CreateString, (Context *, const char *data, size_t len)) \
    F(String *, CreateStringFromLongLong, (Context *, long long)) \
    F(String *, HoldString, (Context *, String *)) \
    F(void, FreeString, (Context *, String *)) \
    F(const char *, StringPtrLen, (const String *, size_t *len)) \
    F(int, StringToLongLong, (const String *, long long *)) \
    F(Key *, OpenKey, (Context *, String *name, int mode)) \
    F(void, CloseKey, (Key *)) \
    F(int, KeyType, (Key *)) \
    F(DataType *, ModuleTypeGetType, (Key *)) \
    F(void *, ModuleTypeGetValue, (Key *)) \
    F(int, ModuleTypeSetValue, (Key *, DataType *, void *value)) \
    F(int, NotifyKeyspaceEvent, (Context *, int kind, const char *event, String *key)) \
    F(int, ReplicateVerbatim, (Context *)) \
    F(int, ReplyWithError, (Context *, const char *)) \
    F(int, ReplyWithSimpleString, (Context *, const char *)) \
    F(int, ReplyWithArray, (Context *, long len)) \
    F(int, ReplyWithLongLong, (Context *, long long)) \
    F(int, ReplyWithDouble, (Context *, double)) \
    F(int, ReplyWithString, (Context *, String *)) \
    F(int, ReplyWithStringBuffer, (Context *, const char *, size_t len)) \
    F(void, SaveString, (Stream *, String *)) \
    F(void, SaveStringBuffer, (Stream *, const char *, size_t len)) \
    F(String *, LoadString, (Stream *)) \
    F(char *, LoadStringBuffer, (Stream *, size_t *len)) \
    F(void, LogIOError, (Stream *, const char *level, const char *format, ...)) \
    F(void, EmitAOF, (Stream *, const char *command, const char *format, ...)) \
    F(void, DigestAddStringBuffer, (Digest *, const char *, size_t len)) \
    F(void, DigestAddLongLong, (Digest *, long long)) \
    F(void, DigestEndSequence, (Digest *)) \
    F(void, Log, (Context *, const char *level, const char *format, ...))

/* Redis before 7.2 and KeyDB lack these; NULL there. */
#define SERVER_OPTIONAL_FUNCTIONS(F) \
    F(Command *, GetCommand, (Context *, const char *name)) \
    F(int, SetCommandACLCategories, (Command *, const char *categories))

struct server {
#define DECLARE(result, name, arguments) result(*name) arguments;
    SERVER_FUNCTIONS(DECLARE)
    SERVER_OPTIONAL_FUNCTIONS(DECLARE)
#undef DECLARE
};

extern struct server server;

/* Fill `server` from the context given to OnLoad. Returns NULL, or the name of a needed function that is missing. */
const char *server_resolve(Context *ctx);

#endif
