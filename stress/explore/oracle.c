#include "oracle.h"
#include "build.h"

#include <stdio.h>
#include <string.h>

#include "cache.h"
#include "engine.h"
#include "explored.h"
#include "groups.h"
#include "heap.h"
#include "heapster.h"
#include "memory.h"
#include "options.h"
#include "plain.h"
#include "region.h"
#include "search.h"
#include "world.h"

struct slot {
    bool is_live;
    bool is_in_call; /* a thread is in a call about it, or has vanished in one */
    unsigned char *payload;
    size_t bytes;
};

static const struct program *program;
static struct slot slots[SLOTS], slots_at_checkpoint[SLOTS];

/* ---- content ----------------------------------------------------------------------------------------------------- */

/* Of long blocks, the ends. */
enum { CHECKED_BYTES = 64 };

static unsigned char byte_of(const struct slot *slot, size_t index)
{
    return (unsigned char)(0x40 + (size_t)(slot - slots) * 7 + index * 3);
}

static size_t head_bytes(size_t bytes)
{
    return bytes <= 2 * (size_t)CHECKED_BYTES ? bytes : CHECKED_BYTES;
}

static size_t tail_from(size_t bytes)
{
    return bytes <= 2 * (size_t)CHECKED_BYTES ? bytes : bytes - CHECKED_BYTES;
}

static void fill_part(struct slot *slot, size_t from, size_t to)
{
    if (from == to)
        return;
    plain_note_write(slot->payload + from, to - from);
    for (size_t i = from; i < to; i++)
        slot->payload[i] = byte_of(slot, i);
}

static void fill(struct slot *slot)
{
    fill_part(slot, 0, head_bytes(slot->bytes));
    fill_part(slot, tail_from(slot->bytes), slot->bytes);
}

static void expect_part(const struct slot *slot, size_t from, size_t to, const char *when)
{
    if (from == to)
        return;
    plain_note_read(slot->payload + from, to - from);
    for (size_t i = from; i < to; i++)
        if (slot->payload[i] != byte_of(slot, i))
            engine_fail("content: byte %zu of slot %u is %#x at %s, and was %#x", i, (unsigned)(slot - slots),
                        slot->payload[i], when, byte_of(slot, i));
}

