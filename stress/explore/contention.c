#include "contention.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "engine.h"
#include "world.h"

enum { LOCKS_MOST = 128, LOCK_SLOTS = 1024 };

/* Of a byte: who has used it, and who has written to it, a bit for each thread; and what they all held. */
static uint8_t *users, *writers;
static struct lock_set *held_by_all;
static size_t *used; /* the indices of the bytes that were used */
static size_t used_count;

static uint8_t fencers;
static struct lock_set held_at_fences;

static const volatile void *locks[LOCK_SLOTS]; /* by a hash of the address */
static uint8_t lock_numbers[LOCK_SLOTS];
static unsigned lock_count;
static bool has_grown;

static void *map_or_die(size_t bytes)
{
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (base == MAP_FAILED) {
        (void)fputs("heapster-explore: no memory for what threads share\n", stderr);
        exit(2);
    }
    return base;
}

void contention_init(void)
{
    users = map_or_die(world_cells * 8);
    writers = map_or_die(world_cells * 8);
    held_by_all = map_or_die(world_cells * 8 * sizeof *held_by_all);
    used = map_or_die(world_cells * 8 * sizeof *used);
}

void contention_forget(void)
{
    while (used_count > 0) {
        used_count--;
        users[used[used_count]] = writers[used[used_count]] = 0;
    }
    for (unsigned i = 0; i < LOCK_SLOTS; i++)
        locks[i] = NULL;
    lock_count = 0;
    fencers = 0;
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

static bool is_contended(uint8_t by, uint8_t written_by, const struct lock_set *with)
{
    return (by & (by - 1)) != 0 && written_by != 0 && (with->bits[0] | with->bits[1]) == 0;
}

/* The set of locks that all had, with one more who had these. */
static void note_held(struct lock_set *by_all, bool is_first, const struct lock_set *held)
{
    if (is_first) {
        *by_all = *held;
        return;
    }
    by_all->bits[0] &= held->bits[0];
    by_all->bits[1] &= held->bits[1];
}

static bool is_contended_at(size_t index)
{
    return is_contended(users[index], writers[index], &held_by_all[index]);
}

static bool note_byte(size_t index, bool writes, const struct lock_set *held)
{
    bool was_contended = users[index] != 0 && is_contended_at(index);
    uint8_t me = (uint8_t)(1U << execution.current);

    if (users[index] == 0)
        used[used_count++] = index;
    note_held(&held_by_all[index], users[index] == 0, held);
    users[index] |= me;
    writers[index] |= writes ? me : 0;
    if (!was_contended && is_contended_at(index))
        has_grown = true;
    return is_contended_at(index);
}

static bool note_fence(const struct lock_set *held)
{
    bool was_contended = fencers != 0 && is_contended(fencers, fencers, &held_at_fences);

    note_held(&held_at_fences, fencers == 0, held);
    fencers |= (uint8_t)(1U << execution.current);
    if (!was_contended && is_contended(fencers, fencers, &held_at_fences))
        has_grown = true;
    return is_contended(fencers, fencers, &held_at_fences);
}

static size_t index_of(const volatile void *address)
{
    return world_cell(address) * 8 + ((uintptr_t)address & 7);
}

bool contention_note(const struct operation *operation, const struct lock_set *held)
{
    bool needs_point = false;
    size_t first;

    if (operation->touch == TOUCH_ALL)
        return true;
    if (operation->touch == TOUCH_FENCE)
        return note_fence(held);
    first = index_of(operation->address);
    for (unsigned i = 0; i < operation->bytes; i++)
        needs_point |= note_byte(first + i, operation->touch != TOUCH_READ, held);
    return needs_point;
}

bool contention_is_at(const volatile void *address)
{
    size_t index = index_of(address);

    return users[index] != 0 && is_contended_at(index);
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
