/*
 * sync_valgrind: the atomics of the native backend, told to helgrind and drd, which see plain accesses where C11 has
 * atomics.
 *
 * An atomic object is left out of their search for races from its first access on: what may be read and written by
 * several threads at a time is the seam's to say, and ThreadSanitizer, which knows atomics, looks after it. A release
 * and the acquire that meets it order what stands before and behind them. Nothing else is annotated: mutexes and
 * threads they know, and all plain memory is theirs to compare.
 *
 * A block that is handed out is new memory (hs_atomics_forget), its tags of old times are the program's bytes.
 */
#ifndef HS_SYNC_VALGRIND_H
#define HS_SYNC_VALGRIND_H

#include <stddef.h>
/* In this order: drd.h takes over what both have. */
#include <valgrind/helgrind.h>

#include <valgrind/drd.h>

static inline void hs_atomics_ignore(const volatile void *object, size_t bytes)
{
    VALGRIND_HG_DISABLE_CHECKING(object, bytes);
    VALGRIND_DO_CLIENT_REQUEST_STMT(VG_USERREQ__DRD_START_SUPPRESSION, object, bytes, 0, 0, 0);
}

static inline void hs_atomics_forget(const void *base, size_t bytes)
{
    VALGRIND_HG_ENABLE_CHECKING(base, bytes);
    VALGRIND_DO_CLIENT_REQUEST_STMT(VG_USERREQ__DRD_FINISH_SUPPRESSION, base, bytes, 0, 0, 0);
    VALGRIND_HG_CLEAN_MEMORY(base, bytes);
}

/* What comes before a release, and what comes behind an acquire. */
static inline void hs_atomics_release(const volatile void *object)
{
    ANNOTATE_HAPPENS_BEFORE(object);
}

static inline void hs_atomics_acquire(const volatile void *object)
{
    ANNOTATE_HAPPENS_AFTER(object);
}

/* The pointer, to an object that is known to be atomic. */
#define HS_ATOMIC(pointer)                                                                                             \
    __extension__({                                                                                                    \
        __typeof__(pointer) hs_atomic_ = (pointer);                                                                    \
        hs_atomics_ignore(hs_atomic_, sizeof *hs_atomic_);                                                             \
        hs_atomic_;                                                                                                    \
    })

#define HS_ATOMIC_TO_RELEASE(pointer)                                                                                  \
    __extension__({                                                                                                    \
        __typeof__(pointer) hs_released_ = HS_ATOMIC(pointer);                                                         \
        hs_atomics_release(hs_released_);                                                                              \
        hs_released_;                                                                                                  \
    })

#define HS_ACQUIRED(pointer, operation)                                                                                \
    __extension__({                                                                                                    \
        __typeof__(pointer) hs_acquired_ = HS_ATOMIC(pointer);                                                         \
        __typeof__(operation) hs_value_ = (operation);                                                                 \
        hs_atomics_acquire(hs_acquired_);                                                                              \
        hs_value_;                                                                                                     \
    })

#define hs_load_relaxed(pointer) atomic_load_explicit(HS_ATOMIC(pointer), memory_order_relaxed)
#define hs_load_acquire(pointer) HS_ACQUIRED(pointer, atomic_load_explicit((pointer), memory_order_acquire))
#define hs_store_relaxed(pointer, value) atomic_store_explicit(HS_ATOMIC(pointer), (value), memory_order_relaxed)
#define hs_store_release(pointer, value)                                                                               \
    atomic_store_explicit(HS_ATOMIC_TO_RELEASE(pointer), (value), memory_order_release)
#define hs_add_relaxed(pointer, value) atomic_fetch_add_explicit(HS_ATOMIC(pointer), (value), memory_order_relaxed)
#define hs_or_relaxed(pointer, value) atomic_fetch_or_explicit(HS_ATOMIC(pointer), (value), memory_order_relaxed)
#define hs_and_relaxed(pointer, value) atomic_fetch_and_explicit(HS_ATOMIC(pointer), (value), memory_order_relaxed)
#define hs_exchange_acquire(pointer, value)                                                                            \
    HS_ACQUIRED(pointer, atomic_exchange_explicit((pointer), (value), memory_order_acquire))
#define hs_compare_exchange_release(pointer, expected, value)                                                          \
    atomic_compare_exchange_weak_explicit(HS_ATOMIC_TO_RELEASE(pointer), (expected), (value), memory_order_release,    \
                                          memory_order_relaxed)

#endif
