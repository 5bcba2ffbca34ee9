#include "sync.h"

extern const struct hs_cache hs_cache_none HS_INTERNAL;

_Thread_local struct hs_thread hs_thread_self = {.cache = (struct hs_cache *)&hs_cache_none};

#if defined(HS_THREAD_SANITIZER)
char hs_addresses;
#endif

void hs_mutex_init_unlocked(struct hs_mutex *mutex, uint32_t rank)
{
    mutex->native = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    mutex->rank = rank;
    /* Relaxed: nobody else knows the mutex yet. */
    hs_store_relaxed(&mutex->acquired, 0);
    hs_store_relaxed(&mutex->contended, 0);
    hs_store_relaxed(&mutex->holder, NULL);
}

void hs_mutex_wait(struct hs_mutex *mutex)
{
    (void)pthread_mutex_lock(&mutex->native);
    hs_store_relaxed(&mutex->contended, hs_load_relaxed(&mutex->contended) + 1);
}

#if defined(HS_CHECK_RANKS)

/* Eleven kinds of locks, of which lists alone are held together: two, or all of an arena as one (arena.c). */
enum { HELD_MAX = 16 };

/* By rank, the highest last, since only what is above all others may be taken. */
static _Thread_local struct {
    const struct hs_mutex *mutex[HELD_MAX];
    unsigned count;
} held __attribute__((tls_model("initial-exec")));

void hs_rank_push(const struct hs_mutex *mutex)
{
    if (held.count == HELD_MAX || (held.count > 0 && held.mutex[held.count - 1]->rank >= mutex->rank))
        __builtin_trap();
    held.mutex[held.count++] = mutex;
}

void hs_rank_pop(const struct hs_mutex *mutex)
{
    unsigned at = held.count;

    while (at > 0 && held.mutex[at - 1] != mutex)
        at--;
    if (at == 0)
        __builtin_trap();
    for (held.count--; at <= held.count; at++)
        held.mutex[at - 1] = held.mutex[at];
}

bool hs_rank_holds(const struct hs_mutex *mutex)
{
    if (hs_thread()->owns_every_lock)
        return true;
    return hs_load_relaxed(&mutex->holder) == hs_thread(); /* relaxed: only this thread writes its own name there */
}

#endif
