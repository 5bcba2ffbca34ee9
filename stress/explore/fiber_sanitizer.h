/*
 * fiber_sanitizer: what AddressSanitizer, ThreadSanitizer and Valgrind are told of fibers; nothing where there is none
 * of them.
 */
#ifndef EXPLORE_FIBER_SANITIZER_H
#define EXPLORE_FIBER_SANITIZER_H

#include <stddef.h>

#include "build.h"

#if EXPLORE_HAS_THREAD_SANITIZER

#include <sanitizer/tsan_interface.h>

struct fiber_shadow {
    void *fiber;
    char is_own; /* was made here, and is to be destroyed */
};

static inline void fiber_shadow_adopt(struct fiber_shadow *shadow)
{
    shadow->fiber = __tsan_get_current_fiber();
}

static inline void fiber_shadow_join(struct fiber_shadow *shadow)
{
    void *self = __tsan_get_current_fiber();

    if (!shadow->is_own || shadow->fiber == self)
        return;
    __tsan_switch_to_fiber(shadow->fiber, __tsan_switch_to_fiber_no_sync);
    __tsan_release(shadow);
    __tsan_switch_to_fiber(self, __tsan_switch_to_fiber_no_sync);
    __tsan_acquire(shadow);
}

static inline void fiber_shadow_restart(struct fiber_shadow *shadow, const char *stack, size_t bytes)
{
    (void)stack;
    (void)bytes;
    fiber_shadow_join(shadow);
    if (shadow->is_own)
        __tsan_destroy_fiber(shadow->fiber);
    shadow->fiber = __tsan_create_fiber(0);
    shadow->is_own = 1;
}

static inline void fiber_shadow_leave(struct fiber_shadow *from, struct fiber_shadow *to)
{
    (void)from;
    __tsan_switch_to_fiber(to->fiber, __tsan_switch_to_fiber_no_sync);
}

static inline void fiber_shadow_arrived(struct fiber_shadow *shadow)
{
    (void)shadow;
}

#elif EXPLORE_HAS_ADDRESS_SANITIZER

#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

struct fiber_shadow {
    void *fake_stack;
    const void *stack;
    size_t bytes;
};

/* Who was left last: its stack is learned on arrival elsewhere. */
static struct fiber_shadow *fiber_shadow_left;

static inline void fiber_shadow_adopt(struct fiber_shadow *shadow)
{
    (void)shadow;
}

static inline void fiber_shadow_join(struct fiber_shadow *shadow)
{
    (void)shadow;
}

static inline void fiber_shadow_restart(struct fiber_shadow *shadow, const char *stack, size_t bytes)
{
    /* Frames that never returned have left their red zones. */
    __asan_unpoison_memory_region(stack, bytes);
    shadow->fake_stack = NULL;
    shadow->stack = stack;
    shadow->bytes = bytes;
}

static inline void fiber_shadow_leave(struct fiber_shadow *from, struct fiber_shadow *to)
{
    fiber_shadow_left = from;
    __sanitizer_start_switch_fiber(&from->fake_stack, to->stack, to->bytes);
}

static inline void fiber_shadow_arrived(struct fiber_shadow *shadow)
{
    __sanitizer_finish_switch_fiber(shadow->fake_stack, &fiber_shadow_left->stack, &fiber_shadow_left->bytes);
}

#else

#if EXPLORE_HAS_VALGRIND
#include <valgrind/memcheck.h>
#else
#define VALGRIND_STACK_REGISTER(first, last) ((void)(first), (void)(last))
#define VALGRIND_MAKE_MEM_UNDEFINED(address, bytes) ((void)(address), (void)(bytes))
#endif

struct fiber_shadow {
    char is_known; /* its stack is, as one to switch to */
};

static inline void fiber_shadow_adopt(struct fiber_shadow *shadow)
{
    (void)shadow;
}

static inline void fiber_shadow_join(struct fiber_shadow *shadow)
{
    (void)shadow;
}

static inline void fiber_shadow_restart(struct fiber_shadow *shadow, const char *stack, size_t bytes)
{
    if (!shadow->is_known)
        (void)VALGRIND_STACK_REGISTER(stack, stack + bytes);
    shadow->is_known = 1;
    /* What lay below the stack pointer of frames that never returned was gone. */
    (void)VALGRIND_MAKE_MEM_UNDEFINED(stack, bytes);
}

static inline void fiber_shadow_leave(struct fiber_shadow *from, struct fiber_shadow *to)
{
    (void)from;
    (void)to;
}

static inline void fiber_shadow_arrived(struct fiber_shadow *shadow)
{
    (void)shadow;
}

#endif

#endif
