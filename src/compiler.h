/*
 * compiler: what differs between compilers, in one place.
 *
 * Every attribute, annotation and platform test of the project that is not a matter of the operating system stands
 * here; no other file asks which compiler it meets.
 */
#ifndef HS_COMPILER_H
#define HS_COMPILER_H

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

#endif
