/*
 * large: mappings of random lives, from just below the threshold to 64 MiB, that grow, shrink and move; of many only a
 * part is ever touched.
 *
 * Goal: blocks with a mapping of their own, beside those that just miss it.
 * Class of bug: an end that is unmapped and still counted, a page that did not come along in a move, a mapping whose
 * old place is still in the region map, an idle mapping handed out dirty, memory touched that the program never
 * touched. Oracle: everything in oracle.h; of blocks touched in part, the part; all a thread's live blocks stay within
 * its share of TOTAL_BYTES, and what the process has in memory within that and SPARE_BYTES. Knobs: the sizes below;
 * TOTAL_BYTES; BLOCKS, the most mappings of a thread; TURN, operations of the first thread, in every other one of which
 * hardly a mapping can be unmapped, so that all of them go through the list of idle ones.
 */
#include "compiler.h"
#include "faults.h"
#include "mix.h"
#include "oracle.h"
#include "pages.h"
#include "violation.h"

enum { BLOCKS = 24, TURN = 50, REFUSED_PER_MILLE = 900, LITTLE_BYTES = 3 * 4096 };

#define MIB ((size_t)1 << 20)
#define TOTAL_BYTES (256 * MIB)

/* For what earlier scenarios left, and what a sanitizer keeps for itself: ThreadSanitizer four times the memory. */
#if defined(HS_THREAD_SANITIZER)
#define SPARE_BYTES (5 * TOTAL_BYTES)
#else
#define SPARE_BYTES TOTAL_BYTES
#endif

static const struct kit_sizes sizes[] = {
    {400, (size_t)200 << 10, (size_t)300 << 10},
    {300, (size_t)300 << 10, 2 * MIB},
    {60, 2 * MIB, 12 * MIB},
    {10, 12 * MIB, 64 * MIB},
    {0, 0, 0},
};

/* Of larger ones only so much is touched. */
static const size_t touched_most[] = {4096, 70001, MIB / 2, 3 * MIB};

static size_t touched_bytes(const struct kit_block *block)
{
    size_t bytes = kit_block_is_live(block) ? kit_get(block->bytes) : 0;

    return bytes < block->fill_most ? bytes : block->fill_most;
}

/* True if the thread may touch that many bytes more. */
static bool has_room(const struct kit_thread *thread, size_t more_bytes)
{
    size_t touched = more_bytes;

    for (unsigned i = 0; i < thread->block_count; i++)
        touched += touched_bytes(thread->blocks[i]);
    return touched <= TOTAL_BYTES / thread->run->config->threads;
}

static void allocate(struct kit_thread *thread, struct kit_block *block)
{
    size_t bytes = kit_mix_bytes(&thread->rng, sizes), most = touched_most[kit_rng_below(&thread->rng, 4)];

    if (!has_room(thread, bytes < most ? bytes : most))
        return;
    thread->untouched_from = most;
    kit_mix_allocate(thread, block, thread->run->allocator, bytes);
    thread->untouched_from = 0;
}

static void resize(struct kit_thread *thread, struct kit_block *block)
{
    size_t bytes = kit_get(block->bytes), wanted;

    switch (kit_rng_below(&thread->rng, 4)) {
    case 0:
        wanted = bytes + (size_t)kit_rng_below(&thread->rng, LITTLE_BYTES);
        break;
    case 1:
        wanted = bytes - (size_t)kit_rng_below(&thread->rng, bytes < LITTLE_BYTES ? bytes : LITTLE_BYTES);
        break;
    case 2:
        wanted = bytes < 32 * MIB ? 2 * bytes : bytes / 2;
        break;
    default:
        wanted = kit_mix_bytes(&thread->rng, sizes);
        break;
    }
    if (wanted <= bytes || has_room(thread, wanted < block->fill_most ? wanted : block->fill_most))
        kit_resize(thread, block, wanted);
}

/* The first thread has the kernel refuse nearly every unmapping for a while, and none for as long. */
static void refuse_in_turns(const struct kit_thread *thread)
{
    static const struct kit_fault_plan plan = {
        .kinds = 1U << HS_OS_MUNMAP, .per_mille = REFUSED_PER_MILLE, .first = 1, .seed = 1};
    uint64_t ops = kit_get(thread->ops);

    if (thread->index != 0 || !thread->run->allocator->is_heapster || ops % TURN != 0)
        return;
    if (ops / TURN % 2 == 1)
        kit_faults_arm_all(&plan);
    else
        (void)kit_faults_disarm_all();
}

static void work(struct kit_thread *thread)
{
    while (kit_step(thread)) {
        struct kit_block *block = thread->blocks[kit_rng_below(&thread->rng, BLOCKS)];

        if (!kit_block_is_live(block))
            allocate(thread, block);
        else if (kit_rng_percent(&thread->rng, 45))
            resize(thread, block);
        else if (kit_rng_percent(&thread->rng, 20))
            kit_inspect(thread, block);
        else
            kit_mix_release(thread, block);
        refuse_in_turns(thread);
    }
}

static void begin(struct kit_run *run)
{
    if (run->allocator->is_heapster)
        kit_faults_install();
}

/* After every block was freed. No standard says how much memory others may keep. */
static void end(struct kit_run *run)
{
    uint64_t peak_bytes = run->result->peak_resident_bytes;

    if (!run->allocator->is_heapster)
        return;
    kit_faults_remove();
    if (peak_bytes > TOTAL_BYTES + SPARE_BYTES)
        kit_violation(NULL, NULL, "memory", "%llu MiB resident at the peak, expected %zu at most",
                      (unsigned long long)(peak_bytes / MIB), (TOTAL_BYTES + SPARE_BYTES) / MIB);
}

const struct kit_scenario stress_large = {
    .name = "large",
    .summary = "mappings that come, grow, shrink, move and go, often touched in part",
    .blocks_of_thread = BLOCKS,
    .begin = begin,
    .work = work,
    .end = end,
};
