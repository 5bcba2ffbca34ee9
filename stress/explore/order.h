/*
 * order: what ThreadSanitizer is told of the order that atomics and mutexes give; nothing in other builds.
 */
#ifndef EXPLORE_ORDER_H
#define EXPLORE_ORDER_H

#include <stddef.h>

#include "build.h"

#if EXPLORE_HAS_THREAD_SANITIZER

#include <sanitizer/tsan_interface.h>

void __tsan_read_range(void *address, unsigned long bytes);
void __tsan_write_range(void *address, unsigned long bytes);

static inline void order_release(const volatile void *object)
{
    __tsan_release((void *)(size_t)object);
}

static inline void order_acquire(const volatile void *object)
{
    __tsan_acquire((void *)(size_t)object);
}

static inline void order_read(const volatile void *address, size_t bytes)
{
    __tsan_read_range((void *)(size_t)address, bytes);
}

static inline void order_write(const volatile void *address, size_t bytes)
{
    __tsan_write_range((void *)(size_t)address, bytes);
}

#else

static inline void order_release(const volatile void *object)
{
    (void)object;
}

static inline void order_acquire(const volatile void *object)
{
    (void)object;
}

static inline void order_read(const volatile void *address, size_t bytes)
{
    (void)address;
    (void)bytes;
}

static inline void order_write(const volatile void *address, size_t bytes)
{
    (void)address;
    (void)bytes;
}

#endif

#endif
