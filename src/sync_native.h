/*
 * sync_native: the backend of the seam (sync.h) that programs run on: pthreads and C11 atomics, inline. With HS_ALONE,
 * for a process of one thread, the mutexes are those of sync_alone.h.
 *
 * The other backend turns each of these operations into a scheduling point of the explorer (stress/explore). Both
 * define the same names; sync.h includes one of them.
 */
#ifndef HS_SYNC_NATIVE_H
#define HS_SYNC_NATIVE_H

/* ---- atomics ----------------------------------------------------------------------------------------------------- */

#if defined(HS_VALGRIND)
#include "sync_valgrind.h"
#else
#define hs_load_relaxed(pointer) atomic_load_explicit((pointer), memory_order_relaxed)
#define hs_load_acquire(pointer) atomic_load_explicit((pointer), memory_order_acquire)
#define hs_store_relaxed(pointer, value) atomic_store_explicit((pointer), (value), memory_order_relaxed)
#define hs_store_release(pointer, value) atomic_store_explicit((pointer), (value), memory_order_release)
#define hs_add_relaxed(pointer, value) atomic_fetch_add_explicit((pointer), (value), memory_order_relaxed)
#define hs_or_relaxed(pointer, value) atomic_fetch_or_explicit((pointer), (value), memory_order_relaxed)
#define hs_exchange_acquire(pointer, value) atomic_exchange_explicit((pointer), (value), memory_order_acquire)
/* True where `*expected` was there and `value` took its place; otherwise `*expected` is what was found. */
#define hs_compare_exchange_release(pointer, expected, value)                                                          \
    atomic_compare_exchange_weak_explicit((pointer), (expected), (value), memory_order_release, memory_order_relaxed)
#define hs_and_relaxed(pointer, value) atomic_fetch_and_explicit((pointer), (value), memory_order_relaxed)
#endif

#if defined(HS_THREAD_SANITIZER)
#include <sanitizer/tsan_interface.h>

/* Stands for the address space of the process; has no value. */
extern char hs_addresses;

/* ThreadSanitizer has no model of fences. The one fence of the allocator orders a store before a load and hands no
 * data over, so a locked instruction on a variable of no meaning stands in for it. */
static inline void hs_fence_seq_cst(void)
{
    _Atomic int nothing = 0;
    (void)atomic_exchange_explicit(&nothing, 1, memory_order_seq_cst);
}

/* Nor does it know of mremap: a mapping may come to lie where another thread's lay, and the kernel's own lock, which
 * orders the two, is not seen. Called before addresses are given back, and after mremap may have found such. */
static inline void hs_addresses_leave(void)
{
    __tsan_release(&hs_addresses);
}

static inline void hs_addresses_arrived(void)
{
    __tsan_acquire(&hs_addresses);
}
#else
static inline void hs_fence_seq_cst(void)
{
    atomic_thread_fence(memory_order_seq_cst);
}

static inline void hs_addresses_leave(void)
{
}

static inline void hs_addresses_arrived(void)
{
}
#endif

/* ---- the calling thread ------------------------------------------------------------------------------------------ */

/* Initial-exec, since the first access may come before the dynamic linker can allocate thread-local memory. */
extern _Thread_local struct hs_thread hs_thread_self __attribute__((tls_model("initial-exec")));

#if defined(HS_GCC_NULL_CHECKS)
/* gcc's check for null tests the flags of the addition that makes the address, and the linker replaces that by a lea,
 * which sets none: it would report at random. Out of a register, the address is tested by an instruction of its own. */
static inline struct hs_thread *hs_thread(void)
{
    struct hs_thread *self = &hs_thread_self;

    __asm__("" : "+r"(self));
    return self;
}
#else
static inline struct hs_thread *hs_thread(void)
{
    return &hs_thread_self;
}
#endif

/* A destructor of threads that set a value to the key, which is the calling thread's own. False where libc has no more
 * keys, or no memory. */
typedef pthread_key_t hs_thread_key;

static inline bool hs_thread_key_create(hs_thread_key *key, void (*destructor)(void *))
{
    return pthread_key_create(key, destructor) == 0;
}

static inline bool hs_thread_key_set(hs_thread_key key, const void *value)
{
    return pthread_setspecific(key, value) == 0;
}

static inline void hs_fork_handlers(void (*prepare)(void), void (*in_parent)(void), void (*in_child)(void))
{
    (void)pthread_atfork(prepare, in_parent, in_child);
}

/* Functions that run when a process has loaded the library, and at its end. */
#define HS_AT_LOAD __attribute__((constructor))
#define HS_AT_UNLOAD __attribute__((destructor))

/* ---- mutexes ----------------------------------------------------------------------------------------------------- */

/* Takes a mutex that was found taken; the rare half of hs_mutex_lock. */
void hs_mutex_wait(struct hs_mutex *mutex);

static inline void hs_mutex_note_holder(struct hs_mutex *mutex)
{
    hs_store_relaxed(&mutex->acquired, hs_load_relaxed(&mutex->acquired) + 1);
    hs_store_relaxed(&mutex->holder, hs_thread());
}

#if defined(HS_ALONE)
#include "sync_alone.h"
#else

/* Three without ranks: for fork, which holds the locks of all arenas together, for the lists of one arena, of which the
 * last has the rank of all (arena.c), and for who looks at the heap from where it may hold anything, and never waits.
 */
static inline void hs_mutex_lock_unranked(struct hs_mutex *mutex) HS_NO_ANALYSIS
{
    if (HS_UNLIKELY(pthread_mutex_trylock(&mutex->native) != 0))
        hs_mutex_wait(mutex);
    hs_mutex_note_holder(mutex);
}

static inline bool hs_mutex_try_lock_unranked(struct hs_mutex *mutex) HS_NO_ANALYSIS
{
    if (pthread_mutex_trylock(&mutex->native) != 0)
        return false;
    hs_mutex_note_holder(mutex);
    return true;
}

static inline void hs_mutex_unlock_unranked(struct hs_mutex *mutex) HS_NO_ANALYSIS
{
    hs_store_relaxed(&mutex->holder, NULL);
    (void)pthread_mutex_unlock(&mutex->native);
}

#endif

#endif
