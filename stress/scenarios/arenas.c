/*
 * arenas: first-class arenas under load. All threads share one, whose blocks wander between them; each makes private
 * ones, from mappings, from a buffer or from hooks, uses them and destroys them with blocks still live.
 *
 * Goal: creation and destruction beside allocation, walks and checks by others; free by the ordinary names.
 * Class of bug: memory that outlives its arena or goes with a wrong one, a region map that leads nowhere, a walk
 * through an arena that is gone, hooks that are not asked to take back what they gave.
 * Oracle: everything in oracle.h, until the destruction; what the hooks gave is what they took back; in the
 * end no mapping is left that belonged to an arena.
 * Knobs: PRIVATE_STEPS, the life of a private arena; PRIVATE_EVERY, how rare they are; SWITCH_EVERY,
 * operations of a thread between two switches of the shared one's strategy, often enough to meet another.
 */
#include "heapster.h"

#include <errno.h>
#include <sys/mman.h>

#include "cache.h"
#include "compiler.h"
#include "depot.h"
#include "mix.h"
#include "oracle.h"
#include "pages.h"
#include "sampler.h"
#include "violation.h"

enum {
    PRIVATE_BLOCKS = 32,
    PRIVATE_STEPS = 200,
    PRIVATE_EVERY = 400,
    SWITCH_EVERY = 10,
    STRATEGIES = HEAPSTER_WORST_FIT + 1
};
enum source { FROM_MAPPINGS, FROM_BUFFER, FROM_HOOKS, SOURCES };

#define HOOK_ALIGNMENT ((size_t)64 * 1024)

/* For what libc and the allocator make once and keep. */
#define LOST_BYTES ((size_t)4 << 20)
#define LOST_BYTES_OF_THREAD (HS_CACHE_RECORD_BYTES + HS_SLAB_BYTES)

static uint64_t unknown_before;

static const struct kit_mix mix = {.sizes = kit_sizes_usual, .hand_over = 20, .resize = 20, .inspect = 10};

/* ---- hooks ---------------------------------------------------------------------------------------------------------
 */

/* Called under the lock of one thread's private arena: by one thread at a time. */
struct hooked {
    size_t bytes; /* given and not taken back */
};

