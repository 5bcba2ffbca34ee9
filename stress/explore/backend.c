/*
 * backend: the operations of the seam, as the explored library calls them (sync_explored.h).
 */
#include <stdio.h>
#include <string.h>

#include "build.h"
#include "engine.h"
#include "explored.h"
#include "heap.h"
#include "memory.h"
#include "order.h"
#include "pairs.h"
#include "races.h"
#include "search.h"
#include "world.h"

/* What the library has registered at its start. Set again where that start is executed again. */
static void (*fork_handlers[3])(void);
static void (*destructors[THREAD_KEYS])(void *);
static unsigned key_count;

/* No variable of the world: a constant of the library, of which everybody reads the same, or what stands on the stack
 * of a thread (or where AddressSanitizer put it instead), of which nobody else knows. */
static bool is_private(const volatile void *address)
{
    return !world_holds(address);
}

static void expect_mapped(const volatile void *address)
{
    if (is_private(address) || !world_is_mapped(address))
        engine_fail("access to %p, an atomic or a mutex, which the process does not have",
                    (const void *)(uintptr_t)address);
}

/* ---- atomics ----------------------------------------------------------------------------------------------------- */

struct operand {
    enum hs_explore_update update;
    uint64_t operand, mask;
};

static bool apply(uint64_t found, uint64_t *value, const void *context)
{
    const struct operand *operand = context;

    switch (operand->update) {
    case HS_EXPLORE_ADD:
        (void)__builtin_add_overflow(found, operand->operand, value); /* wraps around, as the field does */
        *value &= operand->mask;
        break;
    case HS_EXPLORE_OR:
        *value = found | operand->operand;
        break;
    case HS_EXPLORE_AND:
        *value = found & operand->operand;
        break;
    default:
        *value = operand->operand;
        break;
    }
    return true;
}

struct exchange {
    uint64_t expected, desired;
};

static bool exchange(uint64_t found, uint64_t *value, const void *context)
{
    const struct exchange *exchange = context;

    *value = exchange->desired;
    return found == exchange->expected;
}

uint64_t hs_explore_load(const volatile void *address, size_t bytes, enum hs_explore_order order)
{
    if (execution.is_quiet || is_private(address))
        return memory_read_quietly(address, bytes);
    expect_mapped(address);
    engine_point(TOUCH_READ, address, bytes);
    if (execution.is_rehearsal)
        return memory_read_quietly(address, bytes);
    return memory_load(address, bytes, order == HS_EXPLORE_ACQUIRE, __builtin_return_address(0));
}

void hs_explore_store(volatile void *address, size_t bytes, uint64_t value, enum hs_explore_order order)
{
    if (execution.is_quiet || is_private(address)) {
        memory_write_quietly(address, bytes, value);
        return;
    }
    expect_mapped(address);
    engine_point(TOUCH_WRITE, address, bytes);
    if (execution.is_rehearsal) {
        memory_write_quietly(address, bytes, value);
        return;
    }
    memory_store(address, bytes, value, order == HS_EXPLORE_RELEASE, __builtin_return_address(0));
}

uint64_t hs_explore_update(volatile void *address, size_t bytes, enum hs_explore_update update, uint64_t operand,
                           enum hs_explore_order order)
{
    const struct operand how = {update, operand, bytes < 8 ? (UINT64_C(1) << bytes * 8) - 1 : UINT64_MAX};
    uint64_t found, value;

    if (!execution.is_quiet) {
        expect_mapped(address);
        engine_point(TOUCH_WRITE, address, bytes);
    }
    if (engine_is_unwatched()) {
        found = memory_read_quietly(address, bytes);
        (void)apply(found, &value, &how);
        memory_write_quietly(address, bytes, value);
        return found;
    }
    return memory_update(address, bytes, apply, &how, order == HS_EXPLORE_ACQUIRE, order == HS_EXPLORE_RELEASE,
                         __builtin_return_address(0));
}

bool hs_explore_compare_exchange(volatile void *address, size_t bytes, uint64_t *expected, uint64_t value)
{
    const struct exchange how = {*expected, value};
    bool done;

    if (!execution.is_quiet) {
        expect_mapped(address);
        engine_point(TOUCH_WRITE, address, bytes);
    }
    if (engine_is_unwatched()) {
        *expected = memory_read_quietly(address, bytes);
        if (*expected == how.expected)
            memory_write_quietly(address, bytes, value);
        return *expected == how.expected;
    }
    *expected = memory_update(address, bytes, exchange, &how, false, true, __builtin_return_address(0));
    done = *expected == how.expected;
    return done;
}

