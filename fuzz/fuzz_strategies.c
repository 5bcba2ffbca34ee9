/*
 * fuzz_strategies: the same operations on six heaps: a first-class arena under each of first, next, best and worst fit,
 * and the heap of threads with caches and without.
 *
 * Goal: a program sees the same contents whichever heap serves it, and each strategy places blocks by its own rule.
 * Oracle: each arena lives in a buffer and is held against a model (tests/model), which knows the rules and none of the
 * code: the same address for every block, or none on both sides; at the end the same blocks, walked. Contents as in
 * player.h.
 */
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "cache.h"
#include "emit.h"
#include "heap.h"
#include "heapster.h"
#include "model.h"
#include "options.h"
#include "pattern.h"
#include "target.h"

enum { ARENAS = 4, HEAPS = ARENAS + 2, CACHED = ARENAS, UNCACHED, BUFFER_BYTES = 128 * 1024, EDGE = 128 };

/* No heap here serves more, and no model is asked for it. */
#define REQUEST_MOST ((size_t)1 << 22)

enum kind { MALLOC = 1, CALLOC, ALIGNED_ALLOC, REALLOC, FREE, KINDS = FREE };

static const struct fuzz_kind kinds[KINDS] = {
    {"malloc", FUZZ_SLOT | FUZZ_BYTES, 40},
    {"calloc", FUZZ_SLOT | FUZZ_BYTES, 10},
    {"aligned_alloc", FUZZ_SLOT | FUZZ_BYTES | FUZZ_ALIGNMENT, 10},
    {"realloc", FUZZ_SLOT | FUZZ_BYTES, 20},
    {"free", FUZZ_SLOT, 40},
};

struct slot {
    char *block;
    size_t bytes;
    uint64_t key;
};

struct heap {
    struct slot slots[FUZZ_SLOTS];
    heapster_arena *arena; /* NULL: threads' */
    char *buffer;
    struct model model;
};

static struct heap heaps[HEAPS];
static uint64_t born;

/* ---- content -------------------------------------------------------------------------------------------------------
 */

static size_t edge_of(size_t bytes)
{
    return bytes < EDGE ? bytes : EDGE;
}

static void fill(const struct slot *slot)
{
    kit_pattern_fill(slot->block, 0, edge_of(slot->bytes), slot->key);
    kit_pattern_fill(slot->block, slot->bytes - edge_of(slot->bytes), slot->bytes, slot->key);
}

static void expect(const struct slot *slot, const char *block, size_t from, size_t to)
{
    if (kit_pattern_mismatch(block, from, to, slot->key) != KIT_INTACT)
        fuzz_fail("a live block of %zu bytes changed", slot->bytes);
}

static void verify(const struct slot *slot)
{
    expect(slot, slot->block, 0, edge_of(slot->bytes));
    expect(slot, slot->block, slot->bytes - edge_of(slot->bytes), slot->bytes);
}

/* ---- one call on one heap ------------------------------------------------------------------------------------------
 */

/* What the model does not know of. */
static bool is_beyond(const struct fuzz_op *op)
{
    return op->bytes > REQUEST_MOST ||
           (op->kind == ALIGNED_ALLOC && (op->alignment == 0 || (op->alignment & (op->alignment - 1)) != 0));
}

static void *call(struct heap *heap, const struct fuzz_op *op, char *block)
{
    switch ((enum kind)op->kind) {
    case CALLOC:
        return heap->arena != NULL ? heapster_arena_calloc(heap->arena, 1, op->bytes) : heapster_calloc(1, op->bytes);
    case ALIGNED_ALLOC:
        return heap->arena != NULL ? heapster_arena_aligned_alloc(heap->arena, op->alignment, op->bytes)
                                   : heapster_aligned_alloc(op->alignment, op->bytes);
    case REALLOC:
        return heap->arena != NULL ? heapster_arena_realloc(heap->arena, block, op->bytes)
                                   : heapster_realloc(block, op->bytes);
    default:
        return heap->arena != NULL ? heapster_arena_malloc(heap->arena, op->bytes) : heapster_malloc(op->bytes);
    }
}

static void expect_place(struct heap *heap, const struct fuzz_op *op, const char *block, size_t expected)
{
    size_t offset = block != NULL ? (size_t)(block - heap->buffer) : MODEL_NONE;

    if (heap->arena == NULL) {
        if (block == NULL)
            fuzz_fail("no memory for %zu bytes", op->bytes);
        return;
    }
    if (offset != expected)
        fuzz_fail("strategy %d, %s of %zu bytes: offset %zd, expected %zd (-1: none)", (int)heap->model.strategy,
                  kinds[op->kind - 1].name, op->bytes, (ssize_t)offset, (ssize_t)expected);
}

