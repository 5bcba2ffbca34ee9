#include "mix.h"

#include "exchange.h"
#include "oracle.h"

const struct kit_sizes kit_sizes_usual[] = {
    {8600, 16, 512},
    {1200, 512, (size_t)32 << 10},
    {170, (size_t)32 << 10, (size_t)512 << 10},
    {20, (size_t)512 << 10, (size_t)4 << 20},
    {10, 0, 16},
    {0, 0, 0},
};

size_t kit_mix_bytes(struct kit_rng *rng, const struct kit_sizes *sizes)
{
    uint64_t total = 0, chosen;

    for (const struct kit_sizes *each = sizes; each->weight != 0; each++)
        total += each->weight;
    chosen = kit_rng_below(rng, total);
    while (chosen >= sizes->weight)
        chosen -= sizes++->weight;
    return sizes->least + (size_t)kit_rng_below(rng, ((sizes->most - sizes->least) >> kit_rng_below(rng, 4)) + 1);
}

/* 8 bytes to 4 KiB, rarely up to 2 MiB. */
static size_t random_alignment(struct kit_rng *rng)
{
    unsigned most = kit_rng_below(rng, 256) == 0 ? 19 : 10;

    return (size_t)8 << kit_rng_below(rng, most);
}

void kit_mix_allocate(struct kit_thread *thread, struct kit_block *block, const struct kit_allocator *allocator,
                      size_t bytes)
{
    static const enum kit_deed ways[16] = {
        KIT_MALLOC,  KIT_MALLOC,        KIT_MALLOC,         KIT_MALLOC,   KIT_MALLOC, KIT_MALLOC,
        KIT_MALLOC,  KIT_MALLOC,        KIT_CALLOC,         KIT_CALLOC,   KIT_CALLOC, KIT_CALLOC,
        KIT_REALLOC, KIT_ALIGNED_ALLOC, KIT_POSIX_MEMALIGN, KIT_MEMALIGN,
    };
    enum kit_deed how = ways[kit_rng_below(&thread->rng, 16)];
    bool is_aligned = how == KIT_ALIGNED_ALLOC || how == KIT_POSIX_MEMALIGN || how == KIT_MEMALIGN;

    kit_allocate(thread, block, allocator, how, is_aligned ? random_alignment(&thread->rng) : 0, bytes);
}

void kit_mix_release(struct kit_thread *thread, struct kit_block *block)
{
    uint64_t chosen = kit_rng_below(&thread->rng, 16);

    kit_release(thread, block, chosen < 11 ? KIT_FREE : chosen < 15 ? KIT_FREE_SIZED : KIT_REALLOC_TO_ZERO);
}

void kit_mix_resize(struct kit_thread *thread, struct kit_block *block, const struct kit_sizes *sizes)
{
    size_t bytes = kit_get(block->bytes), most = (size_t)8 << 20;

    switch (kit_rng_below(&thread->rng, 4)) {
    case 0:
        bytes += (size_t)kit_rng_below(&thread->rng, 129);
        bytes -= bytes > 64 ? 64 : bytes;
        break;
    case 1:
        bytes = bytes < most / 2 ? bytes * 2 : bytes / 2;
        break;
    case 2:
        bytes /= 2;
        break;
    default:
        bytes = kit_mix_bytes(&thread->rng, sizes);
        break;
    }
    kit_resize(thread, block, bytes != 0 ? bytes : 1);
}

void kit_mix_step(struct kit_thread *thread, const struct kit_mix *mix, const struct kit_allocator *allocator)
{
    struct kit_block **place = &thread->blocks[kit_rng_below(&thread->rng, thread->block_count)];
    uint64_t chosen;

    if (kit_rng_percent(&thread->rng, mix->hand_over)) {
        *place = kit_exchange(thread, *place, (unsigned)kit_rng_below(&thread->rng, thread->run->slot_count));
        return;
    }
    if (!kit_block_is_live(*place)) {
        kit_mix_allocate(thread, *place, allocator, kit_mix_bytes(&thread->rng, mix->sizes));
        return;
    }
    chosen = kit_rng_below(&thread->rng, 100);
    if (chosen < mix->resize)
        kit_mix_resize(thread, *place, mix->sizes);
    else if (chosen < mix->resize + mix->inspect)
        kit_inspect(thread, *place);
    else
        kit_mix_release(thread, *place);
}

void kit_trim(struct kit_thread *thread, size_t keep_bytes)
{
    const struct kit_allocator *allocator = thread->run->allocator;

    kit_doing(thread, KIT_TUNE, keep_bytes);
    if (allocator->trim != NULL)
        (void)allocator->trim(allocator->context, keep_bytes);
}
