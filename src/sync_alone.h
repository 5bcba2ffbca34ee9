/*
 * sync_alone: the mutexes of the seam (sync.h) where a process has one thread, as fuzzers have: who holds one is
 * all there is of it. What is native costs a quarter of a fuzzer's time, a half with the walker after every operation.
 *
 * More is seen than by native ones: a thread that takes what it holds would wait for ever, and one that gives back what
 * it does not hold would go on. Here either ends in a trap.
 */
#ifndef HS_SYNC_ALONE_H
#define HS_SYNC_ALONE_H

static inline void hs_mutex_lock_unranked(struct hs_mutex *mutex) HS_NO_ANALYSIS
{
    if (hs_load_relaxed(&mutex->holder) != NULL)
        __builtin_trap();
    hs_mutex_note_holder(mutex);
}

static inline bool hs_mutex_try_lock_unranked(struct hs_mutex *mutex) HS_NO_ANALYSIS
{
    if (hs_load_relaxed(&mutex->holder) != NULL)
        return false;
    hs_mutex_note_holder(mutex);
    return true;
}

static inline void hs_mutex_unlock_unranked(struct hs_mutex *mutex) HS_NO_ANALYSIS
{
    if (hs_load_relaxed(&mutex->holder) != hs_thread())
        __builtin_trap();
    hs_store_relaxed(&mutex->holder, NULL);
}

#endif
