#include "player.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "arena.h"
#include "cache.h"
#include "depot.h"
#include "heap.h"
#include "options.h"
#include "os.h"
#include "pattern.h"
#include "place.h"

enum { SMALL_BYTES = 2048 };

/* What lies in memory before anybody wrote to it: not zeroed, and not filled. */
enum { DIRT = 0xC3 };

/* What the heap has before each program, in one piece: more than most programs need, so that few wait for the OS. */
#define QUIET_BYTES ((size_t)1 << 20)

/* Beyond this a request may find no memory without anybody's fault. */
#define LIKELY_BYTES ((size_t)64 << 20)

struct player player;

/* What the allocator takes for the time: it goes on with each operation, and far between programs, for which all that
 * was before is long ago. */
uint64_t player_now_ms;
static const uint64_t between_programs_ms = 1024;

static const uint32_t decays_ms[] = {UINT32_MAX, 0, 8, 64};

/* Memory of first-class arenas, one piece for each: a buffer, or what the hooks hand out. */
static char *memory[PLAYER_ARENAS];
static size_t handed_out[PLAYER_ARENAS];
static size_t quiet_region_bytes;

/* When the program began. */
static uint64_t calls_before[HS_OS_CALL_KINDS], purged_bytes_before;

/* ---- content -------------------------------------------------------------------------------------------------------
 */

static void fill(const struct player_slot *slot)
{
    if (slot->bytes <= PLAYER_WHOLE_BYTES) {
        kit_pattern_fill(slot->block, 0, slot->bytes, slot->key);
        return;
    }
    kit_pattern_fill(slot->block, 0, PLAYER_EDGE_BYTES, slot->key);
    kit_pattern_fill(slot->block, slot->bytes - PLAYER_EDGE_BYTES, slot->bytes, slot->key);
}

static void expect_content(const struct player_slot *slot, const char *block, size_t from, size_t to)
{
    size_t wrong = kit_pattern_mismatch(block, from, to, slot->key);

    if (wrong != KIT_INTACT)
        fuzz_fail("byte %zu of a live block of %zu bytes changed: %p", wrong, slot->bytes, (const void *)block);
}

void player_verify(const struct player_slot *slot)
{
    if (slot->bytes <= PLAYER_WHOLE_BYTES) {
        expect_content(slot, slot->block, 0, slot->bytes);
        return;
    }
    expect_content(slot, slot->block, 0, PLAYER_EDGE_BYTES);
    expect_content(slot, slot->block, slot->bytes - PLAYER_EDGE_BYTES, slot->bytes);
}

/* ---- blocks --------------------------------------------------------------------------------------------------------
 */

static void expect_apart(const struct player_slot *slot)
{
    for (uint32_t left = player.live; left != 0; left &= left - 1) {
        const struct player_slot *other = &player.slots[__builtin_ctz(left)];

        if (slot->block < other->block + other->bytes && other->block < slot->block + slot->bytes)
            fuzz_fail("%p (%zu bytes) overlaps %p (%zu bytes)", (void *)slot->block, slot->bytes, (void *)other->block,
                      other->bytes);
    }
}

void player_forget(struct player_slot *slot)
{
    slot->block = NULL;
    player.live &= ~(UINT32_C(1) << (slot - player.slots));
}

void player_expect_errno(bool failed)
{
    if (failed ? errno != ENOMEM && errno != EINVAL : errno != PLAYER_ERRNO)
        fuzz_fail("errno is %d after a call that %s", errno, failed ? "failed" : "succeeded");
}

void player_refused(size_t bytes, size_t alignment, unsigned arena)
{
    bool is_scarce = arena != 0 && player.arenas[arena - 1].source != PLAYER_MMAP;

    player_expect_errno(true);
    if (bytes < LIKELY_BYTES && alignment < LIKELY_BYTES && alignment != 0 && (alignment & (alignment - 1)) == 0 &&
        !is_scarce && !player.may_fail)
        fuzz_fail("no memory for %zu bytes aligned to %zu", bytes, alignment);
}

/* To what was promised, and to 16 at the least. A block for what is no power of two is wrong wherever it lies. */
static bool is_aligned(const void *block, size_t alignment)
{
    return alignment <= 16 ? (uintptr_t)block % 16 == 0
                           : (alignment & (alignment - 1)) == 0 && ((uintptr_t)block & (alignment - 1)) == 0;
}

bool player_settle(struct player_slot *slot, void *block, size_t bytes, size_t alignment, unsigned arena)
{
    fuzz_note((uintptr_t)block);
    if (block == NULL) {
        player_refused(bytes, alignment, arena);
        return false;
    }
    player_expect_errno(false);
    if (!is_aligned(block, alignment))
        fuzz_fail("%p is not aligned to %zu", block, alignment);
    if (heapster_usable_size(block) < bytes)
        fuzz_fail("%p has %zu usable bytes of %zu", block, heapster_usable_size(block), bytes);
    *slot = (struct player_slot){.block = block, .bytes = bytes, .arena = arena};
    slot->key = kit_pattern_key(1, player.born++);
    expect_apart(slot);
    player.live |= UINT32_C(1) << (slot - player.slots);
    fill(slot);
    return true;
}

