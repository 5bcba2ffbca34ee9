#include "diagnose.h"

#include <string.h>

#include "heap.h"
#include "report.h"

/* What was found out, before anything is printed: "<what>: <address> (<found>, expected <expected>)". */
struct verdict {
    struct hs_text what;
    const void *address;
    struct hs_text found;
    const char *expected;
};

static void say(struct verdict *verdict, const char *operation, const char *of_what, const char *found,
                const char *expected)
{
    hs_text_clear(&verdict->what);
    hs_text_add(&verdict->what, operation);
    hs_text_add(&verdict->what, of_what);
    hs_text_clear(&verdict->found);
    hs_text_add(&verdict->found, found);
    verdict->expected = expected;
}

static void say_freed_twice(struct verdict *verdict, const char *operation, const char *found)
{
    if (strcmp(operation, "free") == 0)
        say(verdict, "double free", "", found, "a used block");
    else
        say(verdict, operation, " of a freed block", found, "a used block");
}

static void say_overwritten(struct verdict *verdict, const struct hs_block *block)
{
    uint64_t tag;

    memcpy(&tag, block, sizeof tag);
    say(verdict, "overwritten tag", "", "tag ", "the tag that was written there");
    hs_text_add_hex(&verdict->found, tag);
    verdict->address = (const char *)block + HS_TAG_BYTES;
}

static void say_interior(struct verdict *verdict, const char *operation, const void *begin)
{
    say(verdict, operation, " of an interior pointer", "inside the block at ", "the start of a block");
    hs_text_add_address(&verdict->found, begin);
}

static bool tag_verifies(const struct hs_arena *arena, const struct hs_block *block)
{
    return hs_block_is_intact(block) && hs_block_arena(block) == arena->number;
}

/* Walks the region up to `payload`, with all locks of its arena held. */
static void judge_in_region(struct hs_region *region, const void *payload, const char *operation,
                            struct verdict *verdict)
{
    struct hs_block *block = hs_region_first_block(region), *end = hs_region_end_tag(region);

    while (block < end && tag_verifies(region->arena, block) && hs_block_tile_bytes(block) != 0) {
        struct hs_block *right = hs_block_at(block, hs_block_tile_bytes(block));

        if ((const char *)right + HS_TAG_BYTES > (const char *)payload) {
            uint8_t state = hs_block_state(block);

            if (hs_state_is_free(state) || state == HS_STATE_FREEING || state == HS_STATE_BUSY || state == HS_STATE_RUN)
                say_freed_twice(verdict, operation, "inside free memory");
            else if (hs_block_payload(block) != payload)
                say_interior(verdict, operation, hs_block_payload(block));
            else
                say_overwritten(verdict, block);
            return;
        }
        block = right;
    }
    if (block >= end)
        say_interior(verdict, operation, end);
    else
        say_overwritten(verdict, block);
}

/* Whether the state says so, and, for a block on a list, the list too: otherwise the state was overwritten. */
static bool was_freed(const struct hs_arena *arena, struct hs_block *block, uint8_t state)
{
    if (!hs_state_is_free(state))
        return state == HS_STATE_DEAD || state == HS_STATE_FREEING || state == HS_STATE_BUSY ||
               state == HS_STATE_CACHED || state == HS_STATE_SENT || state == HS_STATE_RUN;
    return hs_state_list(state) < HS_LISTS &&
           hs_freelist_is_undamaged(&arena->lists[hs_state_list(state)], (struct hs_free_block *)block);
}

static void judge_region(struct hs_region *region, const void *payload, const char *operation, struct verdict *verdict)
{
    struct hs_arena *arena = region->arena;
    struct hs_block *block = hs_block_of(payload);
    bool aligned = (uintptr_t)payload % HS_ALIGNMENT == 0;

    hs_arena_lock_all(arena);
    if (aligned && hs_region_holds(region, block) && tag_verifies(arena, block) && block < hs_region_end_tag(region)) {
        uint8_t state = hs_block_state(block);

        if (was_freed(arena, block, state))
            say_freed_twice(verdict, operation, hs_state_name(state));
        else
            say_overwritten(verdict, state == HS_STATE_USED ? hs_block_right(block) : block);
    } else {
        judge_in_region(region, payload, operation, verdict);
    }
    hs_arena_unlock_all(arena);
}

