#include "heapster_locks.h"

#include "heap.h"

enum { NUMBERS = HS_ARENA_FIRST_CLASS + 1 };

struct sums {
    uint64_t acquired, contended;
    bool exists;
};

/* Relaxed throughout: a count, or a holder, that is a moment old is as good. */
static void add_counters(const struct hs_lock *lock, void *context)
{
    unsigned number = lock->arena != NULL ? lock->arena->number : HS_ARENA_LARGE;
    struct sums *sums = context;

    if (lock->mutex->rank == HS_RANK_LARGE)
        number = HS_ARENA_LARGE;
    else if (lock->arena == NULL)
        return;
    sums[number].exists = true;
    sums[number].acquired += hs_load_relaxed(&lock->mutex->acquired);
    sums[number].contended += hs_load_relaxed(&lock->mutex->contended);
}

unsigned kit_heapster_contention(void *context, struct kit_contention *out, unsigned room)
{
    struct sums sums[NUMBERS] = {{0}};
    unsigned count = 0;

    (void)context;
    hs_heap_for_each_lock(add_counters, sums);
    for (unsigned i = 0; i < NUMBERS && count < room; i++)
        if (sums[i].exists)
            out[count++] = (struct kit_contention){i, sums[i].acquired, sums[i].contended};
    return count;
}

const void *kit_heapster_self(void *context)
{
    (void)context;
    return hs_thread();
}

struct look {
    kit_held_lock *visit;
    void *argument;
};

static void visit_held(const struct hs_lock *lock, void *context)
{
    const struct hs_thread *holder = hs_load_relaxed(&lock->mutex->holder);
    const struct look *look = context;
    struct hs_text name;

    if (holder == NULL)
        return;
    hs_text_clear(&name);
    hs_heap_lock_name(lock, &name);
    look->visit(name.bytes, holder, look->argument);
}

void kit_heapster_held_locks(void *context, kit_held_lock *visit, void *argument)
{
    struct look look = {visit, argument};

    (void)context;
    hs_heap_for_each_lock(visit_held, &look);
}
