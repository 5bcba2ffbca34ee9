#include "duel.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KIB ((size_t)1024)
#define MIB (KIB * KIB)

/* How often the sequences stop to look at everything, and to change their appetite. */
enum { WALK_EVERY = 256, CHECK_EVERY = 2048, MOOD_EVERY = 2048 };

/* Buffers are so small that each sequence runs them full many times; `wide` reaches the last list, and `crowded` has
 * thousands of blocks. */
const struct mix duel_mixes[] = {
    {"exact", 48 * KIB, 0, 104, 0, 0, 10, 1, 0},     {"range", 512 * KIB + 4096 + 16, 120, 4000, 0, 0, 10, 1, 0},
    {"equal", 512 * KIB, 16, 2000, 5, 0, 10, 1, 0},  {"mixed", 1 * MIB, 1, 20000, 0, 5, 15, 1, 0},
    {"wide", 64 * MIB, 16, 6 * MIB, 0, 5, 15, 1, 0}, {"aligned", 512 * KIB, 1, 4000, 12, 60, 15, 1, 0},
    {"resize", 256 * KIB, 1, 6000, 0, 5, 60, 1, 0},  {"switching", 512 * KIB, 1, 8000, 0, 10, 20, 1, 40},
    {"crowded", 512 * KIB, 0, 1000, 0, 5, 10, 0, 5},
};
const size_t duel_mix_count = sizeof(duel_mixes) / sizeof(duel_mixes[0]);

const struct mix *duel_mix(const char *name)
{
    for (size_t i = 0; i < duel_mix_count; i++) {
        if (strcmp(duel_mixes[i].name, name) == 0)
            return &duel_mixes[i];
    }
    return NULL;
}

static const char *strategy_name(enum heapster_strategy strategy)
{
    static const char *const names[] = {"first fit", "next fit", "best fit", "worst fit"};

    return names[strategy];
}

