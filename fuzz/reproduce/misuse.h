/* ---- misuse -------------------------------------------------------------------------------------------------------
 * Before the block is the tag, of TAG_BYTES, and behind its usable bytes that of the next. */

enum { TAG_BYTES = 8 };

static _Alignas(64) char foreign[4096];

/* The program goes on to its end: there was nothing that could be misused in this way. */
HELPER void misuse_nothing(const char *why)
{
    (void)fprintf(stderr, "no misuse: %s\n", why);
}

/* A live block; one is made if need be. A block that a cache would take is not damaged: its tag is looked at only when
 * the cache gives it back. */
HELPER struct slot *pick(int wanted, bool is_outside_heap)
{
    for (int i = 0; i < SLOTS; i++) {
        struct slot *slot = &slots[(wanted + i) % SLOTS];

        if (slot->block != NULL && (slot->where != 0 || !is_outside_heap))
            return slot;
    }
    play_malloc(1, wanted % SLOTS, 24 + (size_t)wanted);
    if (slots[wanted % SLOTS].block != NULL)
        return &slots[wanted % SLOTS];
    misuse_nothing("there is no block");
    return NULL;
}

HELPER unsigned char *take_freed(struct slot *slot)
{
    unsigned char *block;

    if (slot == NULL)
        return NULL;
    block = hide_block(slot->block);
    release((int)(slot - slots));
    return block;
}

HELPER void misuse_double_free(struct slot *slot)
{
    free(take_freed(slot));
}

HELPER void misuse_realloc_freed(struct slot *slot)
{
    unsigned char *block = take_freed(slot);

    if (block != NULL)
        (void)hide_block(realloc(block, 40));
}

HELPER void misuse_usable_size_freed(struct slot *slot)
{
    (void)hide(malloc_usable_size(take_freed(slot)));
}

/* What stands before the pointer is no tag: no state is 0. */
HELPER void misuse_interior(struct slot *slot, size_t offset, bool is_realloc)
{
    unsigned char kept[TAG_BYTES], *tag;

    if (slot == NULL)
        return;
    if (slot->bytes < 2 * TAG_BYTES + 2) {
        misuse_nothing("the block is too short");
        return;
    }
    tag = slot->block + 1 + offset % (slot->bytes - TAG_BYTES - 1);
    memcpy(kept, tag, sizeof kept);
    memset(tag, 0, sizeof kept);
    if (is_realloc)
        (void)hide_block(realloc(hide_block(tag + TAG_BYTES), 40));
    else
        free(hide_block(tag + TAG_BYTES));
    memcpy(tag, kept, sizeof kept);
}

HELPER char *foreign_at(size_t offset)
{
    return hide_block(foreign + TAG_BYTES + offset % 1024);
}

HELPER void misuse_free_foreign(size_t offset)
{
    free(foreign_at(offset));
}

HELPER void misuse_free_sized_foreign(size_t offset)
{
    free_of_size(foreign_at(offset), 8);
}

HELPER void misuse_free_aligned_sized_foreign(size_t offset)
{
    free_of_aligned_size(foreign_at(offset), 16, 8);
}

HELPER void misuse_realloc_foreign(size_t offset)
{
    (void)hide_block(realloc(foreign_at(offset), 40));
}

/* None that is a power of two, or where that is 0, one that the block is not aligned to. */
HELPER void misuse_wrong_alignment(struct slot *slot, size_t alignment)
{
    if (slot == NULL)
        return;
    if (alignment == 0)
        alignment = 2 * ((uintptr_t)slot->block & -(uintptr_t)slot->block);
    free_of_aligned_size(slot->block, alignment, slot->bytes);
}

/* More than the block has; or, where it is long enough, half of it. */
HELPER void misuse_wrong_size(struct slot *slot, size_t more, bool is_half, bool is_aligned)
{
    size_t usable;

    if (slot == NULL)
        return;
    usable = malloc_usable_size(slot->block);
    if (is_aligned)
        free_of_aligned_size(slot->block, 16, usable + more);
    else
        free_of_size(slot->block, is_half && usable >= 1024 && usable < 60000 ? usable / 2 - 64 : usable + more);
}

#ifdef WITH_HEAPSTER
struct search {
    const void *payload;
    bool is_large;
};

HELPER bool look_at_block(const struct heapster_block_info *info, void *context)
{
    struct search *search = context;

    if (info->payload == search->payload)
        search->is_large = info->state == HEAPSTER_BLOCK_LARGE;
    return info->payload != search->payload;
}

/* Nothing stands behind a mapping. */
HELPER bool has_tag_behind(const void *block)
{
    struct search search = {block, false};

    (void)heapster_walk(look_at_block, &search);
    return !search.is_large;
}
#else
#define has_tag_behind(block) true
#endif

/* The tag is written over, from the side of the block that overflows, until the block was freed. */
HELPER void misuse_overwritten_tag(struct slot *slot, size_t bytes, bool is_overflow)
{
    unsigned char kept[TAG_BYTES], *tag;

    if (slot == NULL)
        return;
    if (is_overflow && !has_tag_behind(slot->block)) {
        misuse_nothing("no tag stands behind the block");
        return;
    }
    tag = hide_block(is_overflow ? slot->block + malloc_usable_size(slot->block) : slot->block - TAG_BYTES);
    memcpy(kept, tag, sizeof kept);
    memset(is_overflow ? tag : tag + sizeof kept - bytes, 'A', bytes);
    if (memcmp(tag, kept, sizeof kept) == 0) {
        misuse_nothing("the tag held the same before");
        return;
    }
    free(slot->block);
    memcpy(tag, kept, sizeof kept);
}
