/*
 * Goal: a search stays short however many free blocks there are.
 * Class of bug: a strategy that looks through a list, or through all blocks that are too small, one by one; a search
 *   tree that degenerates.
 * Oracle: the pages that one call touches. Neighbours in a list lie on different pages, so a linear pass touches
 *   thousands; a path in a tree of n blocks touches a small multiple of log2(n).
 * Knobs: model-bounded <strategy> <layout> [MiB of buffer]; a MiB holds 2,800 to 3,600 free blocks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/mman.h>
#include <unistd.h>

#include "heapster.h"
#include "meter.h"
#include "rng.h"

/* Pages that one call may touch for each doubling of the free blocks: down a tree, along it when a block comes or goes,
 * the children beside the path, in up to two lists. */
enum { PAGES_PER_DOUBLING = 8 };

enum { ROUNDS = 128, RARE = 48 };

/* What the free blocks are like. Used blocks of 32 bytes keep them apart. */
struct layout {
    const char *name;
    size_t least_bytes, most_bytes;     /* of the free blocks */
    size_t least_request, most_request; /* blocks asked for while the meter runs */
    size_t rare_bytes;                  /* if not 0, of RARE blocks that are older than all others */
    bool gives_back;                    /* every second call frees a block */
};

static const struct layout layouts[] = {
    /* All in the list of the request, all a bit too small for it. The few that fit come last in their list. */
    {"small", 256, 256, 272, 272, 272, false},
    {"spread", 256, 288, 304, 304, 304, false},
    /* Each fits, none better than another; requests take them whole or cut them. */
    {"equal", 256, 256, 32, 256, 0, true},
    {"mixed", 32, 640, 32, 640, 0, true},
};

struct task {
    enum heapster_strategy strategy;
    const struct layout *layout;
    size_t buffer_bytes;
};

struct field {
    heapster_arena *arena;
    char *buffer;
    size_t buffer_bytes;
    void **gaps; /* blocks to be freed; after sow, `gap_count` free blocks */
    size_t gap_count;
    struct kit_rng rng;
};

/* ---- sowing ------------------------------------------------------------------------------------------------------ */

static size_t draw_bytes(struct kit_rng *rng, size_t least, size_t most)
{
    return kit_rng_between(rng, least / 16, most / 16) * 16;
}

static void *take(struct field *field, size_t block_bytes)
{
    return heapster_arena_malloc(field->arena, block_bytes - 8);
}

/* Fills the buffer with blocks of the layout and separators, to the last byte. The rare ones are spread over it. */
static void fill_buffer(struct field *field, const struct layout *layout)
{
    size_t pair_bytes = (layout->least_bytes + layout->most_bytes) / 2 + 32;
    size_t rare_every = field->buffer_bytes / pair_bytes / (RARE + 1), rare = 0;
    void *block;

    for (;;) {
        bool is_rare = layout->rare_bytes != 0 && rare < RARE && field->gap_count / rare_every > rare;

        size_t block_bytes =
            is_rare ? layout->rare_bytes : draw_bytes(&field->rng, layout->least_bytes, layout->most_bytes);

        block = take(field, block_bytes);
        /* The last one may get more than it asked for, the rest of the buffer, and is then none of the layout. */
        if (block == NULL || heapster_usable_size(block) > block_bytes)
            break;
        field->gaps[field->gap_count++] = block;
        /* The rare ones gather at the front of the array. */
        if (is_rare) {
            field->gaps[field->gap_count - 1] = field->gaps[rare];
            field->gaps[rare++] = block;
        }
        if (take(field, 32) == NULL)
            break;
    }
    do {
        block = take(field, 32);
    } while (block != NULL);
}

/* Frees the blocks in random order, so that neighbours in a list are none in memory; the rare ones first. */
static void free_gaps(struct field *field, const struct layout *layout)
{
    size_t begin = layout->rare_bytes != 0 ? RARE : 0;

    for (size_t i = begin + 1; i < field->gap_count; i++) {
        size_t other = kit_rng_between(&field->rng, begin, i);
        void *block = field->gaps[i];

        field->gaps[i] = field->gaps[other];
        field->gaps[other] = block;
    }
    for (size_t i = 0; i < field->gap_count; i++)
        heapster_free(field->gaps[i]);
}