static void give_back(struct heap *heap, struct slot *slot)
{
    if (slot->block == NULL)
        return;
    verify(slot);
    if (heap->arena != NULL)
        model_release(&heap->model, (size_t)(slot->block - heap->buffer));
    heapster_free(slot->block);
    slot->block = NULL;
}

static size_t ask_model(struct heap *heap, const struct fuzz_op *op, const struct slot *slot)
{
    if (heap->arena == NULL)
        return MODEL_NONE;
    if (slot->block != NULL)
        return model_resize(&heap->model, (size_t)(slot->block - heap->buffer), op->bytes);
    return model_allocate(&heap->model, op->bytes, op->kind == ALIGNED_ALLOC ? op->alignment : 16);
}

static void perform(struct heap *heap, const struct fuzz_op *op)
{
    struct slot *slot = &heap->slots[op->slot], old;
    size_t expected;
    char *block;

    if (op->kind != REALLOC || op->bytes == 0)
        give_back(heap, slot);
    if (op->kind == FREE || is_beyond(op))
        return;
    old = *slot;
    expected = ask_model(heap, op, slot);
    block = call(heap, op, old.block);
    expect_place(heap, op, block, expected);
    if (block == NULL)
        return;
    if (op->kind == CALLOC && kit_pattern_first_nonzero(block, op->bytes) != KIT_INTACT)
        fuzz_fail("calloc is not zeroed");
    if (old.block != NULL)
        expect(&old, block, 0, edge_of(op->bytes < old.bytes ? op->bytes : old.bytes));
    *slot = (struct slot){block, op->bytes, kit_pattern_key(2, born)};
    fill(slot);
}

/* ---- all of them ---------------------------------------------------------------------------------------------------
 */

struct tour {
    const struct heap *heap;
    size_t seen;
};

static bool visit_block(const struct heapster_block_info *info, void *context)
{
    struct tour *tour = context;
    const struct model *model = &tour->heap->model;
    uintptr_t begin = (uintptr_t)tour->heap->buffer, address = (uintptr_t)info->payload;
    size_t offset = address >= begin ? address - begin : BUFFER_BYTES;
    const struct model_block *expected;

    if (info->arena != HS_ARENA_FIRST_CLASS || offset >= BUFFER_BYTES)
        return true;
    if (tour->seen == model->count)
        fuzz_fail("a block at %zu, behind the last", offset);
    expected = &model->blocks[tour->seen++];
    if (offset != expected->offset || info->block_bytes != expected->bytes ||
        info->state != (expected->published != 0 ? HEAPSTER_BLOCK_FREE : HEAPSTER_BLOCK_USED))
        fuzz_fail("strategy %d: a block of %zu bytes at %zu, expected %zu at %zu", (int)model->strategy,
                  info->block_bytes, offset, expected->bytes, expected->offset);
    return true;
}

static void expect_blocks(const struct heap *heap)
{
    struct tour tour = {heap, 0};

    (void)heapster_walk(visit_block, &tour);
    if (tour.seen != heap->model.count)
        fuzz_fail("%zu blocks, expected %zu", tour.seen, heap->model.count);
}

static void report_broken(const char *invariant, const void *address, const char *text, void *context)
{
    (void)context;
    (void)fprintf(stderr, "fuzz_strategies: %s at %p: %s\n", invariant, address, text);
}

static void check_heap(void)
{
    if (heapster_check(HEAPSTER_CHECK_AT_REST, report_broken, NULL) != 0)
        fuzz_fail("the heap is broken");
}

static void begin(const struct fuzz_program *program)
{
    (void)heapster_set_strategy((enum heapster_strategy)(program->header[0] & 3));
    for (unsigned i = 0; i < ARENAS; i++) {
        struct heapster_arena_config config = {
            .strategy = (enum heapster_strategy)i, .buffer = heaps[i].buffer, .buffer_bytes = BUFFER_BYTES};

        heaps[i].arena = heapster_arena_create(&config);
        if (heaps[i].arena == NULL)
            fuzz_fail("no first-class arena");
        model_start(&heaps[i].model, 16, BUFFER_BYTES - 16, config.strategy, MODEL_SOUND);
    }
}

static void end(void)
{
    for (unsigned i = 0; i < HEAPS; i++) {
        hs_thread()->has_no_cache = i != CACHED;
        for (unsigned k = 0; k < FUZZ_SLOTS; k++)
            give_back(&heaps[i], &heaps[i].slots[k]);
        if (heaps[i].arena == NULL)
            continue;
        expect_blocks(&heaps[i]);
        if (heaps[i].model.count != 1)
            fuzz_fail("%zu blocks are left in the model", heaps[i].model.count);
        heapster_arena_destroy(heaps[i].arena);
        model_stop(&heaps[i].model);
        heaps[i].arena = NULL;
    }
}

