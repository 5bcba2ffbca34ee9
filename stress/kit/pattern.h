/*
 * pattern: what every live block is filled with.
 *
 * Word i of a block is key + i * STEP, the key a scramble of the run's seed and the block's id. So a byte that is wrong
 * betrays itself wherever it stands, also when it is the right byte of another block or of another offset.
 */
#ifndef KIT_PATTERN_H
#define KIT_PATTERN_H

#include <stddef.h>
#include <stdint.h>

#include "rng.h"

#define KIT_INTACT SIZE_MAX

static inline uint64_t kit_pattern_key(uint64_t seed, uint64_t id)
{
    return kit_scramble(kit_scramble(seed) ^ id);
}

unsigned char kit_pattern_byte(uint64_t key, size_t offset);

/* Writes bytes [from, to) of the block at `base`. */
void kit_pattern_fill(void *base, size_t from, size_t to, uint64_t key);

/* The offset of the first byte in [from, to) that is not the pattern's, or KIT_INTACT. */
size_t kit_pattern_mismatch(const void *base, size_t from, size_t to, uint64_t key);

/* The offset of the first byte that is not zero, or KIT_INTACT. */
size_t kit_pattern_first_nonzero(const void *base, size_t bytes);

#endif
