/* The server's byte strings, compared and in lists. */
#ifndef SMARTSIM_TEXT_H
#define SMARTSIM_TEXT_H

#include <stdbool.h>

#include "server.h"

/* Whether `text` is `keyword`, in any case. */
bool text_is(const String *text, const char *keyword, size_t len);
#define WORD_IS(word, keyword) text_is(word, keyword, sizeof(keyword) - 1)

/* Whether both are the same bytes. */
bool text_same(const String *one, const String *other);

/* Hash more on top of `hash`, 0 to begin with. */
uint64_t bytes_hash(uint64_t hash, const void *data, size_t len);
uint64_t text_hash(uint64_t hash, const String *text);

/* A list of strings. */
struct strings {
    String **items;
    size_t len;
};

/* A list that holds each of the strings; to be freed with `strings_free`. */
struct strings strings_hold(String *const *items, size_t len);
void strings_free(struct strings *strings);
bool strings_same(const struct strings *one, const struct strings *other);

#endif
