/*
 * size_class: the sizes that thread caches keep blocks of.
 *
 *     class 2 ... 65      32, 48, ..., 1040 bytes     every multiple of 16, by its number: nothing is rounded up
 *     class 66 ... 114    1168 bytes to 72 KiB        eight for each doubling: at most 12.5 % is rounded up
 *
 * Of the latter each is 16 bytes longer than a round number, so that requests of 2, 4, ... 64 KiB, the most common ones
 * there, are not rounded up to the next class for their tags' sake. Bytes are those of blocks, tag included. Pure
 * functions; nothing here can fail.
 */
#ifndef HS_SIZE_CLASS_H
#define HS_SIZE_CLASS_H

#include "block.h"

enum {
    HS_CLASS_FIRST = 2,
    HS_TINY_UNITS_MOST = 65, /* of 16 bytes, as extents count */
    HS_CLASS_MEDIUM,         /* the first that a range of sizes is rounded up to */
    HS_CLASSES = HS_CLASS_MEDIUM + 49,
    HS_CLASS_NONE = HS_CLASSES,
    HS_CLASS_UNITS_MOST = 4609 /* 72 KiB and a tag's room */
};

#define HS_TINY_BLOCK_BYTES_MOST (HS_TINY_UNITS_MOST * HS_ALIGNMENT)
#define HS_CLASS_PAYLOAD_BYTES_MOST (HS_CLASS_UNITS_MOST * HS_ALIGNMENT - HS_TAG_BYTES)

/* Above the tiny classes: their units are one and a number from 9 to 16 shifted by so much. Here for the class that
 * blocks of `units` are rounded up to: 3 to 9. */
static inline unsigned hs_class_shift(unsigned units)
{
    return ((unsigned)__builtin_clz(units - 2) ^ 31) - 3; /* the highest bit's number, in one instruction, less 3 */
}

/* The class of blocks of `units`, whose shift is `shift`. */
static inline unsigned hs_class_at(unsigned units, unsigned shift)
{
    return HS_CLASS_MEDIUM + (shift - 3) * 8 + ((units - 2) >> shift) - 8;
}

/* The class of the smallest blocks of at least `block_bytes`, which is a multiple of 16 of 32 at least and of
 * HS_CLASS_UNITS_MOST units at most. */
static inline unsigned hs_class_for(size_t block_bytes)
{
    unsigned units = (unsigned)(block_bytes / HS_ALIGNMENT);

    if (units <= HS_TINY_UNITS_MOST)
        return units;
    return hs_class_at(units, hs_class_shift(units));
}

/* The bytes of each block of the class. */
static inline size_t hs_class_bytes(unsigned index)
{
    unsigned range;

    if (index < HS_CLASS_MEDIUM)
        return (size_t)index * HS_ALIGNMENT;
    range = index - HS_CLASS_MEDIUM;
    return (((size_t)(9 + range % 8) << (range / 8 + 3)) + 1) * HS_ALIGNMENT;
}

/* The medium class that a block of `units` belongs to, or HS_CLASS_NONE where none has blocks of exactly that size. */
static inline unsigned hs_class_of_medium(unsigned units)
{
    unsigned shift;

    if (hs_wrap_subtract(units, HS_TINY_UNITS_MOST + 1) > HS_CLASS_UNITS_MOST - HS_TINY_UNITS_MOST - 1)
        return HS_CLASS_NONE;
    shift = hs_class_shift(units);
    return (units - 1) >> shift << shift == units - 1 ? hs_class_at(units, shift) : (unsigned)HS_CLASS_NONE;
}

/* The same of any class. */
static inline unsigned hs_class_of(unsigned units)
{
    if (units < HS_CLASS_FIRST)
        return HS_CLASS_NONE;
    return units <= HS_TINY_UNITS_MOST ? units : hs_class_of_medium(units);
}

/* The same of a block whose tag verifies. */
static inline unsigned hs_class_of_block(const struct hs_block *block)
{
    return hs_class_of(hs_block_extent(block) & 0xFFFFFF);
}

#endif
