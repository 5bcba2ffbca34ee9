/*
 * fuzz_ops: one thread, every call of the malloc family, chosen by the input.
 *
 * The input is read three bytes at a time: operation and slot, size class, size. Slots hold live blocks filled with
 * the kit's pattern; content is verified before a block is freed or resized. After the last operation the walker
 * verifies the heap at rest, every block is freed, and the account must be back where it began.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "heapster.h"
#include "kit/pattern.h"

enum { SLOTS = 32, OPERATION_BYTES = 3 };

struct slot {
    void *block;
    size_t bytes;
    uint64_t key;
};

static struct slot slots[SLOTS];
static uint64_t born;

static void fail(const char *what, const void *where)
{
    (void)fprintf(stderr, "fuzz_ops: %s at %p\n", what, where);
    abort();
}

static void report_broken(const char *invariant, const void *address, const char *text, void *context)
{
    (void)context;
    (void)fprintf(stderr, "fuzz_ops: %s at %p: %s\n", invariant, address, text);
}

/* Sizes from all of the ranges that the allocator treats differently. */
static size_t size_of(uint8_t class, uint8_t fine)
{
    static const size_t least[8] = {0, 16, 100, 1000, 8000, 60000, 250000, 1000000};

    return least[class & 7] + (size_t)fine * (1 + least[class & 7] / 512);
}

static void verify(const struct slot *slot)
{
    if (kit_pattern_mismatch(slot->block, 0, slot->bytes, slot->key) != KIT_INTACT)
        fail("a live block changed", slot->block);
}

static void settle(struct slot *slot, void *block, size_t bytes, size_t alignment)
{
    if (block == NULL)
        return;
    if ((uintptr_t)block % alignment != 0)
        fail("a misaligned block", block);
    if (heapster_usable_size(block) < bytes)
        fail("a block shorter than asked for", block);
    slot->block = block;
    slot->bytes = bytes;
    slot->key = kit_pattern_key(1, born++);
    kit_pattern_fill(block, 0, bytes, slot->key);
}

static void release(struct slot *slot, bool sized)
{
    if (slot->block == NULL)
        return;
    verify(slot);
    if (sized)
        heapster_free_sized(slot->block, slot->bytes);
    else
        heapster_free(slot->block);
    slot->block = NULL;
}

static void resize(struct slot *slot, size_t bytes)
{
    size_t kept = bytes < slot->bytes ? bytes : slot->bytes;
    void *block;

    if (slot->block == NULL)
        return;
    verify(slot);
    block = heapster_realloc(slot->block, bytes);
    if (bytes == 0) {
        slot->block = NULL;
        return;
    }
    if (block == NULL)
        return;
    if (kit_pattern_mismatch(block, 0, kept, slot->key) != KIT_INTACT)
        fail("realloc lost content", block);
    settle(slot, block, bytes, 16);
}

static void allocate_zeroed(struct slot *slot, size_t bytes)
{
    void *block = heapster_calloc(1, bytes);

    if (block != NULL && kit_pattern_first_nonzero(block, bytes) != KIT_INTACT)
        fail("calloc is not zeroed", block);
    settle(slot, block, bytes, 16);
}

static void perform(const uint8_t *operation)
{
    struct slot *slot = &slots[operation[0] >> 3];
    unsigned kind = operation[0] & 7;
    size_t bytes = size_of(operation[1], operation[2]);
    size_t alignment = (size_t)16 << (operation[1] >> 3 & 15);

    if (kind == 3) {
        resize(slot, bytes);
        return;
    }
    if (kind == 7) {
        (void)heapster_set_strategy((enum heapster_strategy)(operation[1] & 3));
        if (operation[1] & 4)
            (void)heapster_trim(operation[2]);
        return;
    }
    release(slot, kind == 5);
    if (kind == 0 || kind == 6)
        settle(slot, heapster_malloc(bytes), bytes, 16);
    else if (kind == 1)
        allocate_zeroed(slot, bytes);
    else if (kind == 2)
        settle(slot, heapster_aligned_alloc(alignment, bytes), bytes, alignment);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes)
{
    struct heapster_stats before, after;

    heapster_stats(&before);
    for (; bytes >= OPERATION_BYTES; bytes -= OPERATION_BYTES, input += OPERATION_BYTES)
        perform(input);
    if (heapster_check(HEAPSTER_CHECK_AT_REST, report_broken, NULL) != 0)
        fail("the heap is broken", NULL);
    for (unsigned i = 0; i < SLOTS; i++)
        release(&slots[i], false);
    heapster_stats(&after);
    if (before.used_blocks != after.used_blocks || before.used_bytes != after.used_bytes)
        fail("the account does not return to where it began", NULL);
    return 0;
}
