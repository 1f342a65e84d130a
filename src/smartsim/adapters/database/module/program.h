/* What workers run: a model or a script. It never changes once made, but for its statistics and its queue. */
#ifndef SMARTSIM_PROGRAM_H
#define SMARTSIM_PROGRAM_H

#include <stdbool.h>

#include "shared.h"
#include "text.h"

/* The numbers of both are part of the RDB encoding: never reorder, only append. */
enum backend { BACKEND_TF, BACKEND_TFLITE, BACKEND_TORCH, BACKEND_ONNX, BACKENDS };
enum program_kind { PROGRAM_MODEL, PROGRAM_SCRIPT };

extern const char *const backend_names[BACKENDS]; /* on the wire, upper case */

/* Where a program runs. `CPU` and `CPU:n` are one device; `GPU` is `GPU:0`. */
struct device {
    bool gpu;
    int index; /* of the GPU; 0 for CPU */
};

enum { BATCH_SIZE_CLASSES = 11 };

/* Times are in microseconds. */
struct statistics {
    unsigned long long calls, errors, samples; /* samples: the sum of dimension 0 of the first outputs */
    unsigned long long duration;               /* of calls, queue and run together */
    unsigned long long queue_time, run_time, batches, workers_lost;
    unsigned long long batch_sizes[BATCH_SIZE_CLASSES]; /* batches of 1, 2, 3-4, 5-8, ... and more requests */
};

struct request;

struct program {
    struct shared shared;
    enum program_kind kind;
    enum backend backend; /* of a script: TORCH */
    unsigned long long version; /* no other program of this server process has it */
    bool loaded;                /* from a file or another server, not by a command */
    String *device_name;        /* as it was given */
    struct device device;
    String *tag; /* empty when there is none */
    long long batch_size, min_batch_size, min_batch_timeout; /* 0 when not given; the last in milliseconds */
    struct strings inputs, outputs;                          /* of a model */
    struct strings entry_points;                             /* of a script */
    String *payload; /* the model's blob, or the script's source */
    struct statistics statistics;

    /* The queue's, see queue.c. */
    struct request *first, *last;        /* requests that wait, the oldest first */
    struct program *previous, *next;     /* among the programs that were ever run */
    struct program *busy_previous, *busy_next; /* among those with requests that wait */
    bool listed;                         /* whether it is among those */
    String *name;                        /* the key under which it was first run; NULL before */
};

/* A program with nothing in it yet, owned once; the caller fills it in. Strings that stay NULL, and empty lists, may
 * be discarded. */
struct program *program_new(enum program_kind kind);
void program_hold(struct program *program);
void program_release(struct program *program);

/* Take the payload (the caller's reference becomes the program's). */
void program_take_payload(struct program *program, String *payload);

/* About what it takes in memory. */
size_t program_bytes(const struct program *program);

/* Whether both would do the same for all clients: everything but version, statistics and queue is equal. Names of
 * inputs and outputs count for TF alone: those of other backends are found in the payload. */
bool program_equal(const struct program *one, const struct program *other);

/* The arguments of the command AI.MODELSTORE, AI.SCRIPTSTORE or AI.SCRIPTSET that makes the same program, `key` first;
 * `command` is set to its name. To be freed with `strings_free`. */
struct strings program_arguments(const struct program *program, String *key, const char **command);

/* Read a device: CPU, GPU, CPU:<digits>, GPU:<digits>, in any case, less than 10 characters. */
bool device_parse(const String *name, struct device *device);

/* Read a backend's name, in any case. */
bool backend_parse(const String *name, enum backend *backend);

#endif
