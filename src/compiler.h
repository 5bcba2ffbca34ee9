/*
 * compiler: what differs between compilers, in one place.
 *
 * Every attribute, annotation and platform test of the project that is not a matter of the operating system stands
 * here; no other file asks which compiler it meets.
 */
#ifndef HS_COMPILER_H
#define HS_COMPILER_H

#include <stddef.h>
#include <stdint.h>

#define HS_LIKELY(condition) __builtin_expect(!!(condition), 1)
#define HS_UNLIKELY(condition) __builtin_expect(!!(condition), 0)
#define HS_PREFETCH(address) __builtin_prefetch(address)
/* Of the rare part of a function, so that the common one saves no registers for it. */
#define HS_NOINLINE __attribute__((noinline))
#define HS_CACHE_LINE_BYTES 64
/* Of a variable that only the library itself names: it is reached without a look-up. */
#define HS_INTERNAL __attribute__((visibility("hidden")))

/* Clang's thread-safety analysis; gcc has none. */
#if defined(__clang__)
#define HS_ANNOTATE(attribute) __attribute__((attribute))
#else
#define HS_ANNOTATE(attribute)
#endif

#define HS_CAPABILITY(name) HS_ANNOTATE(capability(name))
#define HS_ACQUIRES(...) HS_ANNOTATE(acquire_capability(__VA_ARGS__))
#define HS_RELEASES(...) HS_ANNOTATE(release_capability(__VA_ARGS__))
#define HS_REQUIRES(...) HS_ANNOTATE(requires_capability(__VA_ARGS__))
#define HS_ASSERTS_HELD(...) HS_ANNOTATE(assert_capability(__VA_ARGS__))
/* For functions that take sets of locks in a loop, which the analysis cannot follow; the ranks check them. */
#define HS_NO_ANALYSIS HS_ANNOTATE(no_thread_safety_analysis)

/* Arithmetic modulo 2^64 that is meant to be: hashes, accounts that may pass through less than zero, one share of
 * several. All other arithmetic stays within its type, which clang's integer checks hold it to. */
static inline uint64_t hs_wrap_add(uint64_t left, uint64_t right)
{
    uint64_t sum;

    (void)__builtin_add_overflow(left, right, &sum);
    return sum;
}

static inline uint64_t hs_wrap_subtract(uint64_t left, uint64_t right)
{
    uint64_t difference;

    (void)__builtin_sub_overflow(left, right, &difference);
    return difference;
}

static inline uint64_t hs_wrap_multiply(uint64_t left, uint64_t right)
{
    uint64_t product;

    (void)__builtin_mul_overflow(left, right, &product);
    return product;
}

/* From the address to the next multiple of the alignment, a power of two. */
static inline size_t hs_bytes_to_multiple(uintptr_t address, size_t alignment)
{
    return (alignment - (address & (alignment - 1))) & (alignment - 1);
}

#if defined(__SANITIZE_THREAD__)
#define HS_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HS_THREAD_SANITIZER 1
#endif
#endif

/* Sanitizers that keep a shadow of the whole address space. */
#if defined(HS_THREAD_SANITIZER) || defined(__SANITIZE_ADDRESS__)
#define HS_HAS_SHADOW 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define HS_HAS_SHADOW 1
#endif
#endif
#if !defined(HS_HAS_SHADOW)
#define HS_HAS_SHADOW 0
#endif

/* MemorySanitizer has its shadow only when constructors run, and does not see the dynamic linker initialise memory. */
#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#define HS_SHADOW_KNOWS_NO_LOADER 1
#endif
#endif
#if !defined(HS_SHADOW_KNOWS_NO_LOADER)
#define HS_SHADOW_KNOWS_NO_LOADER 0
#endif

#endif
