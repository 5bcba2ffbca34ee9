/*
 * maps: all threads take, move and give mappings while the process has hardly one left (vm.max_map_count).
 *
 * Before the threads begin, the process's mappings are used up by single pages of changing protection, which the
 * kernel cannot merge. In every other phase the first thread takes whatever is left, again and again, and
 * gives some back after it.
 *
 * Goal: the kernel refuses not only new mappings, but also to cut a piece out of one, to move one, to free one.
 * Class of bug: a block that is lost since its mapping could not be unmapped, the same handed out dirty, an end cut off
 * a mapping that is still there, a move that fails half way, a refusal that outlives its cause.
 * Oracle: everything in oracle.h, above all zeroed calloc; refusals are allowed until the mappings are given back, and
 * not after; then the allocator knows of all that the process has mapped more than before, but for what the kernel
 * would not cut off (LOST_BYTES). Knobs: sizes; PHASE and PINCH_EVERY, operations of the first thread; LEFT, the
 * mappings that it gives back.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mix.h"
#include "oracle.h"
#include "pages.h"
#include "sampler.h"
#include "violation.h"

enum { BLOCKS = 48, PHASE = 400, PINCH_EVERY = 8, LEFT = 40, COUNT_MOST = 1000000 };

#define MIB ((size_t)1 << 20)
#define TOUCHED_BYTES ((size_t)8 << 10)

/* Of address space that is in nobody's hands in the end. */
#define LOST_BYTES (32 * MIB)
#define LOST_BYTES_OF_OPERATION 96

/* For tables that the kit needs while there is no mapping to be had. */
#define RESERVE_BYTES (64 * MIB)

static const struct kit_sizes sizes[] = {
    {70, 16, (size_t)4 << 10},
    {10, (size_t)4 << 10, (size_t)100 << 10},
    {19, (size_t)200 << 10, MIB},
    {1, MIB, 4 * MIB},
    {0, 0, 0},
};

struct local {
    struct kit_allocator allocator; /* the one under test, which may refuse */
    char *filler;                   /* every second page of it may be read, up to `used` */
    size_t page_bytes, pages, used;
    size_t unknown_bytes; /* before the threads began */
};

/* The kernel's limit; 0 where it does not say. */
static size_t mappings_most(void)
{
    char text[32];
    int file = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
    ssize_t length = file >= 0 ? read(file, text, sizeof text - 1) : -1;

    if (file >= 0)
        (void)close(file);
    if (length <= 0)
        return 0;
    text[length] = '\0';
    return (size_t)strtoull(text, NULL, 10);
}

static const char *obstacle(void)
{
    size_t most = mappings_most();

    if (most == 0)
        return "vm.max_map_count cannot be read";
    return most > COUNT_MOST ? "vm.max_map_count is too large to be used up" : NULL;
}

/* ---- the filler ----------------------------------------------------------------------------------------------------
 */

/* Every page that differs from both neighbours makes two mappings more. */
static void take_last_mappings(struct local *local)
{
    while (local->used + 2 < local->pages &&
           mprotect(local->filler + (local->used + 1) * local->page_bytes, local->page_bytes, PROT_READ) == 0)
        local->used += 2;
}

static void give_some_back(struct local *local)
{
    for (unsigned i = 0; i < LEFT / 2 && local->used != 0; i++) {
        local->used -= 2;
        if (mprotect(local->filler + (local->used + 1) * local->page_bytes, local->page_bytes, PROT_NONE) != 0)
            kit_violation(NULL, NULL, "setup", "a page cannot be given back, errno %d", errno);
    }
}

