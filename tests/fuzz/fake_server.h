/* A server in memory that the module cannot tell from a real one: it loads the module through its only entry point,
 * runs its commands on a single key, and saves, loads and rewrites that key. Anything the module does that a server
 * would not survive aborts. */
#ifndef SMARTSIM_FAKE_SERVER_H
#define SMARTSIM_FAKE_SERVER_H

#include "server.h"

/* Bytes of an RDB file: each string is its length (4 bytes, little endian) and its data. */
struct Stream {
    char *data;
    size_t len, capacity, position;
};

/* A command that the module wrote into an AOF. */
struct fake_command {
    String **argv;
    int argc;
};

/* Load the module. */
void fake_load_module(void);

String *fake_string(const char *data, size_t len);
void fake_free_strings(String **strings, int count);

/* Run a command; an unknown one does nothing. Returns 1 if the module answered with anything but an error. */
int fake_run(String **argv, int argc);

/* What the key holds, NULL if nothing. */
void *fake_value(void);

/* Let the empty key hold `value`. */
void fake_put(void *value);

/* Empty the key. */
void fake_delete(void);

/* A sum over all that DEBUG DIGEST would see of `value`. */
uint64_t fake_digest(void *value);

void fake_save(void *value, Stream *rdb);
void *fake_load(Stream *rdb);
void fake_free(void *value);
struct fake_command fake_rewrite(void *value);

#endif
