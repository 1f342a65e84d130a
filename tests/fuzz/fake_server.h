/* A server in memory that the module cannot tell from a real one: it loads the module through its only entry point,
 * has clients, keys, timers and a clock of its own, and replicates to a replica. Anything the module does that a server
 * would not survive aborts. */
#ifndef SMARTSIM_FAKE_SERVER_H
#define SMARTSIM_FAKE_SERVER_H

#include <stdbool.h>

#include "server.h"

enum fake_keyspace { FAKE_PRIMARY, FAKE_REPLICA, FAKE_REWRITTEN, FAKE_KEYSPACES };

/* Of a plain key: what the server's KeyType says. */
enum fake_kind { FAKE_STRING = 1, FAKE_LIST = KEY_TYPE_LIST, FAKE_HASH = KEY_TYPE_HASH };

/* A key that holds something: a value of the module, or, without a type, a plain value: a string, a list of bytes, the field of a
 * hash. */
struct fake_entry {
    struct fake_entry *next;
    int db;
    String *name;
    const DataType *type;
    enum fake_kind kind; /* without a type */
    void *value;
    bool checked; /* for the fuzz target */
};

/* Bytes of an RDB file: each string is its length (4 bytes, little endian) and its data, each number 8 bytes. */
struct Stream {
    char *data;
    size_t len, capacity, position;
    bool failed;
};

/* A command that the module wrote into an AOF or to replicas. */
struct fake_command {
    int db;
    String **argv;
    int argc;
};

/* What became of a command: an error in the reply or no such command; a reply; a client that waits for it. */
enum fake_result { FAKE_FAILED, FAKE_REPLIED, FAKE_BLOCKED };

enum { FAKE_CLIENTS = 8 };

/* Beside the context flags: in a cluster, keys that begin with an `o` are those of another node, as are always those with a `z`. */
enum { FAKE_MOVED = 1 << 30 };

extern size_t fake_allocations; /* by the module that it has not freed, and strings */

/* Load the module. */
void fake_load_module(void);

String *fake_string(const char *data, size_t len);
void fake_free_strings(String **strings, int count);

/* --- Clients: numbers below FAKE_CLIENTS. A new one is connected when it says something. --- */

/* Run a command of a client that does not wait; takes the strings. */
enum fake_result fake_run(int client, String **argv, int argc);
bool fake_waits(int client);
void fake_disconnect(int client);

/* CLIENT UNBLOCK: it is as if its time were up. */
void fake_give_up(int client);

/* Run a command as the fuzz target itself, on some keyspace and with context flags; the strings stay the caller's. */
enum fake_result fake_run_on(enum fake_keyspace keyspace, int flags, const struct fake_command *command);

/* The first string of the client's last reply, or of the array that it was. */
const char *fake_reply(int client);

/* The context flags of the commands that follow. */
void fake_set_flags(int flags);

/* --- Events --- */

/* Answer the clients that the module unblocked: what the server does before it waits for its sockets. */
void fake_settle(void);

/* Let time pass: timers, clients that time out, and a beat at the end. */
void fake_tick(long long ms);

/* The server has loaded all its keys anew. */
void fake_loaded(void);

/* Ask for INFO. */
void fake_info(void);

/* Everything is over: all clients go, time passes, all keys are deleted. Nothing may be left. */
void fake_end(void);

/* --- Keys --- */

struct fake_entry *fake_entries(enum fake_keyspace keyspace);
struct fake_entry *fake_find(enum fake_keyspace keyspace, int db, const String *name);
void fake_put(enum fake_keyspace keyspace, int db, String *name, const DataType *type, void *value);
void fake_clear(enum fake_keyspace keyspace);

/* The type of that name; NULL if there is none. */
const DataType *fake_type(const char *name, size_t len);

/* A sum over all that DEBUG DIGEST would see: of a value, and of all keys. */
uint64_t fake_digest(const DataType *type, void *value);
uint64_t fake_digest_all(enum fake_keyspace keyspace);

void fake_save(const DataType *type, void *value, Stream *rdb);
void *fake_load(const DataType *type, Stream *rdb);
void fake_free(const DataType *type, void *value);
struct fake_command fake_rewrite(const struct fake_entry *entry);

#endif