static void make_filler(struct local *local)
{
    void *base;

    local->page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    local->pages = mappings_most() + 3;
    base = mmap(NULL, local->pages * local->page_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        kit_violation(NULL, NULL, "setup", "no address space, errno %d", errno);
    local->filler = base;
    take_last_mappings(local);
    if (local->used + 2 >= local->pages)
        kit_violation(NULL, NULL, "setup", "there are more mappings than %zu", local->pages);
    give_some_back(local);
}

/* ---- operations ----------------------------------------------------------------------------------------------------
 */

static void allocate(struct kit_thread *thread, struct kit_block *block)
{
    const struct local *local = thread->run->local;
    size_t bytes = kit_mix_bytes(&thread->rng, sizes);

    thread->untouched_from = TOUCHED_BYTES;
    if (kit_rng_percent(&thread->rng, 20))
        kit_allocate(thread, block, &local->allocator, KIT_ALIGNED_ALLOC, (size_t)16 << kit_rng_below(&thread->rng, 14),
                     bytes);
    else
        kit_mix_allocate(thread, block, &local->allocator, bytes);
    thread->untouched_from = 0;
}

static void step(struct kit_thread *thread)
{
    struct kit_block *block = thread->blocks[kit_rng_below(&thread->rng, BLOCKS)];

    if (!kit_block_is_live(block))
        allocate(thread, block);
    else if (kit_rng_percent(&thread->rng, 35))
        kit_mix_resize(thread, block, sizes);
    else if (kit_rng_percent(&thread->rng, 10))
        kit_inspect(thread, block);
    else
        kit_mix_release(thread, block);
}

static void work(struct kit_thread *thread)
{
    struct local *local = thread->run->local;

    for (unsigned i = 0; kit_step(thread); i++) {
        step(thread);
        if (thread->index != 0 || i % PINCH_EVERY != 0)
            continue;
        kit_doing(thread, KIT_TUNE, 0);
        if (i / PHASE % 2 == 0)
            take_last_mappings(local);
        else if (i % PHASE == 0)
            give_some_back(local);
    }
}

/* ---- before and after ----------------------------------------------------------------------------------------------
 */

static void begin(struct kit_run *run)
{
    struct local *local = kit_pages_map(sizeof *local);

    local->allocator = *run->allocator;
    local->allocator.may_refuse = true;
    run->local = local;
    kit_pages_reserve(RESERVE_BYTES);
    if (run->allocator->is_heapster)
        local->unknown_bytes = kit_sampler_unknown_bytes(run);
    make_filler(local);
}

/* All of the first thread's records at once. */
static void expect_memory(struct kit_thread *thread)
{
    thread->untouched_from = TOUCHED_BYTES;
    for (unsigned i = 0; i < thread->block_count; i++)
        kit_allocate(thread, thread->blocks[i], thread->run->allocator, KIT_CALLOC, 0, (size_t)i << 16);
    thread->untouched_from = 0;
    for (unsigned i = 0; i < thread->block_count; i++)
        kit_release(thread, thread->blocks[i], KIT_FREE);
}

/* What the kernel would not cut off at an end of a mapping is lost by design; whole blocks are not. Other allocators
 * keep address space that they do not tell of. */
static void expect_nothing_lost(const struct kit_run *run)
{
    const struct local *local = run->local;
    size_t allowed_bytes = local->unknown_bytes + LOST_BYTES, now;

    if (!run->allocator->is_heapster)
        return;
    for (unsigned i = 0; i < run->config->threads; i++)
        allowed_bytes += (size_t)kit_get(run->threads[i].ops) * LOST_BYTES_OF_OPERATION;
    now = kit_sampler_unknown_bytes(run);
    if (now > allowed_bytes)
        kit_violation(NULL, NULL, "lost mapping", "%zu MiB more than before are mapped and not the allocator's",
                      (now - local->unknown_bytes) / MIB);
}

static void end(struct kit_run *run)
{
    struct local *local = run->local;

    if (munmap(local->filler, local->pages * local->page_bytes) != 0)
        kit_violation(NULL, NULL, "setup", "the mappings cannot be given back, errno %d", errno);
    expect_memory(&run->threads[0]);
    kit_trim(&run->threads[0], 0);
    expect_nothing_lost(run);
    kit_pages_reserve_end();
    kit_pages_unmap(local, sizeof *local);
}

const struct kit_scenario stress_maps = {
    .name = "maps",
    .summary = "mappings taken, moved and given while the process has hardly one left",
    .blocks_of_thread = BLOCKS,
    .needs = KIT_NEEDS_NO_SHADOW,
    .begin = begin,
    .work = work,
    .end = end,
    .obstacle = obstacle,
};