static void expect_content(const struct slot *slot, const char *when)
{
    expect_part(slot, 0, head_bytes(slot->bytes), when);
    expect_part(slot, tail_from(slot->bytes), slot->bytes, when);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static bool overlaps(const struct slot *slot, const unsigned char *payload, size_t bytes)
{
    return slot->is_live && slot->payload < payload + bytes && payload < slot->payload + slot->bytes;
}

static void expect_apart_from_slots(const char *payload, size_t bytes)
{
    for (unsigned i = 0; i < SLOTS; i++)
        if (overlaps(&slots[i], (const unsigned char *)payload, bytes))
            engine_fail("a block was given twice: slot %u is live", i);
}

static void be_born(struct slot *slot, void *payload, size_t bytes, size_t alignment)
{
    if (payload == NULL) {
        if (execution.faults == 0)
            engine_fail("no memory for %zu bytes, although no call failed", bytes);
        return;
    }
    if ((uintptr_t)payload % alignment != 0)
        engine_fail("a block of %zu bytes is not aligned to %zu", bytes, alignment);
    if (heapster_usable_size(payload) < bytes)
        engine_fail("a block is shorter than the %zu bytes asked for", bytes);
    for (unsigned i = 0; i < SLOTS; i++)
        if (&slots[i] != slot && overlaps(&slots[i], payload, bytes))
            engine_fail("a block was given twice: slot %u overlaps slot %u, which is live", (unsigned)(slot - slots),
                        i);
    groups_expect_apart(payload, bytes);
    slot->is_live = true;
    slot->payload = payload;
    slot->bytes = bytes;
    fill(slot);
}

static void expect_zeroes(const unsigned char *payload, size_t bytes)
{
    if (payload == NULL)
        return;
    plain_note_read(payload, bytes);
    for (size_t i = 0; i < bytes; i++)
        if (payload[i] != 0)
            engine_fail("calloc: byte %zu of %zu is %#x", i, bytes, payload[i]);
}

static void release(struct slot *slot)
{
    unsigned char *payload = slot->payload;

    if (!slot->is_live)
        return; /* malloc failed, or another thread was first: programs name a slot in one thread */
    expect_content(slot, "free");
    slot->is_live = false;
    heapster_free(payload);
}

static void resize(struct slot *slot, size_t bytes)
{
    size_t kept_bytes = slot->bytes < bytes ? slot->bytes : bytes;
    struct slot before = *slot;
    void *payload;

    if (!slot->is_live) {
        be_born(slot, heapster_realloc(NULL, bytes), bytes, HS_ALIGNMENT);
        return;
    }
    expect_content(slot, "realloc");
    /* Its place may be another's while realloc runs; where realloc fails it was not. */
    slot->is_live = false;
    payload = heapster_realloc(before.payload, bytes);
    if (payload == NULL) {
        slot->is_live = true;
        if (execution.faults == 0)
            engine_fail("no memory for %zu bytes in realloc, although no call failed", bytes);
        return;
    }
    slot->payload = payload;
    slot->bytes = kept_bytes;
    expect_part(slot, 0,
                head_bytes(kept_bytes) < head_bytes(before.bytes) ? head_bytes(kept_bytes) : head_bytes(before.bytes),
                "the end of realloc");
    be_born(slot, payload, bytes, HS_ALIGNMENT);
}

/* Whoever hands in an address that is no block of theirs comes no further. */
static void look_up(const struct slot *slot)
{
    const struct hs_region *region = slot->payload != NULL ? hs_region_find(slot->payload) : NULL;

    if (region != NULL)
        (void)hs_region_holds(region, slot->payload);
}

/* ---- operations -------------------------------------------------------------------------------------------------- */

static void report_broken(const char *invariant, const void *address, const char *text, void *context)
{
    (void)context;
    engine_fail("invariant %s at %p: %s", invariant, address, text);
}

static void fail_for_misuse(const char *line)
{
    engine_fail("misuse was reported: %s", line);
}

static void expect_sound(enum heapster_check_mode mode)
{
    (void)heapster_check(mode, report_broken, NULL);
}

/* Where there is a heap: a look must not be its first call. */
static void check_running(void)
{
    if (hs_explored_has_heap())
        expect_sound(HEAPSTER_CHECK_RUNNING);
}

static bool checks_each_point;

void oracle_check_each_point(bool each)
{
    checks_each_point = each;
    engine_check_at_points(each ? check_running : NULL);
}

bool oracle_checks_each_point(void)
{
    return checks_each_point;
}

static bool decides_for_child(void)
{
    return search_choose(CHOICE_FORK, 2) != 0;
}

static void do_fork(size_t handler_bytes)
{
    backend_run_fork_handler(FORK_PREPARE);
    if (handler_bytes != 0)
        heapster_free(heapster_malloc(handler_bytes));
    engine_point(TOUCH_ALL, NULL, 0);
    if (!decides_for_child()) {
        backend_run_fork_handler(FORK_PARENT);
        return;
    }
    engine_vanish_others();
    engine_note(EVENT_CALL, "(the child)");
    execution.is_being_born = true;
    backend_run_fork_handler(FORK_CHILD);
    execution.is_being_born = false;
    expect_sound(HEAPSTER_CHECK_RUNNING);
}

static void do_block_op(const struct op *op, struct slot *slot)
{
    void *payload;

    slot->is_in_call = true;
    switch (op->kind) {
    case OP_MALLOC:
        be_born(slot, heapster_malloc(op->bytes), op->bytes, HS_ALIGNMENT);
        break;
    case OP_CALLOC:
        payload = heapster_calloc(1, op->bytes);
        expect_zeroes(payload, op->bytes);
        be_born(slot, payload, op->bytes, HS_ALIGNMENT);
        break;
    case OP_ALIGNED:
        be_born(slot, heapster_aligned_alloc(op->alignment, op->bytes), op->bytes, op->alignment);
        break;
    case OP_REALLOC:
        resize(slot, op->bytes);
        break;
    case OP_FREE:
        release(slot);
        break;
    case OP_LOOK:
        look_up(slot);
        break;
    default:
        if (slot->is_live)
            expect_content(slot, "inspection");
        break;
    }
    slot->is_in_call = false;
}

/* Of the block that an operation is about, for the timeline. */
static const void *payload_of(const struct op *op)
{
    return slots[op->slot].is_live && strchr("mcraf", op->kind) != NULL ? slots[op->slot].payload : NULL;
}

static void note_call(enum event_kind kind, const struct op *op)
{
    char text[48];

    if (!execution.is_recording)
        return;
    program_print_op(op, text, sizeof text);
    engine_note_block(kind, text, payload_of(op), NULL);
}

static void do_op(const struct op *op)
{
    struct heapster_stats stats;

    note_call(EVENT_CALL, op);
    switch (op->kind) {
    case OP_TRIM:
        (void)heapster_trim(0);
        break;
    case OP_CHECK:
        expect_sound(HEAPSTER_CHECK_RUNNING);
        break;
    case OP_STATS:
        heapster_stats(&stats);
        break;
    case OP_EMPTY:
        (void)hs_cache_empty();
        break;
    case OP_EXIT:
        engine_run_destructors();
        break;
    case OP_FORK:
    case OP_FORK_HANDLED:
        do_fork(op->bytes);
        break;
    case OP_TIME:
        world_pass_time(op->bytes);
        break;
    case OP_STRATEGY:
        (void)heapster_set_strategy((enum heapster_strategy)op->bytes);
        break;
    case OP_MANY:
        groups_allocate(op->slot, op->bytes, op->alignment, expect_apart_from_slots);
        break;
    case OP_FREE_MANY:
        groups_free(op->slot);
        break;
    case OP_AS:
        engine_impersonate((unsigned)op->bytes - 1);
        break;
    default:
        do_block_op(op, &slots[op->slot]);
        break;
    }
    note_call(EVENT_RETURN, op);
}

static void do_ops(const struct ops *ops)
{
    for (unsigned i = 0; i < ops->count; i++)
        do_op(&ops->list[i]);
}

/* ---- executions -------------------------------------------------------------------------------------------------- */

static bool has_fork(void)
{
    for (unsigned thread = 0; thread < program->thread_count; thread++)
        for (unsigned i = 0; i < program->threads[thread].count; i++)
            if (program->threads[thread].list[i].kind == OP_FORK ||
                program->threads[thread].list[i].kind == OP_FORK_HANDLED)
                return true;
    return false;
}

static void set_up(unsigned thread)
{
    char options[OPTIONS_BYTES];

    (void)thread;
    explore_copy(options, program->options, sizeof options);
    for (char *at = options; *at != '\0'; at++)
        if (*at == '+')
            *at = ',';
    hs_explored_on_misuse(fail_for_misuse);
    hs_options_parse(options);
    /* A process is past its start before it can fork: by the constructor of api.c, which is not explored. */
    if (has_fork())
        hs_heap_make_ready();
    do_ops(&program->set_up);
}

bool oracle_begin(const struct program *chosen)
{
    program = chosen;
    explore_zero(slots, sizeof slots);
    groups_begin();
    engine_begin(program->thread_count);
    engine_run_quietly(set_up);
    if (execution.outcome == OUTCOME_FAILED)
        return false;
    explore_copy(slots_at_checkpoint, slots, sizeof slots);
    groups_checkpoint();
    engine_checkpoint();
    return true;
}

const void *oracle_payload_at_start(unsigned slot)
{
    return slots_at_checkpoint[slot].is_live ? slots_at_checkpoint[slot].payload : NULL;
}

static void work(unsigned thread)
{
    do_ops(&program->threads[thread]);
}

static bool count_used(const struct heapster_block_info *block, void *context)
{
    size_t *used = context;

    *used += block->state == HEAPSTER_BLOCK_USED || block->state == HEAPSTER_BLOCK_LARGE;
    return true;
}

/* Of a call that a thread has vanished in, up to two blocks may be there, the old and the new one of realloc, or none.
 */
static void expect_live_blocks_alone(void)
{
    size_t used = 0, unknown = 0, live = groups_count(&unknown);

    (void)heapster_walk(count_used, &used);
    for (unsigned i = 0; i < SLOTS; i++) {
        live += slots[i].is_live;
        unknown += slots[i].is_in_call ? 2 : 0;
        if (slots[i].is_live && !slots[i].is_in_call)
            expect_content(&slots[i], "the end");
    }
    groups_expect_content();
    if (used < live || used > live + unknown)
        engine_fail("%zu blocks are in use, and %zu are live", used, live);
}

static void end_well(unsigned thread)
{
    (void)thread;
    expect_sound(HEAPSTER_CHECK_AT_REST);
    expect_live_blocks_alone();
    for (unsigned i = 0; i < SLOTS; i++)
        if (slots[i].is_live)
            heapster_free(slots[i].payload);
    groups_free_all();
    for (unsigned i = 0; i < execution.thread_count; i++) {
        if (execution.threads[i].state == THREAD_VANISHED)
            continue;
        engine_impersonate(i);
        engine_run_destructors();
    }
    expect_sound(HEAPSTER_CHECK_AT_REST);
}

static void rewind_blocks(void)
{
    explore_copy(slots, slots_at_checkpoint, sizeof slots);
    groups_rewind();
}

void oracle_rehearse(void)
{
    rewind_blocks();
    engine_rehearse(work);
}

void oracle_run_threads(void)
{
    rewind_blocks();
    engine_run(work);
}

void oracle_run(void)
{
    oracle_run_threads();
    if (execution.outcome == OUTCOME_FINE)
        engine_run_quietly(end_well);
}
