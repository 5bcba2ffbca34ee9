/*
 * crowd: all threads in one buffer that has room for just as many blocks as there are threads, all of them of one
 * size, and no thread ever has more than one.
 *
 * Goal: a heap that is full but for what others have just given back, or hold in their hands for a moment.
 * Class of bug: a refusal though there is room, because a free block was claimed, merged or cut at that moment, or is
 * on a list whose bit was lost; threads that wait for each other for ever.
 * Oracle: everything in oracle.h; nothing is ever refused, since whoever asks finds one place free, and places of one
 * size do not fragment. Knobs: BLOCK_BYTES.
 */
#include "heapster.h"

#include <errno.h>

#include "mix.h"
#include "oracle.h"
#include "pages.h"
#include "violation.h"

/* A region has a tag before the first block and one behind the last. */
enum { BLOCK_BYTES = 32 + 48, TAG_BYTES = 8, REGION_BYTES = 16 };

struct crowd {
    struct kit_allocator allocator;
    void *buffer;
    size_t buffer_bytes;
};

static void work(struct kit_thread *thread)
{
    const struct crowd *crowd = thread->run->local;
    struct kit_block *block = thread->blocks[0];

    while (kit_step(thread)) {
        if (kit_block_is_live(block))
            kit_mix_release(thread, block);
        else
            kit_allocate(thread, block, &crowd->allocator, kit_rng_percent(&thread->rng, 50) ? KIT_MALLOC : KIT_CALLOC,
                         0, BLOCK_BYTES - TAG_BYTES);
    }
}

static void begin(struct kit_run *run)
{
    struct crowd *crowd = kit_pages_map(sizeof *crowd);
    struct heapster_arena_config config = {.strategy = heapster_get_strategy()};
    heapster_arena *arena;

    crowd->buffer_bytes = REGION_BYTES + run->config->threads * (size_t)BLOCK_BYTES;
    crowd->buffer_bytes = crowd->buffer_bytes < 128 ? 128 : crowd->buffer_bytes;
    crowd->buffer = kit_pages_map(crowd->buffer_bytes);
    config.buffer = crowd->buffer;
    config.buffer_bytes = crowd->buffer_bytes;
    arena = heapster_arena_create(&config);
    if (arena == NULL)
        kit_violation(NULL, NULL, "refused", "no arena, errno %d", errno);
    crowd->allocator = kit_heapster_arena(arena);
    run->local = crowd;
}

static void end(struct kit_run *run)
{
    struct crowd *crowd = run->local;

    heapster_arena_destroy(crowd->allocator.context);
    kit_pages_unmap(crowd->buffer, crowd->buffer_bytes);
    kit_pages_unmap(crowd, sizeof *crowd);
}

const struct kit_scenario stress_crowd = {
    .name = "crowd",
    .summary = "a buffer with room for one block of each thread, where nothing may be refused",
    .needs = KIT_NEEDS_HEAPSTER,
    .blocks_of_thread = 1,
    .begin = begin,
    .work = work,
    .end = end,
};