void player_release(struct player_slot *slot)
{
    if (slot->block == NULL)
        return;
    player_verify(slot);
    errno = PLAYER_ERRNO;
    heapster_free(slot->block);
    player_expect_errno(false);
    player_forget(slot);
}

/* ---- first-class arenas --------------------------------------------------------------------------------------------
 */

static void *map_piece(size_t bytes, void *context)
{
    size_t lane = (size_t)(char **)context - (size_t)memory;
    char *piece;

    lane /= sizeof memory[0];
    if (bytes > PLAYER_MEMORY_BYTES - handed_out[lane])
        return NULL;
    piece = memory[lane] + handed_out[lane];
    handed_out[lane] += bytes;
    return piece;
}

/* The pieces come back when the arena ends. */
static void unmap_piece(void *base, size_t bytes, void *context)
{
    (void)base;
    (void)bytes;
    (void)context;
}

struct player_arena *player_arena(unsigned lane)
{
    struct player_arena *mine = &player.arenas[lane];
    struct heapster_os_hooks hooks = {map_piece, unmap_piece, &memory[lane]};
    struct heapster_arena_config config = {.strategy = (enum heapster_strategy)lane};

    if (mine->arena != NULL)
        return mine;
    if (mine->source <= PLAYER_SMALL_BUFFER) {
        config.buffer = memory[lane];
        config.buffer_bytes = mine->source == PLAYER_BUFFER ? PLAYER_MEMORY_BYTES : SMALL_BYTES;
    } else if (mine->source == PLAYER_HOOKS) {
        config.hooks = &hooks;
        handed_out[lane] = 0;
    }
    errno = PLAYER_ERRNO;
    mine->arena = heapster_arena_create(&config);
    player_expect_errno(mine->arena == NULL);
    if (mine->arena == NULL && !player.may_fail)
        fuzz_fail("no first-class arena");
    return mine;
}

void player_destroy_arena(unsigned lane)
{
    struct player_arena *mine = &player.arenas[lane];

    for (unsigned i = 0; i < FUZZ_SLOTS; i++) {
        struct player_slot *slot = &player.slots[i];

        if (slot->block == NULL || slot->arena != lane + 1)
            continue;
        player_verify(slot);
        player_forget(slot);
    }
    heapster_arena_destroy(mine->arena);
    mine->arena = NULL;
}

/* ---- the whole heap ------------------------------------------------------------------------------------------------
 */

static void report_broken(const char *invariant, const void *address, const char *text, void *context)
{
    (void)context;
    (void)fprintf(stderr, "fuzz_%s: %s at %p: %s\n", fuzz_target.name, invariant, address, text);
}

void player_check_heap(enum heapster_check_mode mode)
{
    if (heapster_check(mode, report_broken, NULL) != 0)
        fuzz_fail("the heap is broken");
}

/* The next program begins with a new cache, or with none. */
static void end_cache(void)
{
    hs_cache_leave();
    (void)hs_cache_give_back();
}

static void start_cache(bool on)
{
    hs_options.cache = on;
    hs_thread()->has_no_cache = !on;
}

static void expect_unmapped(void)
{
    if (!place_leave_program() && !player.may_leak)
        fuzz_fail("something stays mapped that the heap does not know of");
}

/* The heap as every program finds it: QUIET_BYTES of free memory, and nothing else. */
static void make_quiet(void)
{
    void *block;

    hs_options.mmap_threshold = 2 * QUIET_BYTES;
    (void)heapster_trim(0);
    expect_unmapped();
    place_between_programs();
    start_cache(false);
    block = heapster_malloc(QUIET_BYTES);
    heapster_free(block);
    quiet_region_bytes = hs_load_relaxed(&hs_arena_all_region_bytes);
}

/* What is not zeroed shows at once, and not only where a program left something before. */
static void dirty_memory(void)
{
    void *block = heapster_malloc(QUIET_BYTES);

    if (block != NULL)
        memset(block, DIRT, QUIET_BYTES);
    heapster_free(block);
}

static uint64_t tell_time(void)
{
    return player_now_ms;
}

/* Fills a bin more than once, and the depot behind it is emptied. */
static void warm_up_cache(void)
{
    enum { BLOCKS = 3 * HS_BIN_SLOTS_MOST };
    static void *blocks[BLOCKS];

    start_cache(true);
    for (unsigned i = 0; i < BLOCKS; i++)
        blocks[i] = heapster_malloc(16);
    for (unsigned i = 0; i < BLOCKS; i++)
        heapster_free(blocks[i]);
    /* From the first block on that was rounded up to a class, for good, blocks may be longer than their requests. */
    heapster_free(heapster_malloc(HS_TINY_BLOCK_BYTES_MOST));
    (void)heapster_trim(0);
    end_cache();
}

