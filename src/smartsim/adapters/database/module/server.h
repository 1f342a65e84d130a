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
typedef struct Blocked Blocked;   /* a client that waits for its reply */
typedef struct InfoReply InfoReply; /* an INFO under way */
typedef struct ScanCursor ScanCursor; /* a walk over all keys */
typedef struct User User;         /* of access control lists */
typedef struct CallReply CallReply; /* what a command said that the module itself gave */
typedef uint64_t Timer;

enum { MODULE_OK = 0, MODULE_ERR = 1 };
enum { MODULE_API_VERSION = 1 };
enum { NO_EXPIRY = -1 };
enum { KEY_READ = 1 << 0, KEY_WRITE = 1 << 1 };
enum { KEY_TYPE_EMPTY = 0, KEY_TYPE_LIST = 2, KEY_TYPE_HASH = 3, KEY_TYPE_STREAM = 7 };
enum { HASH_CFIELDS = 1 << 2, HASH_EXISTS = 1 << 3 };
enum { BLOCK_UNBLOCK_DELETED = 1 << 0 };
enum { ACL_ACCESS = 1 << 4, ACL_UPDATE = 1 << 5, ACL_INSERT = 1 << 6, ACL_DELETE = 1 << 7 };
enum { OPTION_HANDLE_IO_ERRORS = 1 << 0 };
enum { NOTIFY_HASH = 1 << 6, NOTIFY_MODULE = 1 << 13, NOTIFY_WRITES = 0x7fc | NOTIFY_MODULE }; /* all but misses, loading, and new keys */
enum { EVENT_LOADING = 3, EVENT_CLIENT_CHANGE = 4, EVENT_CRON_LOOP = 8, EVENT_SWAP_DB = 11, EVENT_VERSION = 1 };
enum { LOADING_ENDED = 3 };
enum { CLIENT_CONNECTED = 0, CLIENT_DISCONNECTED = 1 };
enum {
    CONTEXT_LUA = 1 << 0,
    CONTEXT_MULTI = 1 << 1,
    CONTEXT_REPLICA = 1 << 3,
    CONTEXT_CLUSTER = 1 << 5,
    CONTEXT_REPLICATED = 1 << 12, /* the command came from the primary */
    CONTEXT_LOADING = 1 << 13,    /* the command came from the AOF, or the data set is being loaded */
    CONTEXT_DENY_BLOCKING = 1 << 21,
};
enum { DATA_TYPE_METHODS_VERSION = 3 };

typedef struct Event {
    uint64_t id;
    uint64_t version;
} Event;

/* What comes with EVENT_CLIENT_CHANGE: the beginning of it. */
typedef struct ClientInfo {
    uint64_t version;
    uint64_t flags;
    uint64_t id;
} ClientInfo;