struct large_search {
    const void *payload;
    const void *begin;
};

static bool search_set(struct hs_large_set *set, struct large_search *search)
{
    hs_mutex_lock(&set->lock);
    for (struct hs_region *region = set->head; region != NULL; region = region->next)
        if (hs_region_holds(region, search->payload))
            search->begin = hs_large_payload(region);
    hs_mutex_unlock(&set->lock);
    return search->begin != NULL;
}

static bool search_arena(struct hs_arena *arena, void *context)
{
    if (hs_heap_has_own_large(arena))
        return !search_set(arena->large, context);
    return true;
}

static void judge_elsewhere(const void *payload, const char *operation, struct verdict *verdict)
{
    struct large_search search = {payload, NULL};

    if (!search_set(&hs_heap_large, &search))
        hs_heap_for_each_arena(search_arena, &search);
    if (search.begin == payload)
        say_overwritten(verdict, hs_block_of(payload));
    else if (search.begin != NULL)
        say_interior(verdict, operation, search.begin);
    else if (hs_region_was_released(payload))
        say_freed_twice(verdict, operation, "memory returned to the OS");
    else
        say(verdict, operation, " of a foreign pointer", "no memory of this heap", "a block of this heap");
}

void hs_diagnose(const void *payload, const char *operation)
{
    struct verdict verdict = {.address = payload};
    struct hs_region *region = hs_region_overlay_find(hs_block_of(payload));

    if (region == NULL)
        region = hs_region_find(payload);
    if (region == NULL)
        region = hs_region_overlay_find(payload); /* the very start of one */
    if (region != NULL && region->kind != HS_REGION_LARGE && hs_region_holds(region, payload))
        judge_region(region, payload, operation, &verdict);
    else
        judge_elsewhere(payload, operation, &verdict);
    hs_report_misuse(verdict.what.bytes, verdict.address, verdict.found.bytes, verdict.expected);
}

bool hs_diagnose_cached(const void *payload, uint8_t as_left)
{
    struct verdict verdict = {.address = payload};
    struct hs_block *block = hs_block_of(payload);
    struct hs_region *region = hs_region_find(block);
    uint8_t state;
    bool is_sound = false;

    if (region == NULL)
        return false;
    /* While no boundary can move: the owner of the block to the right may just have been writing its tag. */
    hs_arena_lock_all(region->arena);
    state = hs_block_state(block);
    if (!tag_verifies(region->arena, block)) {
        say_overwritten(&verdict, block);
    } else if (state != as_left) {
        say(&verdict, "double free", "", "in a cache, and ", "a cached block");
        hs_text_add(&verdict.found, hs_state_name(state));
    } else if (!hs_block_is_intact(hs_block_right(block))) {
        say_overwritten(&verdict, hs_block_right(block));
    } else {
        is_sound = true;
    }
    hs_arena_unlock_all(region->arena);
    if (!is_sound)
        hs_report_misuse(verdict.what.bytes, verdict.address, verdict.found.bytes, verdict.expected);
    return is_sound;
}

void hs_diagnose_size(const void *payload, const char *what, unsigned long long given, unsigned long long least,
                      unsigned long long most)
{
    struct hs_text found, expected;

    hs_text_clear(&found);
    hs_text_clear(&expected);
    hs_text_add_decimal(&found, given);
    hs_text_add_decimal(&expected, least);
    if (most != least) {
        hs_text_add(&expected, " to ");
        hs_text_add_decimal(&expected, most);
    }
    hs_report_misuse(what, payload, found.bytes, expected.bytes);
}
