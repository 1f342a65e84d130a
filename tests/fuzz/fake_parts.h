/* What the parts of the fake server know of each other. */
#ifndef SMARTSIM_FAKE_PARTS_H
#define SMARTSIM_FAKE_PARTS_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "fake_server.h"

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: the module broke a rule of the server: %s\n", __FILE__, __LINE__, #condition); \
            abort(); \
        } \
    } while (0)

enum { DATABASES = 16 };

struct client {
    unsigned long long id; /* 0 while it is not connected */
    enum fake_keyspace keyspace;
    int db, flags;
    Blocked *blocked;
    String **argv; /* of the command that it waits for */
    int argc;
    const struct command *last; /* of the module, that it sent */
    char reply[64]; /* the beginning of the last reply's first string */
};

/* A client that waits for the module. */
struct Blocked {
    Blocked *next; /* among those that were unblocked */
    struct client *client; /* NULL once it went away or was told that it timed out */
    CommandFunction reply, timed_out;
    PrivateDataFunction free_data;
    DisconnectFunction disconnected;
    long long deadline; /* microseconds, 0 for none */
    String *key;       /* that it waits for; NULL if it is for the module to unblock it */
    bool even_deleted; /* it is served when the key has gone, too */
    bool unblocked;
    void *data;
};

/* One call of the module. */
struct Context {
    int (*lookup)(const char *name, void *function);
    struct client *client;
    const struct command *command; /* NULL if it is no command of a client */
    int argc;
    String **argv;
    bool *is_key;     /* which of the arguments are; NULL if all keys may be opened */
    bool *is_served;  /* which of them the module has asked about; NULL if the server looks after its keys */
    bool finds_keys;  /* those of its keys that are no arguments the module looks after itself */
    String **allowed; /* of these, what it has asked about */
    int allowed_count;
    long expected;    /* replies that are still to come */
    bool failed;      /* an error was among them */
    bool asking_keys; /* for the positions of keys */
    Blocked *blocked; /* whom it is about */
    bool blocking;    /* the client waits from now on */
};

struct String {
    size_t references, len;
    char *data; /* of its own allocation, so that a read beyond the NUL is seen */
};

struct DataType {
    DataTypeMethods methods;
    int encoding_version;
    char name[10];
};

struct command {
    const char *name;
    CommandFunction run;
    const char *flags;
    int first, last; /* the positions of its keys, 0 for none */
};

/* Each is of the server's interface, under a name of our own. */
#define DECLARE(result, name, arguments) result fake_##name arguments;
SERVER_FUNCTIONS(DECLARE)
SERVER_OPTIONAL_FUNCTIONS(DECLARE)
#undef DECLARE

extern const struct command *fake_commands;
extern size_t fake_command_count;
extern InfoFunction fake_info_function;
extern size_t fake_open_keys;

extern struct client fake_clients[FAKE_CLIENTS];

int fake_lookup(const char *name, void *function);

/* A command out of what Replicate and EmitAOF are given. */
struct fake_command fake_format(const char *command, const char *format, va_list arguments);

/* Have replicas do what a command has done. */
void fake_propagate(const Context *ctx, struct fake_command command);

/* After each call of the module: nothing is left open, and what was written is the same on the replica. */
void fake_end_call(const Context *ctx, int db);

/* What is set whatever client the module is called for. */
int fake_server_flags(void);

/* Whether it may not write, since this is a replica. */
bool fake_is_read_only(const struct client *client);

/* Run a command of a client of the module's. */
enum fake_result fake_run_as(struct client *client, String **argv, int argc);

/* Have a client that waits answered next. */
void fake_unblock(Blocked *blocked);

/* Tell the module that a key of the primary has changed. */
void fake_notify(int db, int kind, const char *event, String *name);

/* All keys have changed: the server sees to those who wait for one. */
void fake_signal_deleted(void);

/* Ask the module about those who wait for keys that were signalled: what the server does after each command. */
void fake_serve_ready(void);

/* Nobody waits for what is so already. */
void fake_check_waits(void);

void fake_tell_of_client(struct client *client, uint64_t change);

/* How clients and beats are told to the module. */
EventFunction fake_listener(uint64_t event);

bool fake_same_text(const String *one, const String *other);

/* DEL, COPY, SET, RPUSH, LPOP, HSET (of one field), SELECT, SWAPDB and FLUSHALL. Returns false if it is none of them. */
bool fake_run_own(struct client *client, String **argv, int argc);

/* UNLINK, COPY, RENAME, PERSIST and PEXPIREAT, which the module asks for. Returns false if it is none of them. */
bool fake_run_plain(enum fake_keyspace keyspace, int db, String **argv, int argc);

/* Whether a command may touch a key: access control lists know of all that it tells, or asks about. */
bool fake_may_open(const Context *ctx, const String *name, int mode);

/* In a cluster: whether another node has a key. */
bool fake_is_elsewhere(const struct client *client, const String *key);

/* A hash is one string. Its next field, of which the value follows it; where they begin, from 0. */
struct fake_field {
    const char *field, *value;
    size_t field_len, value_len;
};

bool fake_next_field(const String *hash, size_t *position, struct fake_field *field);

/* The value of a field, to be freed; NULL if there is none. */
String *fake_find_field(const String *hash, const String *name);

/* A hash with one more field; `hash` may be NULL. */
String *fake_with_field(const String *hash, const String *field, const String *value);

void fake_delete(enum fake_keyspace keyspace, int db, const String *name);

#endif
