/* How inputs of module_fuzz.c are changed: half the time whole commands are moved, copied, left out or taken from
 * another input, since what happens depends on their order; else bytes, as libFuzzer does. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t len, size_t max_len);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t len, size_t max_len, unsigned int seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *data, size_t len, const uint8_t *other, size_t other_len, uint8_t *out,
                                 size_t max_len, unsigned int seed);

/* A part of an input. */
struct range {
    const uint8_t *start, *end;
};

static unsigned int next_random(unsigned int *state) {
    *state = *state * 1103515245U + 12345U;
    return *state >> 16;
}

/* The end of the command or control line that begins at `text`. */
static const uint8_t *skip_command(const uint8_t *text, const uint8_t *end) {
    bool control = text < end && *text == '@';
    while (text < end) {
        const uint8_t *newline = memchr(text, '\n', (size_t)(end - text));
        const bool last = control || (*text == ';' && newline == text + 1);
        text = newline == NULL ? end : newline + 1;
        if (last) break;
    }
    return text;
}

/* Between two commands, or before the first or behind the last. */
static const uint8_t *pick_place(const uint8_t *start, const uint8_t *end, unsigned int *state) {
    size_t commands = 0;
    for (const uint8_t *text = start; text < end; text = skip_command(text, end)) commands++;
    const uint8_t *place = start;
    for (size_t skip = next_random(state) % (commands + 1); skip > 0; skip--) place = skip_command(place, end);
    return place;
}

/* Some neighbouring commands, few as a rule. */
static struct range pick_commands(const uint8_t *start, const uint8_t *end, unsigned int *state) {
    struct range range = {pick_place(start, end, state), end};
    range.end = range.start;
    do {
        range.end = skip_command(range.end, end);
    } while (next_random(state) % 2 == 0);
    return range;
}

/* `data` with `inserted` at `place` and without `removed`. Returns 0 if that is too long. */
static size_t join(struct range data, const uint8_t *place, struct range inserted, struct range removed, uint8_t *out,
                   size_t max_len) {
    size_t len = 0;
    for (const uint8_t *text = data.start; text <= data.end; text++) {
        if (text == place) {
            const size_t more = (size_t)(inserted.end - inserted.start);
            if (more > max_len - len) return 0;
            memcpy(out + len, inserted.start, more);
            len += more;
        }
        if (text == data.end || (text >= removed.start && text < removed.end)) continue;
        if (len == max_len) return 0;
        out[len++] = *text;
    }
    return len;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t len, size_t max_len, unsigned int seed) {
    enum { BYTES = 3 };
    const unsigned int way = next_random(&seed) % (2 * BYTES);
    const bool commands = len > 0 && !(len >= 4 && memcmp(data, "RDB ", 4) == 0);
    if (way >= BYTES || !commands) return LLVMFuzzerMutate(data, len, max_len);
    const struct range nothing = {data, data};
    const struct range all = {data, data + len};
    const struct range some = pick_commands(all.start, all.end, &seed);
    const uint8_t *place = pick_place(all.start, all.end, &seed);
    uint8_t *out = malloc(max_len + 1);
    const size_t out_len = join(all, place, way == 0 ? nothing : some, way == 1 ? nothing : some, out, max_len);
    memcpy(data, out, out_len);
    free(out);
    return out_len;
}

size_t LLVMFuzzerCustomCrossOver(const uint8_t *data, size_t len, const uint8_t *other, size_t other_len, uint8_t *out,
                                 size_t max_len, unsigned int seed) {
    const struct range nothing = {data, data};
    const uint8_t *place = pick_place(data, data + len, &seed);
    return join((struct range){data, data + len}, place, pick_commands(other, other + other_len, &seed), nothing, out,
                max_len);
}
