/*
 * sync_explored: the backend of the seam (src/sync.h) for the explorer: each operation is a call that may hand the
 * processor to another fiber, and that decides by a memory model what a load returns.
 *
 * The allocator is compiled a second time for it, into a library of its own; the functions here are the explorer's
 * (backend.c, memory.c). Plain reads and writes come from the compiler, which is asked for the calls that
 * ThreadSanitizer's run-time would serve (plain.c). Where an operation stands is known by its return address.
 */
#ifndef SYNC_EXPLORED_H
#define SYNC_EXPLORED_H

/* ---- atomics ----------------------------------------------------------------------------------------------------- */

enum hs_explore_order { HS_EXPLORE_RELAXED, HS_EXPLORE_ACQUIRE, HS_EXPLORE_RELEASE };
enum hs_explore_update { HS_EXPLORE_ADD, HS_EXPLORE_OR, HS_EXPLORE_AND, HS_EXPLORE_EXCHANGE };

uint64_t hs_explore_load(const volatile void *address, size_t bytes, enum hs_explore_order order);
void hs_explore_store(volatile void *address, size_t bytes, uint64_t value, enum hs_explore_order order);
/* Returns what was there. */
uint64_t hs_explore_update(volatile void *address, size_t bytes, enum hs_explore_update update, uint64_t operand,
                           enum hs_explore_order order);
bool hs_explore_compare_exchange(volatile void *address, size_t bytes, uint64_t *expected, uint64_t value);
void hs_explore_fence(void);

/* A value of the type that `pointer` leads to, without its qualifiers, and the bits that the explorer knows. */
#define HS_EXPLORED(pointer)                                                                                           \
    union {                                                                                                            \
        uint64_t bits;                                                                                                 \
        __typeof__(atomic_load_explicit((pointer), memory_order_relaxed)) value;                                       \
    }
#define HS_EXPLORED_LOAD(pointer, order)                                                                               \
    __extension__({                                                                                                    \
        HS_EXPLORED(pointer) loaded_;                                                                                  \
        loaded_.bits = hs_explore_load((pointer), sizeof *(pointer), (order));                                         \
        loaded_.value;                                                                                                 \
    })
#define HS_EXPLORED_STORE(pointer, stored, order)                                                                      \
    __extension__({                                                                                                    \
        HS_EXPLORED(pointer) stored_ = {.bits = 0};                                                                    \
        stored_.value = (stored);                                                                                      \
        hs_explore_store((pointer), sizeof *(pointer), stored_.bits, (order));                                         \
    })
#define HS_EXPLORED_UPDATE(pointer, update, operand, order)                                                            \
    __extension__({                                                                                                    \
        HS_EXPLORED(pointer) operand_ = {.bits = 0}, found_;                                                           \
        operand_.value = (__typeof__(operand_.value))(operand);                                                        \
        found_.bits = hs_explore_update((pointer), sizeof *(pointer), (update), operand_.bits, (order));               \
        found_.value;                                                                                                  \
    })

#define hs_load_relaxed(pointer) HS_EXPLORED_LOAD(pointer, HS_EXPLORE_RELAXED)
#define hs_load_acquire(pointer) HS_EXPLORED_LOAD(pointer, HS_EXPLORE_ACQUIRE)
#define hs_store_relaxed(pointer, value) HS_EXPLORED_STORE(pointer, value, HS_EXPLORE_RELAXED)
#define hs_store_release(pointer, value) HS_EXPLORED_STORE(pointer, value, HS_EXPLORE_RELEASE)
#define hs_add_relaxed(pointer, value) HS_EXPLORED_UPDATE(pointer, HS_EXPLORE_ADD, value, HS_EXPLORE_RELAXED)
#define hs_or_relaxed(pointer, value) HS_EXPLORED_UPDATE(pointer, HS_EXPLORE_OR, value, HS_EXPLORE_RELAXED)
#define hs_and_relaxed(pointer, value) HS_EXPLORED_UPDATE(pointer, HS_EXPLORE_AND, value, HS_EXPLORE_RELAXED)
#define hs_exchange_acquire(pointer, value) HS_EXPLORED_UPDATE(pointer, HS_EXPLORE_EXCHANGE, value, HS_EXPLORE_ACQUIRE)
#define hs_compare_exchange_release(pointer, expected, desired)                                                        \
    __extension__({                                                                                                    \
        HS_EXPLORED(pointer) expected_ = {.bits = 0}, desired_ = {.bits = 0};                                          \
        bool done_;                                                                                                    \
        expected_.value = *(expected);                                                                                 \
        desired_.value = (desired);                                                                                    \
        done_ = hs_explore_compare_exchange((pointer), sizeof *(pointer), &expected_.bits, desired_.bits);             \
        *(expected) = expected_.value;                                                                                 \
        done_;                                                                                                         \
    })

static inline void hs_fence_seq_cst(void)
{
    hs_explore_fence();
}

/* The explorer's own operating system knows who had which addresses. */
static inline void hs_addresses_leave(void)
{
}

static inline void hs_addresses_arrived(void)
{
}

/* ---- the calling thread ------------------------------------------------------------------------------------------ */

struct hs_thread *hs_explore_thread(void);

static inline struct hs_thread *hs_thread(void)
{
    return hs_explore_thread();
}

typedef unsigned hs_thread_key;
bool hs_thread_key_create(hs_thread_key *key, void (*destructor)(void *));
bool hs_thread_key_set(hs_thread_key key, const void *value);
void hs_fork_handlers(void (*prepare)(void), void (*in_parent)(void), void (*in_child)(void));

/* The explored process begins with a scenario's first call. */
#define HS_AT_LOAD __attribute__((unused))
#define HS_AT_UNLOAD __attribute__((unused))

/* ---- mutexes ----------------------------------------------------------------------------------------------------- */

void hs_mutex_lock_unranked(struct hs_mutex *mutex);
bool hs_mutex_try_lock_unranked(struct hs_mutex *mutex);
void hs_mutex_unlock_unranked(struct hs_mutex *mutex);

#endif
