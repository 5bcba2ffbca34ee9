#include "shadow.h"

#include <stdatomic.h>

#include "pages.h"

enum { ADDRESS_BITS = 48, LEAF_BITS = 26, GRANULE_BITS = 3, WORD_BITS = 64 };

#define LEAVES ((size_t)1 << (ADDRESS_BITS - LEAF_BITS))
#define LEAF_WORDS (((size_t)1 << (LEAF_BITS - GRANULE_BITS)) / WORD_BITS)

typedef _Atomic uint64_t shadow_word;

struct kit_shadow {
    _Atomic(shadow_word *) leaves[LEAVES];
};

struct kit_shadow *kit_shadow_make(void)
{
    return kit_pages_map(sizeof(struct kit_shadow));
}

void kit_shadow_destroy(struct kit_shadow *shadow)
{
    for (size_t i = 0; i < LEAVES; i++) {
        shadow_word *leaf = atomic_load_explicit(&shadow->leaves[i], memory_order_relaxed); /* relaxed: alone */

        if (leaf != NULL)
            kit_pages_unmap(leaf, LEAF_WORDS * sizeof *leaf);
    }
    kit_pages_unmap(shadow, sizeof *shadow);
}

/* [SHADOW-LEAF] the leaf's pages are zero for whoever sees its address. */
static shadow_word *leaf_of(struct kit_shadow *shadow, uintptr_t address)
{
    _Atomic(shadow_word *) *entry = &shadow->leaves[(address >> LEAF_BITS) % LEAVES];
    shadow_word *leaf = atomic_load_explicit(entry, memory_order_acquire), *made; /* [SHADOW-LEAF] */

    if (leaf != NULL)
        return leaf;
    made = kit_pages_map(LEAF_WORDS * sizeof *made);
    /* [SHADOW-LEAF] */
    if (atomic_compare_exchange_strong_explicit(entry, &leaf, made, memory_order_acq_rel, memory_order_acquire))
        return made;
    kit_pages_unmap(made, LEAF_WORDS * sizeof *made);
    return leaf;
}

/* The part of a range that one word holds. */
struct part {
    shadow_word *word;
    uint64_t mask;
    uintptr_t address; /* where the mask's lowest bit stands for */
};

/* The first part of the granules [granule, end), and on to the next. */
static struct part next_part(struct kit_shadow *shadow, uintptr_t *granule, uintptr_t end)
{
    uintptr_t first = *granule, stop = (first / WORD_BITS + 1) * WORD_BITS;
    unsigned low = first % WORD_BITS, count;
    struct part part;

    if (stop > end)
        stop = end;
    count = (unsigned)(stop - first);
    part.address = first << GRANULE_BITS;
    part.word = &leaf_of(shadow, part.address)[first / WORD_BITS % LEAF_WORDS];
    part.mask = (count == WORD_BITS ? ~UINT64_C(0) : (UINT64_C(1) << count) - 1) << low;
    *granule = stop;
    return part;
}

static uintptr_t first_granule(uintptr_t address)
{
    return address >> GRANULE_BITS;
}

static uintptr_t end_granule(uintptr_t address, size_t bytes)
{
    return (address + bytes + (1U << GRANULE_BITS) - 1) >> GRANULE_BITS;
}

static uintptr_t address_of_lowest(const struct part *part, uint64_t wrong)
{
    int offset = __builtin_ctzll(wrong) - __builtin_ctzll(part->mask);

    return part->address + ((uintptr_t)(unsigned)offset << GRANULE_BITS);
}

uintptr_t kit_shadow_set(struct kit_shadow *shadow, uintptr_t address, size_t bytes)
{
    uintptr_t granule = first_granule(address), end = end_granule(address, bytes);

    while (granule < end) {
        struct part part = next_part(shadow, &granule, end);
        uint64_t wrong = atomic_fetch_or_explicit(part.word, part.mask, memory_order_relaxed) & part.mask;

        if (wrong != 0)
            return address_of_lowest(&part, wrong);
    }
    return 0;
}

uintptr_t kit_shadow_clear(struct kit_shadow *shadow, uintptr_t address, size_t bytes)
{
    uintptr_t granule = first_granule(address), end = end_granule(address, bytes);

    while (granule < end) {
        struct part part = next_part(shadow, &granule, end);
        uint64_t wrong = ~atomic_fetch_and_explicit(part.word, ~part.mask, memory_order_relaxed) & part.mask;

        if (wrong != 0)
            return address_of_lowest(&part, wrong);
    }
    return 0;
}

enum kit_cover kit_shadow_cover(struct kit_shadow *shadow, uintptr_t address, size_t bytes)
{
    uintptr_t granule = first_granule(address), end = end_granule(address, bytes);
    bool any = false, all = true;

    while (granule < end) {
        struct part part = next_part(shadow, &granule, end);
        uint64_t set = atomic_load_explicit(part.word, memory_order_relaxed) & part.mask;

        any |= set != 0;
        all &= set == part.mask;
    }
    if (!any)
        return KIT_COVERED_NOWHERE;
    return all ? KIT_COVERED_WHOLLY : KIT_COVERED_PARTLY;
}
