/*
 * mix: random operations on random blocks, by weights; what most scenarios do, each with weights of its own.
 */
#ifndef KIT_MIX_H
#define KIT_MIX_H

#include "run.h"

/* Sizes from `least` to `most`, smaller ones more often. */
struct kit_sizes {
    unsigned weight;
    size_t least, most;
};

struct kit_mix {
    const struct kit_sizes *sizes; /* ends with weight 0 */
    unsigned hand_over;            /* percent of the steps: swap the record with a slot of the exchange */
    unsigned resize, inspect;      /* percent of the other steps on a live block; the rest is freed */
};

/* Mostly 16 to 512 bytes, some up to 32 KiB, few up to 512 KiB, and rare ones of some MiB. */
extern const struct kit_sizes kit_sizes_usual[];

size_t kit_mix_bytes(struct kit_rng *rng, const struct kit_sizes *sizes);

/* A new block by a function of the malloc family chosen at random. */
void kit_mix_allocate(struct kit_thread *thread, struct kit_block *block, const struct kit_allocator *allocator,
                      size_t bytes);

/* Frees by a function of the family chosen at random. */
void kit_mix_release(struct kit_thread *thread, struct kit_block *block);

/* Grows or shrinks: by a little, by half or double, or to any size of the mix. */
void kit_mix_resize(struct kit_thread *thread, struct kit_block *block, const struct kit_sizes *sizes);

/* One operation on one of the thread's records; new blocks come from `allocator`. */
void kit_mix_step(struct kit_thread *thread, const struct kit_mix *mix, const struct kit_allocator *allocator);

/* Gives unused memory back to the OS, where the allocator has a call for that. */
void kit_trim(struct kit_thread *thread, size_t keep_bytes);

#endif
