#include "pattern.h"

#include <stdbool.h>
#include <string.h>

#include "wrap.h"

#define STEP UINT64_C(0x9E3779B97F4A7C15)

enum { WORD = sizeof(uint64_t) };

static uint64_t word_at(uint64_t key, size_t index)
{
    return kit_wrap_add(key, kit_wrap_multiply(index, STEP));
}

unsigned char kit_pattern_byte(uint64_t key, size_t offset)
{
    uint64_t word = word_at(key, offset / WORD);
    unsigned char bytes[WORD];

    memcpy(bytes, &word, WORD);
    return bytes[offset % WORD];
}

/* The first and last whole words of [from, to) as word indices; begin == end where there is none. */
struct words {
    size_t begin, end;
};

static struct words whole_words(size_t from, size_t to)
{
    struct words words = {(from + WORD - 1) / WORD, to / WORD};

    if (words.end < words.begin)
        words.end = words.begin;
    return words;
}

static size_t lesser(size_t a, size_t b)
{
    return a < b ? a : b;
}

void kit_pattern_fill(void *base, size_t from, size_t to, uint64_t key)
{
    unsigned char *bytes = base;
    struct words words = whole_words(from, to);
    size_t offset = from;

    for (; offset < lesser(words.begin * WORD, to); offset++)
        bytes[offset] = kit_pattern_byte(key, offset);
    for (size_t i = words.begin; i < words.end; i++) {
        uint64_t word = word_at(key, i);

        memcpy(bytes + i * WORD, &word, WORD);
        offset = (i + 1) * WORD;
    }
    for (; offset < to; offset++)
        bytes[offset] = kit_pattern_byte(key, offset);
}

static size_t mismatching_byte(const unsigned char *bytes, size_t from, size_t to, uint64_t key)
{
    for (size_t offset = from; offset < to; offset++)
        if (bytes[offset] != kit_pattern_byte(key, offset))
            return offset;
    return KIT_INTACT;
}

/* Without a branch for each word: nearly always none differs. */
static bool words_differ(const unsigned char *bytes, struct words words, uint64_t key)
{
    uint64_t expected = word_at(key, words.begin), differing = 0;

    for (size_t i = words.begin; i < words.end; i++) {
        uint64_t word;

        memcpy(&word, bytes + i * WORD, WORD);
        differing |= word ^ expected;
        expected = kit_wrap_add(expected, STEP);
    }
    return differing != 0;
}

size_t kit_pattern_mismatch(const void *base, size_t from, size_t to, uint64_t key)
{
    const unsigned char *bytes = base;
    struct words words = whole_words(from, to);
    size_t found = mismatching_byte(bytes, from, lesser(words.begin * WORD, to), key);

    if (found == KIT_INTACT && words_differ(bytes, words, key))
        found = mismatching_byte(bytes, words.begin * WORD, words.end * WORD, key);
    if (found == KIT_INTACT && words.end * WORD >= from)
        found = mismatching_byte(bytes, words.end * WORD, to, key);
    return found;
}

size_t kit_pattern_first_nonzero(const void *base, size_t bytes)
{
    static const unsigned char zeros[4096];
    const unsigned char *begin = base;

    /* libc compares faster than a loop of bytes, or of words. */
    for (size_t offset = 0; offset < bytes; offset += sizeof zeros) {
        if (memcmp(begin + offset, zeros, lesser(sizeof zeros, bytes - offset)) == 0)
            continue;
        while (begin[offset] == 0)
            offset++;
        return offset;
    }
    return KIT_INTACT;
}
