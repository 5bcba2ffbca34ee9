#include "groups.h"

#include <stdbool.h>
#include <stdint.h>

#include "block.h"
#include "build.h"
#include "engine.h"
#include "heapster.h"
#include "plain.h"

enum { BYTES_LEAST = 2 * sizeof(uint64_t) };

struct group {
    size_t bytes;
    size_t count;
    bool is_in_call; /* a thread is in a call about it, or has vanished in one */
    char *payloads[GROUP_BLOCKS_MOST];
};

static struct group groups[GROUPS], groups_at_checkpoint[GROUPS];

void groups_begin(void)
{
    for (unsigned i = 0; i < GROUPS; i++)
        groups[i].count = groups[i].is_in_call = 0;
}

/* Most groups are short. */
static void copy(struct group *to, const struct group *from)
{
    to->bytes = from->bytes;
    to->count = from->count;
    to->is_in_call = from->is_in_call;
    explore_copy(to->payloads, from->payloads, from->count * sizeof *from->payloads);
}

void groups_checkpoint(void)
{
    for (unsigned i = 0; i < GROUPS; i++)
        copy(&groups_at_checkpoint[i], &groups[i]);
}

void groups_rewind(void)
{
    for (unsigned i = 0; i < GROUPS; i++)
        copy(&groups[i], &groups_at_checkpoint[i]);
}

/* What stands at both ends of a block: which it is. */
static uint64_t word_of(const struct group *group, size_t index)
{
    return UINT64_C(0x6772000000000000) | (uint64_t)(group - groups) << 32 | index;
}

static void fill(const struct group *group, size_t index)
{
    char *payload = group->payloads[index], *last = payload + group->bytes - sizeof(uint64_t);
    uint64_t word = word_of(group, index);

    plain_note_write(payload, sizeof word);
    explore_copy(payload, &word, sizeof word);
    plain_note_write(last, sizeof word);
    explore_copy(last, &word, sizeof word);
}

static void expect_word(const struct group *group, size_t index, const char *at)
{
    uint64_t found;

    plain_note_read(at, sizeof found);
    explore_copy(&found, at, sizeof found);
    if (found != word_of(group, index))
        engine_fail("content: block %zu of group %u has lost what was written to it", index,
                    (unsigned)(group - groups));
}

static void expect_content(const struct group *group, size_t index)
{
    expect_word(group, index, group->payloads[index]);
    expect_word(group, index, group->payloads[index] + group->bytes - sizeof(uint64_t));
}

void groups_expect_apart(const char *payload, size_t bytes)
{
    for (unsigned i = 0; i < GROUPS; i++)
        for (size_t k = 0; k < groups[i].count; k++)
            if (groups[i].payloads[k] < payload + bytes && payload < groups[i].payloads[k] + groups[i].bytes)
                engine_fail("a block was given twice: block %zu of group %u is live", k, i);
}

void groups_allocate(unsigned number, size_t bytes, size_t count, groups_expect *expect_apart)
{
    struct group *group = &groups[number];

    groups_free(number);
    group->bytes = bytes > BYTES_LEAST ? bytes : BYTES_LEAST;
    group->is_in_call = true;
    while (group->count < count) {
        char *payload = heapster_malloc(group->bytes);

        if (payload == NULL && execution.faults == 0)
            engine_fail("no memory for %zu bytes, although no call failed", group->bytes);
        if (payload == NULL)
            break;
        if ((uintptr_t)payload % HS_ALIGNMENT != 0 || heapster_usable_size(payload) < group->bytes)
            engine_fail("a block of %zu bytes, one of many, is misaligned or shorter", group->bytes);
        groups_expect_apart(payload, group->bytes);
        expect_apart(payload, group->bytes);
        group->payloads[group->count] = payload;
        fill(group, group->count);
        group->count++;
    }
    group->is_in_call = false;
}

void groups_free(unsigned number)
{
    struct group *group = &groups[number];

    group->is_in_call = true;
    while (group->count > 0) {
        expect_content(group, group->count - 1);
        group->count--;
        heapster_free(group->payloads[group->count]);
    }
    group->is_in_call = false;
}

size_t groups_count(size_t *unknown)
{
    size_t live = 0;

    for (unsigned i = 0; i < GROUPS; i++) {
        live += groups[i].count;
        *unknown += groups[i].is_in_call;
    }
    return live;
}

void groups_expect_content(void)
{
    for (unsigned i = 0; i < GROUPS; i++)
        for (size_t k = 0; k < groups[i].count; k++)
            expect_content(&groups[i], k);
}

void groups_free_all(void)
{
    for (unsigned i = 0; i < GROUPS; i++)
        groups_free(i);
}