/* Memory for the allocator's own records is mapped by the first who need them and kept. Here that is nobody's program:
 * which call of the OS is the n-th of a program must not depend on what others did before it. */
static void warm_up(void)
{
    enum { LARGE_BLOCKS = 4 * FUZZ_SLOTS };
    static void *blocks[LARGE_BLOCKS];

    warm_up_cache();
    hs_options.mmap_threshold = HS_MMAP_THRESHOLD_DEFAULT;
    for (unsigned lane = 0; lane < PLAYER_ARENAS; lane++) {
        player.arenas[lane].source = PLAYER_MMAP;
        heapster_free(heapster_arena_malloc(player_arena(lane)->arena, 2 * HS_MMAP_THRESHOLD_DEFAULT));
    }
    heapster_arena_destroy(heapster_arena_create(NULL)); /* one beside these */
    for (unsigned lane = 0; lane < PLAYER_ARENAS; lane++)
        player_destroy_arena(lane);
    for (unsigned i = 0; i < LARGE_BLOCKS; i++)
        blocks[i] = heapster_malloc(HS_MMAP_THRESHOLD_DEFAULT);
    for (unsigned i = 0; i < LARGE_BLOCKS; i++)
        heapster_free(blocks[i]);
}

void player_prepare(void)
{
    /* What happens by the machine's clock would not replay. */
    hs_os_clock = tell_time;
    hs_options.decay_ms = UINT32_MAX;
    for (unsigned i = 0; i < PLAYER_ARENAS; i++) {
        memory[i] = aligned_alloc(HS_GRANULE_BYTES, PLAYER_MEMORY_BYTES);
        if (memory[i] == NULL)
            exit(1);
        memset(memory[i], DIRT, PLAYER_MEMORY_BYTES);
    }
    warm_up();
    (void)heapster_trim(0);
    place_start();
    make_quiet();
    dirty_memory();
}

static unsigned decay_of(const struct fuzz_program *program)
{
    return player_is_plain ? 0 : program->header[0] >> 3 & 3;
}

uint8_t player_options_of(const struct fuzz_program *program)
{
    return player_is_plain ? 0 : program->header[2];
}

static void set_options(uint8_t options)
{
    hs_options.fill = (options & PLAYER_FILL) != 0;
    hs_options.hugepages = (options & PLAYER_HUGEPAGES) != 0;
    hs_options.populate = (options & PLAYER_POPULATE) != 0;
    hs_options.large_cache = (options & PLAYER_NO_LARGE_CACHE) == 0;
    hs_options.check_every = (options & PLAYER_CHECK) != 0 ? PLAYER_CHECK_EVERY : 0;
}

static void unmap_slabs(struct hs_slab **slabs)
{
    while (*slabs != NULL) {
        struct hs_slab *slab = *slabs;

        *slabs = slab->next;
        (void)hs_os_unmap(slab, HS_SLAB_BYTES);
    }
}

/* An empty depot keeps memory for magazines, some of it unused, and notes by what it was emptied before. */
static void forget_depot(struct hs_depot *depot)
{
    if (depot->sorting != NULL) { /* room that the OS would not take back, and now does */
        warm_up_cache();
        make_quiet();
    }
    unmap_slabs(&depot->slabs);
    unmap_slabs(&depot->unwanted_slabs);
    depot->empty = depot->fresh = NULL;
    depot->fresh_count = 0;
    hs_store_relaxed(&depot->arena_bytes, 0);
    depot->sent_bytes = depot->asked_at_ms = 0;
    depot->seen_taken = hs_load_relaxed(&depot->taken);
}

/* What is kept of large blocks depends on how many there were lately, and what of pages on who was to give them back;
 * when either is looked at, and the heap, on a thread's count of its calls; and next fit goes on where it left off. */
static void forget_past(void)
{
    forget_depot(hs_heap_table_arena(0)->depot);
    hs_thread()->frees = 0;
    hs_thread()->slow_path_count = 0;
    hs_store_relaxed(&hs_heap_table_arena(0)->cursor_list, HS_LISTS - 1);
    hs_store_relaxed(&hs_heap_table_arena(0)->purge_due_ms, 0);
    hs_heap_large.peak_bytes = hs_heap_large.last_peak_bytes = hs_heap_large.bytes;
    hs_heap_large.seen_region_bytes = hs_load_relaxed(&hs_arena_all_region_bytes);
}

