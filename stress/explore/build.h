/*
 * build: what depends on how the explorer was built.
 *
 * Where no sanitizer is on, the explored library is compiled with the calls that ThreadSanitizer's run-time would
 * serve, which the explorer serves itself (plain.c): it sees every plain access. Under a sanitizer that one has the
 * calls, and watches over the accesses in its own way.
 */
#ifndef EXPLORE_BUILD_H
#define EXPLORE_BUILD_H

/* By the build: the explorer itself is never compiled for these two, only what it explores is. */
#if !defined(EXPLORE_HAS_ADDRESS_SANITIZER)
#define EXPLORE_HAS_ADDRESS_SANITIZER 0
#endif
#if !defined(EXPLORE_HAS_THREAD_SANITIZER)
#define EXPLORE_HAS_THREAD_SANITIZER 0
#endif
/* And for this one as a whole, which asks for nothing but other addresses. */
#if !defined(EXPLORE_HAS_MEMORY_SANITIZER)
#define EXPLORE_HAS_MEMORY_SANITIZER 0
#endif

/* Valgrind needs no build of its own: where its headers are, every program can ask it. */
#if !defined(EXPLORE_HAS_VALGRIND)
#define EXPLORE_HAS_VALGRIND 0
#endif

#if EXPLORE_HAS_THREAD_SANITIZER || EXPLORE_HAS_MEMORY_SANITIZER
/* Of the program's low addresses, to which ThreadSanitizer and MemorySanitizer have a shadow. */
#define EXPLORE_WORLD_BASE 0x600000000
#else
#define EXPLORE_WORLD_BASE 0x200000000000
#endif

#define EXPLORE_HAS_SANITIZER (EXPLORE_HAS_THREAD_SANITIZER || EXPLORE_HAS_ADDRESS_SANITIZER)

/* libc's functions on memory, which both sanitizers watch wherever they are called from. */
#if EXPLORE_HAS_SANITIZER
void explore_copy(void *to, const void *from, unsigned long bytes);
void explore_zero(void *at, unsigned long bytes);
#else
#include <string.h>
#define explore_copy memmove
#define explore_zero(at, bytes) memset((at), 0, (bytes))
#endif

#endif