void hs_explore_fence(void)
{
    if (execution.is_quiet)
        return;
    engine_point(TOUCH_FENCE, NULL, 0);
    memory_fence(__builtin_return_address(0));
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

struct hs_thread *hs_explore_thread(void)
{
    return &engine_self()->self;
}

bool hs_thread_key_create(hs_thread_key *key, void (*destructor)(void *))
{
    /* The same key where the library's start is executed again. */
    for (*key = 0; *key < key_count; ++*key)
        if (destructors[*key] == destructor)
            return true;
    if (key_count == THREAD_KEYS)
        return false;
    destructors[key_count++] = destructor;
    return true;
}

bool hs_thread_key_set(hs_thread_key key, const void *value)
{
    engine_self()->key_value[key] = value;
    return true;
}

void backend_run_destructor(unsigned key, const void *value)
{
    destructors[key]((void *)(uintptr_t)value);
}

void hs_fork_handlers(void (*prepare)(void), void (*in_parent)(void), void (*in_child)(void))
{
    fork_handlers[FORK_PREPARE] = prepare;
    fork_handlers[FORK_PARENT] = in_parent;
    fork_handlers[FORK_CHILD] = in_child;
}

void backend_run_fork_handler(enum fork_handler which)
{
    fork_handlers[which]();
}

bool backend_call_fails(const volatile void *variable, bool gives_back)
{
    bool fails;

    if (execution.is_quiet)
        return false;
    engine_point(gives_back ? TOUCH_ALL : TOUCH_WRITE, variable, 1);
    memory_drain();
    fails = search_choose(CHOICE_FAULT, 2) != 0;
    execution.faults += fails;
    execution.last_call = engine_event(EVENT_OS, variable, fails, 0, execution.last_call, __builtin_return_address(0));
    return fails;
}

void backend_memory_goes(const volatile void *base, size_t bytes)
{
    if (!engine_is_unwatched())
        races_expect_unused(base, bytes, __builtin_return_address(0));
}

void backend_yield(void)
{
    if (execution.is_quiet)
        return;
    engine_point(TOUCH_ALL, NULL, 0);
    (void)engine_event(EVENT_YIELD, NULL, 0, 0, 0, __builtin_return_address(0));
    execution.yielded |= (uint8_t)(1U << execution.current);
    engine_wait();
}

/* ---- mutexes ----------------------------------------------------------------------------------------------------- */

void hs_mutex_init_unlocked(struct hs_mutex *mutex, uint32_t rank)
{
    world_note_write(mutex, sizeof *mutex);
    explore_zero(mutex, sizeof *mutex);
    mutex->rank = rank;
    races_make_new(mutex, sizeof *mutex);
}

/* The counters and the holder that the seam keeps for statistics; no event of their own. */
static void note_holder(struct hs_mutex *mutex, const struct hs_thread *holder)
{
    world_note_write(mutex, sizeof *mutex);
    atomic_store_explicit(&mutex->holder, holder, memory_order_relaxed);
    if (holder != NULL)
        atomic_store_explicit(&mutex->acquired, atomic_load_explicit(&mutex->acquired, memory_order_relaxed) + 1,
                              memory_order_relaxed);
}

int backend_holder_of(const struct hs_mutex *mutex)
{
    return memory_handover(mutex)->holder;
}

static void take(struct hs_mutex *mutex, struct handover *handover, const void *place)
{
    struct thread *self = engine_self();

    if (handover->let_go != NULL && handover->last_holder != (int)execution.current)
        pairs_note(handover->let_go, place);
    handover->holder = (int)execution.current;
    execution.locks_held++;
    contention_hold(&self->locks, mutex);
    memory_drain();
    order_acquire(mutex);
    knowledge_join(&self->knows, &handover->knowledge);
    handover->event = engine_event(EVENT_LOCK, mutex, 0, 0, handover->event, place);
    note_holder(mutex, &self->self);
}

void hs_mutex_lock_unranked(struct hs_mutex *mutex)
{
    struct handover *handover;

    if (execution.is_quiet) {
        note_holder(mutex, &engine_self()->self);
        return;
    }
    expect_mapped(mutex);
    engine_point(TOUCH_LOCK, mutex, 1);
    handover = memory_handover(mutex);
    if (handover->holder >= 0)
        engine_note_block(EVENT_WAIT, "", mutex, __builtin_return_address(0));
    while (handover->holder >= 0) {
        engine_self()->state = THREAD_WAITING;
        engine_self()->waits_for = mutex;
        engine_wait();
    }
    take(mutex, handover, __builtin_return_address(0));
}

bool hs_mutex_try_lock_unranked(struct hs_mutex *mutex)
{
    struct handover *handover;

    if (execution.is_quiet) {
        note_holder(mutex, &engine_self()->self);
        return true;
    }
    expect_mapped(mutex);
    engine_point(TOUCH_WRITE, mutex, 1);
    handover = memory_handover(mutex);
    if (handover->holder >= 0) {
        (void)engine_event(EVENT_TRY_FAILED, mutex, 0, 0, handover->event, __builtin_return_address(0));
        return false;
    }
    take(mutex, handover, __builtin_return_address(0));
    return true;
}

void hs_mutex_unlock_unranked(struct hs_mutex *mutex)
{
    struct thread *self = engine_self();
    struct handover *handover;

    if (execution.is_quiet) {
        note_holder(mutex, NULL);
        return;
    }
    expect_mapped(mutex);
    /* Before it is let go: where somebody tries and does not wait, that is a difference. */
    engine_point(TOUCH_WRITE, mutex, 1);
    handover = memory_handover(mutex);
    if (handover->holder != (int)execution.current)
        engine_fail("a thread unlocks what it does not hold");
    memory_drain();
    note_holder(mutex, NULL);
    handover->last_holder = handover->holder;
    handover->let_go = __builtin_return_address(0);
    handover->holder = -1;
    execution.locks_held--;
    contention_let_go(&self->locks, mutex);
    order_release(mutex);
    knowledge_join(&handover->knowledge, &self->knows);
    handover->event = engine_event(EVENT_UNLOCK, mutex, 0, 0, handover->event, __builtin_return_address(0));
    self->knows.before.at[execution.current]++;
    self->knows.seen.at[execution.current]++;
    for (unsigned i = 0; i < execution.thread_count; i++) {
        struct thread *thread = &execution.threads[i];

        if (thread->state == THREAD_WAITING && thread->waits_for == mutex)
            thread->state = THREAD_RUNNABLE;
    }
}

void hs_rank_push(const struct hs_mutex *mutex)
{
    struct thread *self = engine_self();

    if (execution.is_quiet)
        return;
    for (unsigned i = 0; i < self->held_count; i++)
        if (self->held[i]->rank >= mutex->rank)
            engine_fail("lock order: a lock of rank %u is taken while one of rank %u is held", mutex->rank,
                        self->held[i]->rank);
    if (self->held_count == LOCKS_HELD_MOST)
        engine_fail("lock order: more than %d locks are held", (int)LOCKS_HELD_MOST);
    self->held[self->held_count++] = mutex;
}

void hs_rank_pop(const struct hs_mutex *mutex)
{
    struct thread *self = engine_self();

    if (execution.is_quiet)
        return;
    for (unsigned i = self->held_count; i > 0; i--) {
        if (self->held[i - 1] == mutex) {
            self->held[i - 1] = self->held[--self->held_count];
            return;
        }
    }
    engine_fail("lock order: a lock is let go that was not taken in order");
}

bool hs_rank_holds(const struct hs_mutex *mutex)
{
    const struct thread *self = engine_self();

    return execution.is_quiet || self->self.owns_every_lock ||
           atomic_load_explicit(&mutex->holder, memory_order_relaxed) == &self->self;
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

struct look {
    const struct hs_mutex *mutex;
    struct hs_text *name;
};

static void name_if_it_is(const struct hs_lock *lock, void *context)
{
    const struct look *look = context;

    if (lock->mutex == look->mutex)
        hs_heap_lock_name(lock, look->name);
}

void backend_name_lock(const struct hs_mutex *mutex, char *name, size_t bytes)
{
    struct hs_text text;
    struct look look = {mutex, &text};
    bool was_quiet = execution.is_quiet;

    hs_text_clear(&text);
    execution.is_quiet = true;
    hs_heap_for_each_lock(name_if_it_is, &look);
    execution.is_quiet = was_quiet;
    if (text.length == 0)
        (void)snprintf(name, bytes, "lock %#llx", (unsigned long long)world_name(mutex));
    else
        (void)snprintf(name, bytes, "%s", text.bytes);
}