static void *hook_map(size_t bytes, void *context)
{
    struct hooked *hooked = context;
    size_t total_bytes = bytes + HOOK_ALIGNMENT, front_bytes;
    char *base = mmap(NULL, total_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (base == MAP_FAILED)
        return NULL;
    front_bytes = (HOOK_ALIGNMENT - (uintptr_t)base % HOOK_ALIGNMENT) % HOOK_ALIGNMENT;
    if (front_bytes != 0)
        (void)munmap(base, front_bytes);
    (void)munmap(base + front_bytes + bytes, total_bytes - front_bytes - bytes);
    hooked->bytes += bytes;
    return base + front_bytes;
}

static void hook_unmap(void *base, size_t bytes, void *context)
{
    struct hooked *hooked = context;

    hooked->bytes -= bytes;
    (void)munmap(base, bytes);
}

/* ---- private arenas ------------------------------------------------------------------------------------------------
 */

struct private_arena {
    enum source source;
    struct hooked hooked;
    void *buffer;
    struct kit_allocator allocator;
    const struct kit_sizes *sizes;
};

static void create(struct kit_thread *thread, struct private_arena *private_arena)
{
    static const struct kit_sizes small[] = {{1, 1, 300}, {0, 0, 0}};
    struct kit_rng *rng = &thread->rng;
    struct heapster_os_hooks hooks = {hook_map, hook_unmap, &private_arena->hooked};
    struct heapster_arena_config config = {.strategy = (enum heapster_strategy)kit_rng_below(rng, STRATEGIES)};
    heapster_arena *arena;

    kit_doing(thread, KIT_CREATE_ARENA, 0);
    *private_arena = (struct private_arena){.source = (enum source)kit_rng_below(rng, SOURCES)};
    private_arena->sizes = private_arena->source == FROM_BUFFER ? small : kit_sizes_usual;
    if (private_arena->source == FROM_BUFFER) {
        size_t unaligned = (size_t)kit_rng_below(rng, 16);

        config.buffer_bytes = 128 + (size_t)kit_rng_below(rng, 32768);
        private_arena->buffer = heapster_malloc(unaligned + config.buffer_bytes);
        if (private_arena->buffer == NULL)
            kit_violation(NULL, NULL, "refused", "no memory for a buffer, errno %d", errno);
        else
            config.buffer = (char *)private_arena->buffer + unaligned;
    } else if (private_arena->source == FROM_HOOKS) {
        config.hooks = &hooks;
    }
    arena = heapster_arena_create(&config);
    if (arena == NULL)
        kit_violation(NULL, NULL, "refused", "no arena from source %d, %zu bytes of buffer, errno %d",
                      (int)private_arena->source, config.buffer_bytes, errno);
    private_arena->allocator = kit_heapster_arena(arena);
    private_arena->allocator.may_refuse = private_arena->source == FROM_BUFFER;
}

static void destroy(struct kit_thread *thread, struct private_arena *private_arena, struct kit_block **blocks)
{
    for (unsigned i = 0; i < PRIVATE_BLOCKS; i++)
        if (kit_block_is_live(blocks[i]))
            kit_forget(thread, blocks[i]);
    kit_doing(thread, KIT_DESTROY_ARENA, 0);
    heapster_arena_destroy(private_arena->allocator.context);
    if (private_arena->hooked.bytes != 0)
        kit_violation(NULL, NULL, "hooks", "%zu bytes were not given back", private_arena->hooked.bytes);
    heapster_free(private_arena->buffer);
}

/* An arena in a block of the other, whose memory then belongs to two regions that are no mapping of their own. */
static void use_nested_arena(struct kit_thread *thread, heapster_arena *outer, struct kit_block **blocks)
{
    struct heapster_arena_config config = {.buffer_bytes = 256 + (size_t)kit_rng_below(&thread->rng, 1024)};
    struct kit_allocator allocator;
    heapster_arena *inner;

    config.buffer = heapster_arena_malloc(outer, config.buffer_bytes);
    inner = config.buffer != NULL ? heapster_arena_create(&config) : NULL;
    if (inner == NULL)
        return; /* where the outer one is too small */
    allocator = kit_heapster_arena(inner);
    allocator.may_refuse = true;
    for (unsigned i = 0; i < PRIVATE_STEPS / 4 && kit_step(thread); i++) {
        struct kit_block *block = blocks[kit_rng_below(&thread->rng, PRIVATE_BLOCKS)];

        if (kit_block_is_live(block))
            kit_mix_release(thread, block);
        else
            kit_allocate(thread, block, &allocator, KIT_MALLOC, 0, (size_t)kit_rng_below(&thread->rng, 120));
    }
    for (unsigned i = 0; i < PRIVATE_BLOCKS; i++)
        if (kit_block_is_live(blocks[i]))
            kit_release(thread, blocks[i], KIT_FREE);
    heapster_arena_destroy(inner);
    heapster_free(config.buffer);
}

/* The life of one private arena, in records that never leave the thread. */
static void use_private_arena(struct kit_thread *thread, struct kit_block **blocks)
{
    struct private_arena private_arena;

    create(thread, &private_arena);
    if (private_arena.source == FROM_BUFFER)
        use_nested_arena(thread, private_arena.allocator.context, blocks);
    for (unsigned i = 0; i < PRIVATE_STEPS && kit_step(thread); i++) {
        struct kit_block *block = blocks[kit_rng_below(&thread->rng, PRIVATE_BLOCKS)];

        if (!kit_block_is_live(block))
            kit_mix_allocate(thread, block, &private_arena.allocator, kit_mix_bytes(&thread->rng, private_arena.sizes));
        else if (kit_rng_percent(&thread->rng, 30))
            kit_mix_resize(thread, block, private_arena.sizes);
        else
            kit_mix_release(thread, block);
    }
    destroy(thread, &private_arena, blocks);
}

/* ---- the scenario --------------------------------------------------------------------------------------------------
 */

static void begin(struct kit_run *run)
{
    struct kit_allocator *shared = kit_pages_map(sizeof *shared);
    heapster_arena *arena = heapster_arena_create(NULL);

    if (arena == NULL)
        kit_violation(NULL, NULL, "refused", "no shared arena, errno %d", errno);
    *shared = kit_heapster_arena(arena);
    run->local = shared;
    unknown_before = kit_sampler_unknown_bytes(run);
}

static void end(struct kit_run *run)
{
    struct kit_allocator *shared = run->local;
    uint64_t allowed_bytes = LOST_BYTES + (uint64_t)run->config->threads * LOST_BYTES_OF_THREAD;

    heapster_arena_destroy(shared->context);
    kit_pages_unmap(shared, sizeof *shared);
    run->allocator->give_all_back(run->allocator->context);
    if (!HS_HAS_SHADOW && kit_sampler_unknown_bytes(run) > unknown_before + allowed_bytes)
        kit_violation(NULL, NULL, "lost mapping", "%llu bytes are mapped that went with no arena",
                      (unsigned long long)(kit_sampler_unknown_bytes(run) - unknown_before));
}

static void work(struct kit_thread *thread)
{
    const struct kit_allocator *shared = thread->run->local;
    struct kit_block **private_blocks;

    thread->block_count -= PRIVATE_BLOCKS;
    private_blocks = thread->blocks + thread->block_count;
    while (kit_step(thread)) {
        if (kit_rng_below(&thread->rng, PRIVATE_EVERY) == 0)
            use_private_arena(thread, private_blocks);
        else if (kit_rng_below(&thread->rng, SWITCH_EVERY) == 0)
            (void)heapster_arena_set_strategy(shared->context,
                                              (enum heapster_strategy)kit_rng_below(&thread->rng, STRATEGIES));
        else
            kit_mix_step(thread, &mix, kit_rng_percent(&thread->rng, 70) ? shared : thread->run->allocator);
    }
    thread->block_count += PRIVATE_BLOCKS;
}

const struct kit_scenario stress_arenas = {
    .name = "arenas",
    .summary = "first-class arenas shared, created, used and destroyed under load",
    .needs = KIT_NEEDS_HEAPSTER,
    .blocks_of_thread = 256,
    .slots = 64,
    .begin = begin,
    .work = work,
    .end = end,
};