static void sow(struct field *field, const struct task *task)
{
    struct heapster_arena_config config = {.strategy = HEAPSTER_FIRST_FIT, .buffer_bytes = task->buffer_bytes};

    memset(field, 0, sizeof(*field));
    field->rng.state = 1;
    field->buffer_bytes = task->buffer_bytes;
    field->buffer =
        mmap(NULL, field->buffer_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(field->buffer, MAP_FAILED);
    field->gaps = malloc(field->buffer_bytes / (task->layout->least_bytes + 32) * sizeof(*field->gaps) + 64);
    assert_non_null(field->gaps);
    config.buffer = field->buffer;
    field->arena = heapster_arena_create(&config);
    assert_non_null(field->arena);
    fill_buffer(field, task->layout);
    free_gaps(field, task->layout);
    assert_int_equal(heapster_arena_set_strategy(field->arena, task->strategy), 0);
}

static void clear(struct field *field)
{
    heapster_arena_destroy(field->arena);
    free(field->gaps);
    assert_int_equal(munmap(field->buffer, field->buffer_bytes), 0);
}

/* ---- measuring --------------------------------------------------------------------------------------------------- */

struct harvest {
    void *taken[ROUNDS];
    size_t taken_count;
    size_t found;    /* searches that found a block */
    size_t most;     /* pages that any call touched */
    size_t calls;    /* measured, takes and gives */
    size_t in_total; /* pages of all of them */
};

static void note_pages(struct harvest *harvest, size_t touched)
{
    harvest->calls++;
    harvest->in_total += touched;
    harvest->most = touched > harvest->most ? touched : harvest->most;
}

static void take_measured(struct field *field, const struct layout *layout, struct harvest *harvest)
{
    size_t bytes = draw_bytes(&field->rng, layout->least_request, layout->most_request);
    void *block;

    meter_begin();
    block = take(field, bytes);
    note_pages(harvest, meter_end());
    if (block != NULL) {
        harvest->found++;
        harvest->taken[harvest->taken_count++] = block;
    }
}

static void give_measured(struct field *field, struct harvest *harvest)
{
    size_t index = kit_rng_below(&field->rng, harvest->taken_count);

    meter_begin();
    heapster_free(harvest->taken[index]);
    note_pages(harvest, meter_end());
    harvest->taken[index] = harvest->taken[--harvest->taken_count];
}

static void measure(struct field *field, const struct layout *layout, struct harvest *harvest)
{
    memset(harvest, 0, sizeof(*harvest));
    meter_open(field->buffer, field->buffer_bytes);
    for (unsigned round = 0; round < ROUNDS; round++) {
        take_measured(field, layout, harvest);
        if (layout->gives_back && round % 2 == 1 && harvest->taken_count > 0)
            give_measured(field, harvest);
    }
    meter_close();
}

static size_t pages_allowed(size_t blocks)
{
    size_t allowed = PAGES_PER_DOUBLING;

    for (; blocks > 1; blocks /= 2)
        allowed += PAGES_PER_DOUBLING;
    return allowed;
}

static void search_is_bounded(void **state)
{
    const struct task *task = *state;
    static struct field field;
    static struct harvest harvest;
    size_t allowed, linear;

    sow(&field, task);
    allowed = pages_allowed(field.gap_count);
    linear = field.buffer_bytes / (size_t)sysconf(_SC_PAGESIZE);
    linear = linear < METER_PAGES_MAX ? linear : METER_PAGES_MAX;
    measure(&field, task->layout, &harvest);
    print_message("%zu free blocks: %zu pages at most, %zu on average; %zu allowed, %zu were it linear\n",
                  field.gap_count, harvest.most, harvest.in_total / harvest.calls, allowed, linear);
    assert_in_range(harvest.most, 1, allowed);
    assert_true(linear >= 4 * allowed);
    assert_int_equal(harvest.found, task->layout->rare_bytes != 0 ? RARE : ROUNDS);
    assert_int_equal(heapster_check(HEAPSTER_CHECK_AT_REST, NULL, NULL), 0);
    clear(&field);
}

/* The meter itself: it sees each page once, and a pass over all of them as one that is too long. */
static void meter_counts_pages(void **state)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), total = (size_t)2 * METER_PAGES_MAX;
    volatile char *buffer =
        mmap(NULL, total * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    (void)state;
    assert_ptr_not_equal((void *)buffer, MAP_FAILED);
    meter_open((char *)buffer, total * page);
    meter_begin();
    assert_int_equal(meter_end(), 0);
    meter_begin();
    for (size_t i = 0; i < 100; i++) {
        buffer[i * 3 * page] = 1;
        (void)buffer[i * 3 * page + 1];
    }
    assert_int_equal(meter_end(), 100);
    meter_begin();
    for (size_t i = 0; i < total; i++)
        (void)buffer[i * page];
    assert_int_equal(meter_end(), METER_PAGES_MAX);
    meter_close();
    assert_int_equal(munmap((void *)buffer, total * page), 0);
}

/* ---- the command line -------------------------------------------------------------------------------------------- */

static bool parse(char **argv, struct task *task)
{
    static const char *const names[] = {"first", "next", "best", "worst"};
    bool known = false;

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(argv[1], names[i]) == 0) {
            task->strategy = (enum heapster_strategy)i;
            known = true;
        }
    }
    for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
        if (strcmp(argv[2], layouts[i].name) == 0)
            task->layout = &layouts[i];
    }
    task->buffer_bytes = strtoul(argv[3], NULL, 10) << 20;
    return known && task->layout != NULL && task->buffer_bytes != 0;
}

int main(int argc, char **argv)
{
    static struct task task;
    const struct CMUnitTest meter_tests[] = {cmocka_unit_test(meter_counts_pages)};
    const struct CMUnitTest tests[] = {cmocka_unit_test_prestate(search_is_bounded, &task)};

    if (argc == 2 && strcmp(argv[1], "meter") == 0)
        return cmocka_run_group_tests(meter_tests, NULL, NULL);
    if (argc != 4 || !parse(argv, &task)) {
        (void)fprintf(stderr, "usage: %s meter | first|next|best|worst small|spread|equal|mixed <MiB>\n", argv[0]);
        return 2;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