/* Keeps the first complaint: what comes after it is a consequence. */
static void complain(struct duel *duel, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void complain(struct duel *duel, const char *format, ...)
{
    va_list arguments;
    int used;

    if (duel->complaint[0] != '\0')
        return;
    used = snprintf(duel->complaint, sizeof(duel->complaint),
                    "mix %s, seed %" PRIu64 ", call %" PRIu64 ", %s: ", duel->mix->name, duel->seed, duel->operation,
                    strategy_name(duel->model.strategy));
    va_start(arguments, format);
    (void)vsnprintf(duel->complaint + used, sizeof(duel->complaint) - (size_t)used, format, arguments);
    va_end(arguments);
}

static bool agrees(const struct duel *duel)
{
    return duel->complaint[0] == '\0';
}

static size_t offset_of(const struct duel *duel, const char *payload)
{
    return payload != NULL ? (size_t)(payload - duel->base) : MODEL_NONE;
}

/* ---- looking at everything --------------------------------------------------------------------------------------- */

struct tour {
    struct duel *duel;
    size_t seen;
};

static bool visit_block(const struct heapster_block_info *info, void *context)
{
    struct tour *tour = context;
    struct duel *duel = tour->duel;
    const struct model_block *expected;
    size_t offset = (size_t)((uintptr_t)info->payload - (uintptr_t)duel->base);

    /* The heap that serves this program has blocks, too. */
    if (info->arena != 255 || offset >= duel->mix->buffer_bytes)
        return true;
    if (tour->seen == duel->model.count) {
        complain(duel, "walk: a block at %zu, behind the last", offset);
        return false;
    }
    expected = &duel->model.blocks[tour->seen++];
    if (offset != expected->offset || info->block_bytes != expected->bytes ||
        info->state != (expected->published != 0 ? HEAPSTER_BLOCK_FREE : HEAPSTER_BLOCK_USED))
        complain(duel, "walk: block %zu at %zu has %zu bytes, state %d; expected at %zu, %zu bytes, %s", tour->seen - 1,
                 offset, info->block_bytes, (int)info->state, expected->offset, expected->bytes,
                 expected->published != 0 ? "free" : "used");
    return agrees(duel);
}

static void compare_blocks(struct duel *duel)
{
    struct tour tour = {duel, 0};

    (void)heapster_walk(visit_block, &tour);
    if (tour.seen != duel->model.count)
        complain(duel, "walk: %zu blocks, expected %zu", tour.seen, duel->model.count);
}

static void note_broken(const char *invariant, const void *address, const char *text, void *context)
{
    struct duel *duel = context;

    complain(duel, "check: %s at %zu: %s", invariant, (size_t)((uintptr_t)address - (uintptr_t)duel->base), text);
}

static void check_heap(struct duel *duel)
{
    if (heapster_check(HEAPSTER_CHECK_AT_REST, note_broken, duel) != 0)
        complain(duel, "check: the heap is broken");
}

/* ---- payloads ---------------------------------------------------------------------------------------------------- */

enum { EDGE_BYTES = 96 };

/* Large payloads are written at their edges only, where tags, links and footers of free blocks come to lie. */
static void fill(const struct duel_live *live)
{
    if (live->payload_bytes <= (size_t)2 * EDGE_BYTES) {
        memset(live->payload, live->fill, live->payload_bytes);
        return;
    }
    memset(live->payload, live->fill, EDGE_BYTES);
    memset(live->payload + live->payload_bytes - EDGE_BYTES, live->fill, EDGE_BYTES);
}

static void expect_bytes(struct duel *duel, const char *at, size_t bytes, int value, const char *call)
{
    for (size_t i = 0; i < bytes; i++) {
        if ((unsigned char)at[i] != value) {
            complain(duel, "%s: byte %zu of the payload is %02x, expected %02x", call, i, (unsigned char)at[i],
                     (unsigned)value);
            return;
        }
    }
}

static size_t edge_of(size_t bytes)
{
    return bytes < EDGE_BYTES ? bytes : EDGE_BYTES;
}

static void expect_filled(struct duel *duel, const struct duel_live *live, const char *call)
{
    size_t edge = edge_of(live->payload_bytes);

    expect_bytes(duel, live->payload, edge, live->fill, call);
    expect_bytes(duel, live->payload + live->payload_bytes - edge, edge, live->fill, call);
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */

static size_t spread(struct kit_rng *rng, size_t least, size_t most)
{
    size_t high = least > 0 ? least : 1;
    unsigned doublings = 0;

    for (size_t top = high; top < most; top *= 2)
        doublings++;
    high = (high << kit_rng_below(rng, doublings + 1U));
    high = high < most ? high : most;
    return kit_rng_between(rng, high / 2 < least ? least : high / 2, high);
}

static size_t draw_bytes(struct duel *duel)
{
    const struct mix *mix = duel->mix;

    if (mix->palette != 0 && kit_rng_below(&duel->rng, 50) != 0)
        return duel->palette[kit_rng_below(&duel->rng, mix->palette)];
    return spread(&duel->rng, mix->least_bytes, mix->most_bytes);
}

/* Both sides have answered: do they agree? Returns true where there is a block. */
static bool settle(struct duel *duel, const char *call, size_t payload_bytes, size_t alignment, char *payload,
                   size_t expected)
{
    size_t actual = offset_of(duel, payload), block_bytes;

    if (actual != expected) {
        complain(duel, "%s of %zu bytes aligned to %zu: offset %zd, expected %zd (-1: none)", call, payload_bytes,
                 alignment, (ssize_t)actual, (ssize_t)expected);
        return false;
    }
    if (payload == NULL) {
        duel->refusals++;
        return false;
    }
    block_bytes = model_block_at(&duel->model, expected)->bytes;
    if (heapster_usable_size(payload) != block_bytes - 8)
        complain(duel, "%s of %zu bytes: %zu usable, expected %zu", call, payload_bytes, heapster_usable_size(payload),
                 block_bytes - 8);
    return agrees(duel);
}

static void add_live(struct duel *duel, char *payload, size_t payload_bytes)
{
    struct duel_live *live = &duel->live[duel->live_count++];

    live->payload = payload;
    live->payload_bytes = payload_bytes;
    live->fill = (unsigned char)kit_rng_below(&duel->rng, 256);
    fill(live);
}

static void call_allocate(struct duel *duel)
{
    size_t bytes = draw_bytes(duel), alignment = 16, expected;
    char *payload;

    if (kit_rng_below(&duel->rng, 100) < duel->mix->aligned_share) {
        alignment = (size_t)8 << kit_rng_below(&duel->rng, 11);
        expected = model_allocate(&duel->model, bytes, alignment);
        payload = heapster_arena_aligned_alloc(duel->arena, alignment, bytes);
        if (settle(duel, "aligned_alloc", bytes, alignment, payload, expected))
            add_live(duel, payload, bytes);
        return;
    }
    expected = model_allocate(&duel->model, bytes, alignment);
    if (kit_rng_below(&duel->rng, 4) != 0) {
        payload = heapster_arena_malloc(duel->arena, bytes);
        if (settle(duel, "malloc", bytes, alignment, payload, expected))
            add_live(duel, payload, bytes);
        return;
    }
    payload = heapster_arena_calloc(duel->arena, 1, bytes);
    if (settle(duel, "calloc", bytes, alignment, payload, expected)) {
        expect_bytes(duel, payload, edge_of(bytes), 0, "calloc");
        add_live(duel, payload, bytes);
    }
}

static void call_release(struct duel *duel)
{
    size_t index = kit_rng_below(&duel->rng, duel->live_count);
    struct duel_live *live = &duel->live[index];

    expect_filled(duel, live, "free");
    model_release(&duel->model, offset_of(duel, live->payload));
    heapster_free(live->payload);
    *live = duel->live[--duel->live_count];
}

/* A new size near the old one as often as any other: only such a one is served in place. */
static size_t draw_new_bytes(struct duel *duel, size_t old_bytes)
{
    size_t reach = old_bytes / 2 + 64;

    if (kit_rng_below(&duel->rng, 2) != 0)
        return draw_bytes(duel) + 1;
    return kit_rng_between(&duel->rng, old_bytes > reach ? old_bytes - reach : 1, old_bytes + reach);
}

static void call_resize(struct duel *duel)
{
    struct duel_live *live = &duel->live[kit_rng_below(&duel->rng, duel->live_count)];
    size_t bytes = draw_new_bytes(duel, live->payload_bytes), expected, kept;
    char *payload;

    expect_filled(duel, live, "realloc");
    expected = model_resize(&duel->model, offset_of(duel, live->payload), bytes);
    payload = heapster_arena_realloc(duel->arena, live->payload, bytes);
    if (!settle(duel, "realloc", bytes, 16, payload, expected)) {
        if (agrees(duel))
            expect_filled(duel, live, "refused realloc");
        return;
    }
    kept = edge_of(bytes < live->payload_bytes ? bytes : live->payload_bytes);
    expect_bytes(duel, payload, kept, live->fill, "realloc");
    live->payload = payload;
    live->payload_bytes = bytes;
    fill(live);
}

static void call_burst(struct duel *duel)
{
    size_t count = kit_rng_below(&duel->rng, duel->live_count) + 1;

    if (kit_rng_below(&duel->rng, 8) == 0)
        count = duel->live_count;
    for (; count > 0 && agrees(duel); count--)
        call_release(duel);
}

static void call_switch(struct duel *duel)
{
    enum heapster_strategy strategy = (enum heapster_strategy)kit_rng_below(&duel->rng, 4);

    if (heapster_arena_set_strategy(duel->arena, strategy) != 0)
        complain(duel, "set_strategy failed");
    model_switch(&duel->model, strategy);
}

static void call_once(struct duel *duel)
{
    const struct mix *mix = duel->mix;
    size_t rare = kit_rng_below(&duel->rng, 1000);
    bool is_hungry = duel->live_count < DUEL_LIVE_MAX && kit_rng_below(&duel->rng, 100) < duel->appetite;

    if (rare < mix->switch_share)
        call_switch(duel);
    else if (duel->live_count > 0 && rare >= 1000 - mix->burst_share)
        call_burst(duel);
    else if (duel->live_count > 0 && kit_rng_below(&duel->rng, 100) < mix->resize_share)
        call_resize(duel);
    else if (duel->live_count == 0 || is_hungry)
        call_allocate(duel);
    else
        call_release(duel);
}

bool duel_run(struct duel *duel, size_t operations)
{
    for (size_t i = 0; i < operations && agrees(duel); i++) {
        duel->operation++;
        if (duel->operation % MOOD_EVERY == 1)
            duel->appetite = (unsigned)kit_rng_between(&duel->rng, 35, 100);
        call_once(duel);
        if (duel->most_blocks < duel->model.count)
            duel->most_blocks = duel->model.count;
        if (duel->operation % WALK_EVERY == 0)
            compare_blocks(duel);
        if (duel->operation % CHECK_EVERY == 0)
            check_heap(duel);
    }
    if (agrees(duel))
        compare_blocks(duel);
    if (agrees(duel))
        check_heap(duel);
    return agrees(duel);
}

bool duel_empty(struct duel *duel)
{
    while (duel->live_count > 0 && agrees(duel))
        call_release(duel);
    if (agrees(duel) && duel->model.count != 1)
        complain(duel, "%zu blocks are left in the model", duel->model.count);
    if (agrees(duel))
        compare_blocks(duel);
    if (agrees(duel))
        check_heap(duel);
    return agrees(duel);
}

void duel_start(struct duel *duel, const struct mix *mix, char *base, enum heapster_strategy strategy, uint64_t seed,
                enum model_fault fault)
{
    struct heapster_arena_config config = {
        .strategy = strategy, .buffer = base, .buffer_bytes = mix->buffer_bytes, .hooks = NULL};

    memset(duel, 0, sizeof(*duel));
    duel->mix = mix;
    duel->seed = seed;
    duel->base = base;
    duel->rng.state = seed;
    for (unsigned i = 0; i < mix->palette; i++)
        duel->palette[i] = spread(&duel->rng, mix->least_bytes, mix->most_bytes);
    /* The whole buffer but a tag before the first payload and one at the end. */
    model_start(&duel->model, 16, mix->buffer_bytes - 16, strategy, fault);
    duel->arena = heapster_arena_create(&config);
    if (duel->arena == NULL)
        complain(duel, "no arena");
    else
        compare_blocks(duel);
}

void duel_stop(struct duel *duel)
{
    heapster_arena_destroy(duel->arena);
    model_stop(&duel->model);
}