static void remember_calls(void)
{
    for (unsigned i = 0; i < HS_OS_CALL_KINDS; i++)
        calls_before[i] = hs_load_relaxed(&hs_os_calls[i]);
    purged_bytes_before = hs_load_relaxed(&hs_os_purged_bytes);
}

static void note_calls(void)
{
    for (unsigned i = 0; i < HS_OS_CALL_KINDS; i++)
        fuzz_note(hs_load_relaxed(&hs_os_calls[i]) - calls_before[i]);
    fuzz_note(hs_load_relaxed(&hs_os_purged_bytes) - purged_bytes_before);
}

void player_begin(const struct fuzz_program *program)
{
    memset(&player, 0, sizeof player);
    player.burst_left = PLAYER_BURST_BLOCKS;
    player.options = player_options_of(program);
    player_now_ms += between_programs_ms;
    forget_past();
    place_program();
    hs_options.decay_ms = decays_ms[decay_of(program)];
    for (unsigned i = 0; i < PLAYER_ARENAS; i++)
        player.arenas[i].source = (enum player_source)(program->header[1] >> (2 * i) & 3);
    set_options(player.options);
    start_cache((program->header[0] & 4) == 0);
    if (heapster_get_strategy() != (enum heapster_strategy)(program->header[0] & 3) &&
        heapster_set_strategy((enum heapster_strategy)(program->header[0] & 3)) != 0)
        fuzz_fail("set_strategy failed");
    hs_options.mmap_threshold = HS_MMAP_THRESHOLD_DEFAULT;
    remember_calls();
}

void player_play(const struct fuzz_program *program)
{
    player_begin(program);
    for (unsigned i = 0; i < program->op_count; i++) {
        player_perform(&program->ops[i]);
        if (fuzz_walks_each)
            player_check_heap(HEAPSTER_CHECK_AT_REST);
    }
    player_end();
}

static void expect_nothing_used(void)
{
    struct hs_account account = hs_arena_account(hs_heap_table_arena(0));

    if (account.used_bytes != 0 || hs_heap_large.head != NULL)
        fuzz_fail("%llu bytes are used where none is", (unsigned long long)account.used_bytes);
}

/* One as long as the quiet one, which went. */
static bool has_a_programs_region(void)
{
    for (const struct hs_region *region = hs_heap_table_arena(0)->regions; region != NULL; region = region->next)
        if (place_is_a_programs(region->base))
            return true;
    return false;
}

void player_end(void)
{
    player_check_heap(HEAPSTER_CHECK_AT_REST);
    for (unsigned i = 0; i < PLAYER_ARENAS; i++)
        if (player.arenas[i].arena != NULL)
            player_destroy_arena(i);
    for (unsigned i = 0; i < FUZZ_SLOTS; i++)
        player_release(&player.slots[i]);
    hs_options.decay_ms = UINT32_MAX;
    set_options(0);
    end_cache();
    note_calls();
    expect_nothing_used();
    if (hs_load_relaxed(&hs_arena_all_region_bytes) != quiet_region_bytes || hs_large_all_cached_bytes() != 0 ||
        has_a_programs_region())
        make_quiet();
    expect_unmapped();
}

void player_print_header(FILE *out, const struct fuzz_program *program)
{
    static const char *const strategies[] = {"first", "next", "best", "worst"};
    static const char *const decays[] = {"never", "0", "8", "64"};
    static const char *const sources[] = {"buffer", "small buffer", "hooks", "mmap"};

    (void)fprintf(out, "strategy %s, decay_ms %s, arenas on", strategies[program->header[0] & 3],
                  decays[decay_of(program)]);
    for (unsigned i = 0; i < PLAYER_ARENAS; i++)
        (void)fprintf(out, " %s", sources[program->header[1] >> (2 * i) & 3]);
    (void)fputs(", HEAPSTER_OPTIONS=", out);
    player_print_options(out, program);
    (void)fputc('\n', out);
}

void player_print_options(FILE *out, const struct fuzz_program *program)
{
    uint8_t options = player_options_of(program);

    (void)fprintf(out, "cache=%s", program->header[0] & 4 ? "off" : "on");
    if (decays_ms[decay_of(program)] == 0 || decays_ms[decay_of(program)] == UINT32_MAX)
        (void)fprintf(out, ",decay_ms=%u", (unsigned)decays_ms[decay_of(program)]);
    if ((options & PLAYER_FILL) != 0)
        (void)fputs(",fill=on", out);
    if ((options & PLAYER_HUGEPAGES) != 0)
        (void)fputs(",hugepages=on", out);
    if ((options & PLAYER_POPULATE) != 0)
        (void)fputs(",populate=on", out);
    if ((options & PLAYER_NO_LARGE_CACHE) != 0)
        (void)fputs(",large_cache=off", out);
    if ((options & PLAYER_CHECK) != 0)
        (void)fprintf(out, ",check=%d", PLAYER_CHECK_EVERY);
}