/* The heap of threads is one: with its cache, for the whole program, and then without. */
static void play_threads(const struct fuzz_program *program, unsigned which)
{
    hs_options.cache = which == CACHED;
    hs_thread()->has_no_cache = which != CACHED;
    born = 0;
    for (unsigned i = 0; i < program->op_count; i++, born++)
        perform(&heaps[which], &program->ops[i]);
    check_heap();
    hs_cache_leave();
    (void)hs_cache_give_back();
}

static void run(const struct fuzz_program *program)
{
    begin(program);
    born = 0;
    for (unsigned i = 0; i < program->op_count; i++, born++) {
        for (unsigned heap = 0; heap < ARENAS; heap++)
            perform(&heaps[heap], &program->ops[i]);
        if (fuzz_walks_each)
            check_heap();
    }
    for (unsigned heap = 0; heap < ARENAS; heap++)
        expect_blocks(&heaps[heap]);
    check_heap();
    play_threads(program, CACHED);
    play_threads(program, UNCACHED);
    end();
    if (hs_large_all_cached_bytes() != 0)
        (void)heapster_trim(0);
}

static void prepare(void)
{
    hs_options.decay_ms = UINT32_MAX;
    hs_cache_leave();
    for (unsigned i = 0; i < ARENAS; i++) {
        heaps[i].buffer = aligned_alloc(REQUEST_MOST, REQUEST_MOST);
        if (heaps[i].buffer == NULL)
            exit(1);
    }
}

static void print_header(FILE *out, const struct fuzz_program *program)
{
    (void)fprintf(out, "threads' heap: strategy %u\n", program->header[0] & 3U);
}

/* ---- as C ----------------------------------------------------------------------------------------------------------
 */

static const char note[] = "Any malloc plays the program once; Heapster in an arena of BUFFER_BYTES under each "
                           "strategy, and then in the heap\n"
                           " * of threads, for which HEAPSTER_OPTIONS=cache=off is another run. Contents are verified "
                           "as everywhere; where blocks\n"
                           " * have to lie only the model says, which `fuzz_strategies INPUT` asks.";

static void emit_op(FILE *out, const struct fuzz_op *op)
{
    (void)fprintf(out, "    ");
    /* realloc to 0 bytes is tried on no block alone. */
    if (op->kind == REALLOC && op->bytes == 0)
        (void)fprintf(out, "release(%u); ", op->slot);
    if (op->kind == FREE || is_beyond(op))
        (void)fprintf(out, "release(%u);\n", op->slot);
    else if (op->kind == CALLOC)
        (void)fprintf(out, "play_calloc(where, %u, 1, %zuU);\n", op->slot, op->bytes);
    else if (op->kind == ALIGNED_ALLOC)
        (void)fprintf(out, "play_aligned_alloc(where, %u, %zuU, %zuU);\n", op->slot, op->alignment, op->bytes);
    else if (op->kind == REALLOC)
        (void)fprintf(out, "play_realloc(where, %u, %zuU);\n", op->slot, op->bytes);
    else
        (void)fprintf(out, "play_malloc(where, %u, %zuU);\n", op->slot, op->bytes);
}

static void emit(FILE *out, const struct fuzz_program *program)
{
    emit_head(out, note);
    (void)fprintf(out, "decay_ms=%u", (unsigned)UINT32_MAX);
    emit_text(out, 0, BUFFER_BYTES);
    (void)fprintf(out, "static void program(int where)\n{\n    (void)where;\n");
    for (unsigned i = 0; i < program->op_count; i++)
        emit_op(out, &program->ops[i]);
    (void)fprintf(out,
                  "}\n\n"
                  "int main(int argc, char **argv)\n{\n"
                  "    (void)argc;\n    begin(argv, %d);\n"
                  "    for (int where = STRICT ? ARENAS : 0; where >= 0; where--) {\n"
                  "        program(where);\n        HEAPSTER(play_check(HEAPSTER_CHECK_AT_REST));\n"
                  "        release_all();\n    }\n    end();\n    return 0;\n}\n",
                  program->header[0] & 3);
}

const struct fuzz_target fuzz_target = {
    .name = "strategies",
    .serves_large = true,
    .kinds = kinds,
    .kind_count = KINDS,
    .prepare = prepare,
    .run = run,
    .print_header = print_header,
    .emit = emit,
};
