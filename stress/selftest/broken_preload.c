/*
 * broken_preload: libc's malloc with a fault, for LD_PRELOAD; proves that heapster-stress judges the process's own
 * malloc, and outlives what befalls a scenario.
 *
 * BROKEN_FAULT names the fault. It strikes in the FIRST_STRIKE-th call of malloc for TARGET_BYTES and more, which libc
 * itself does not make.
 */
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIRST_STRIKE = 300, TARGET_BYTES = 2000, SHIFT_BYTES = 8, EXIT_LATE = 3 };

/* glibc's own entries, which nobody overrides. */
extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *ptr, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);
extern void __libc_free(void *ptr);

static atomic_uint calls;
static const char *fault;
static size_t (*libc_usable_size)(void *ptr);

__attribute__((constructor)) static void prepare(void)
{
    fault = getenv("BROKEN_FAULT");
    *(void **)&libc_usable_size = dlsym(RTLD_NEXT, "malloc_usable_size");
}

static int strikes(const char *name)
{
    return fault != NULL && strcmp(fault, name) == 0;
}

static void exit_late(void)
{
    _exit(EXIT_LATE);
}

/* What the fault shifted by half an alignment is known by that. */
static void *whole_block(void *ptr)
{
    return (uintptr_t)ptr % 16 == SHIFT_BYTES ? (char *)ptr - SHIFT_BYTES : ptr;
}

static void *break_down(size_t bytes)
{
    if (strikes("exit"))
        exit(0); // NOLINT(concurrency-mt-unsafe): that is the fault
    if (strikes("kill"))
        (void)kill(getpid(), SIGKILL);
    if (strikes("freeze"))
        (void)kill(getpid(), SIGSTOP);
    while (strikes("hang"))
        (void)pause();
    if (strikes("misaligned"))
        return (char *)__libc_malloc(bytes + SHIFT_BYTES) + SHIFT_BYTES;
    if (strikes("late"))
        (void)atexit(exit_late);
    if (strikes("segv"))
        (void)raise(SIGSEGV);
    if (strikes("refuse"))
        errno = ENOMEM;
    return strikes("refuse") ? NULL : __libc_malloc(bytes);
}

void *malloc(size_t bytes)
{
    if (bytes >= TARGET_BYTES && atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed) == FIRST_STRIKE)
        return break_down(bytes);
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    return __libc_calloc(count, bytes);
}

void *realloc(void *ptr, size_t bytes)
{
    void *whole = whole_block(ptr), *moved = __libc_realloc(whole, bytes + SHIFT_BYTES);

    if (moved != NULL && whole != ptr)
        memmove(moved, (char *)moved + SHIFT_BYTES, bytes);
    return moved;
}

void *memalign(size_t alignment, size_t bytes)
{
    return __libc_memalign(alignment, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    return __libc_memalign(alignment, bytes);
}

int posix_memalign(void **out, size_t alignment, size_t bytes)
{
    void *block = __libc_memalign(alignment, bytes);

    if (block == NULL)
        return ENOMEM;
    *out = block;
    return 0;
}

void free(void *ptr)
{
    __libc_free(whole_block(ptr));
}

size_t malloc_usable_size(void *ptr)
{
    void *whole = whole_block(ptr);

    return libc_usable_size(whole) - (size_t)((char *)ptr - (char *)whole);
}
