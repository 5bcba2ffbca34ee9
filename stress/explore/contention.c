#include "contention.h"

#include "engine.h"
#include "tables.h"
#include "world.h"

enum { LOCKS_MOST = 128, LOCK_SLOTS = 1024 };

/* Who has used something, and who has written to it, a bit for each thread; and what they all held. */
struct use {
    struct lock_set held;
    uint8_t users, writers;
    uint8_t bytes; /* of a cell: which of its 8 bytes; 0: nobody has used it */
    bool is_split; /* of a cell: its bytes are used in different ways */
};

/* Of the world. Most cells are always used alike, with one and the same use for those bytes. */
static struct use *cells;
static struct use (*bytes_of)[8]; /* where a cell is split */
static uint32_t *used;            /* the indices of the cells that were used */
static size_t used_count;

static struct use fences;

static const volatile void *locks[LOCK_SLOTS]; /* by a hash of the address */
static uint8_t lock_numbers[LOCK_SLOTS];
static unsigned lock_count;
static bool has_grown;

void contention_init(void)
{
    cells = tables_map_huge(NULL, WORLD_CELLS * sizeof *cells);
    bytes_of = tables_map_huge(NULL, WORLD_CELLS * sizeof *bytes_of);
    used = tables_map_huge(NULL, WORLD_CELLS * sizeof *used);
}

void contention_forget(void)
{
    while (used_count > 0)
        cells[used[--used_count]].bytes = 0;
    for (unsigned i = 0; i < LOCK_SLOTS; i++)
        locks[i] = NULL;
    lock_count = 0;
    fences.users = 0;
    has_grown = false;
}

/* ---- locks in hand ----------------------------------------------------------------------------------------------- */

static unsigned number_of(const volatile void *lock)
{
    size_t slot = (size_t)(engine_mix(0, (uintptr_t)lock) % LOCK_SLOTS);

    while (locks[slot] != NULL && locks[slot] != lock)
        slot = (slot + 1) % LOCK_SLOTS;
    if (locks[slot] == NULL) {
        if (lock_count == LOCKS_MOST)
            return LOCKS_MOST;
        locks[slot] = lock;
        lock_numbers[slot] = (uint8_t)lock_count++;
    }
    return lock_numbers[slot];
}

void contention_hold(struct lock_set *set, const volatile void *lock)
{
    unsigned number = number_of(lock);

    if (number < LOCKS_MOST)
        set->bits[number / 64] |= UINT64_C(1) << number % 64;
}

void contention_let_go(struct lock_set *set, const volatile void *lock)
{
    unsigned number = number_of(lock);

    if (number < LOCKS_MOST)
        set->bits[number / 64] &= ~(UINT64_C(1) << number % 64);
}

/* ---- what threads contend for ------------------------------------------------------------------------------------ */

static bool is_contended(const struct use *use)
{
    return (use->users & (use->users - 1)) != 0 && use->writers != 0 && (use->held.bits[0] | use->held.bits[1]) == 0;
}

/* Whether it tells nothing new of the use. */
static bool is_known(const struct use *use, unsigned me, bool writes, const struct lock_set *held)
{
    return (use->users & me) != 0 && (!writes || (use->writers & me) != 0) &&
           ((use->held.bits[0] & ~held->bits[0]) | (use->held.bits[1] & ~held->bits[1])) == 0;
}

/* One more use, by the current thread. True where threads contend. */
static inline bool note_use(struct use *use, bool writes, const struct lock_set *held)
{
    uint8_t me = (uint8_t)(1U << execution.current);
    bool was_contended = use->users != 0 && is_contended(use);

    if (is_known(use, me, writes, held))
        return was_contended;
    if (use->users == 0) {
        use->held = *held;
        use->writers = 0;
    }
    use->held.bits[0] &= held->bits[0];
    use->held.bits[1] &= held->bits[1];
    use->users |= me;
    use->writers |= writes ? me : 0;
    if (!was_contended && is_contended(use))
        has_grown = true;
    return is_contended(use);
}

static void split(struct use *cell, struct use *bytes)
{
    for (unsigned i = 0; i < 8; i++) {
        bytes[i] = *cell;
        if (!(cell->bytes >> i & 1))
            bytes[i].users = 0;
    }
    cell->is_split = true;
}

static inline bool note_bytes(size_t index, uint8_t bytes, bool writes, const struct lock_set *held)
{
    struct use *cell = &cells[index];
    bool any = false;

    if (cell->bytes == bytes && !cell->is_split)
        return note_use(cell, writes, held);
    if (cell->bytes == 0) {
        used[used_count++] = (uint32_t)index;
        *cell = (struct use){.bytes = bytes};
    }
    if (cell->bytes != bytes && !cell->is_split)
        split(cell, bytes_of[index]);
    if (!cell->is_split)
        return note_use(cell, writes, held);
    for (unsigned left = bytes; left != 0; left &= left - 1)
        any |= note_use(&bytes_of[index][__builtin_ctz(left)], writes, held);
    return any;
}

bool contention_note(const struct operation *operation, const struct lock_set *held)
{
    unsigned first = (unsigned)((uintptr_t)operation->address & 7);

    if (operation->touch == TOUCH_ALL)
        return true;
    if (operation->touch == TOUCH_FENCE)
        return note_use(&fences, true, held);
    if (first + operation->bytes > 8)
        engine_fail("atomic access to %u bytes at %p, which are not aligned", operation->bytes,
                    (const void *)(uintptr_t)operation->address);
    return note_bytes(world_cell(operation->address), (uint8_t)(((1U << operation->bytes) - 1) << first),
                      operation->touch != TOUCH_READ, held);
}

bool contention_is_at(const volatile void *address)
{
    size_t index = world_cell(address);
    unsigned byte = (unsigned)((uintptr_t)address & 7);
    const struct use *cell = &cells[index], *use = cell->is_split ? &bytes_of[index][byte] : cell;

    if (cell->bytes == 0 || (!cell->is_split && !(cell->bytes >> byte & 1)))
        return false;
    return use->users != 0 && is_contended(use);
}

bool contention_has_grown(void)
{
    bool grown = has_grown;

    has_grown = false;
    return grown;
}

bool contention_between(const struct operation *one, const struct operation *other)
{
    uintptr_t first = (uintptr_t)one->address, second = (uintptr_t)other->address;

    if (one->touch == TOUCH_ALL || other->touch == TOUCH_ALL)
        return true;
    if (one->touch == TOUCH_FENCE || other->touch == TOUCH_FENCE)
        return one->touch == other->touch;
    if (one->touch == TOUCH_READ && other->touch == TOUCH_READ)
        return false;
    return first < second + other->bytes && second < first + one->bytes;
}