typedef int (*CommandFunction)(Context *ctx, String **argv, int argc);
typedef void (*EventFunction)(Context *ctx, Event event, uint64_t subevent, void *data);
typedef void (*PrivateDataFunction)(Context *ctx, void *data);
typedef int (*NotificationFunction)(Context *ctx, int kind, const char *event, String *key);
typedef void (*DisconnectFunction)(Context *ctx, Blocked *blocked);
typedef void (*TimerFunction)(Context *ctx, void *data);
typedef void (*InfoFunction)(InfoReply *info, int for_crash_report);
typedef void (*ScanFunction)(Context *ctx, String *name, Key *key, void *data);

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
    F(int, SubscribeToKeyspaceEvents, (Context *, int kinds, NotificationFunction)) \
    F(void *, Alloc, (size_t bytes)) \
    F(void *, Calloc, (size_t count, size_t size)) \
    F(void *, Realloc, (void *, size_t bytes)) \
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
    F(size_t, ValueLength, (Key *)) \
    F(int, HashGet, (Key *, int flags, ...)) \
    F(int, HashSet, (Key *, int flags, ...)) \
    F(DataType *, ModuleTypeGetType, (Key *)) \
    F(void *, ModuleTypeGetValue, (Key *)) \
    F(int, ModuleTypeSetValue, (Key *, DataType *, void *value)) \
    F(int, ModuleTypeReplaceValue, (Key *, DataType *, void *value, void **old)) \
    F(int, SetExpire, (Key *, long long ms)) \
    F(int, DeleteKey, (Key *)) \
    F(int, SelectDb, (Context *, int db)) \
    F(int, GetSelectedDb, (Context *)) \
    F(ScanCursor *, ScanCursorCreate, (void)) \
    F(void, ScanCursorDestroy, (ScanCursor *)) \
    F(int, Scan, (Context *, ScanCursor *, ScanFunction, void *data)) \
    F(int, IsKeysPositionRequest, (Context *)) \
    F(void, KeyAtPos, (Context *, int position)) \
    F(int, NotifyKeyspaceEvent, (Context *, int kind, const char *event, String *key)) \
    F(int, ReplicateVerbatim, (Context *)) \
    F(int, Replicate, (Context *, const char *command, const char *format, ...)) \
    F(CallReply *, Call, (Context *, const char *command, const char *format, ...)) \
    F(const char *, CallReplyStringPtr, (CallReply *, size_t *len)) \
    F(void, FreeCallReply, (CallReply *)) \
    F(int, ReplyWithCallReply, (Context *, CallReply *)) \
    F(long long, Milliseconds, (void)) \
    F(int, GetContextFlags, (Context *)) \
    F(unsigned long long, GetClientId, (Context *)) \
    F(Blocked *, BlockClient, \
      (Context *, CommandFunction reply, CommandFunction timed_out, PrivateDataFunction free_data, \
       long long timeout_ms)) \
    F(Blocked *, BlockClientOnKeys, \
      (Context *, CommandFunction ready, CommandFunction timed_out, PrivateDataFunction free_data, \
       long long timeout_ms, String **keys, int key_count, void *data)) \
    F(void, SignalKeyAsReady, (Context *, String *key)) \
    F(int, UnblockClient, (Blocked *, void *data)) \
    F(void *, GetBlockedClientPrivateData, (Context *)) \
    F(Blocked *, GetBlockedClientHandle, (Context *)) \
    F(void, SetDisconnectCallback, (Blocked *, DisconnectFunction)) \
    F(Timer, CreateTimer, (Context *, long long ms, TimerFunction, void *data)) \
    F(int, StopTimer, (Context *, Timer, void **data)) \
    F(int, ReplyWithError, (Context *, const char *)) \
    F(int, ReplyWithSimpleString, (Context *, const char *)) \
    F(int, ReplyWithNull, (Context *)) \
    F(int, ReplyWithArray, (Context *, long len)) \
    F(int, ReplyWithLongLong, (Context *, long long)) \
    F(int, ReplyWithDouble, (Context *, double)) \
    F(int, ReplyWithString, (Context *, String *)) \
    F(int, ReplyWithStringBuffer, (Context *, const char *, size_t len)) \
    F(int, RegisterInfoFunc, (Context *, InfoFunction)) \
    F(int, InfoAddSection, (InfoReply *, const char *name)) \
    F(int, InfoBeginDictField, (InfoReply *, const char *name)) \
    F(int, InfoEndDictField, (InfoReply *)) \
    F(int, InfoAddFieldCString, (InfoReply *, const char *field, const char *)) \
    F(int, InfoAddFieldLongLong, (InfoReply *, const char *field, long long)) \
    F(int, InfoAddFieldULongLong, (InfoReply *, const char *field, unsigned long long)) \
    F(void, SaveUnsigned, (Stream *, uint64_t)) \
    F(uint64_t, LoadUnsigned, (Stream *)) \
    F(int, IsIOError, (Stream *)) \
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

/* Redis before 7.2 and KeyDB lack some of these; NULL there. */
#define SERVER_OPTIONAL_FUNCTIONS(F) \
    F(Command *, GetCommand, (Context *, const char *name)) \
    F(int, SetCommandACLCategories, (Command *, const char *categories)) \
    F(String *, GetCurrentUserName, (Context *)) \
    F(User *, GetModuleUserFromUserName, (String *name)) \
    F(void, FreeModuleUser, (User *)) \
    F(int, ACLCheckKeyPermissions, (User *, String *key, int access)) \
    F(Blocked *, BlockClientOnKeysWithFlags, \
      (Context *, CommandFunction ready, CommandFunction timed_out, PrivateDataFunction free_data, \
       long long timeout_ms, String **keys, int key_count, void *data, int flags))

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
