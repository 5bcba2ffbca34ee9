/*
 * plain_calls: the compiler's calls for each plain access of the explored library. ThreadSanitizer's instrumentation
 * makes them; here the explorer serves them instead of its run-time.
 */
#include <string.h>

#include "plain.h"

#define SERVE_READ(name, bytes)                                                                                        \
    void name(void *address);                                                                                          \
    void name(void *address)                                                                                           \
    {                                                                                                                  \
        plain_read(address, (bytes), __builtin_return_address(0));                                                     \
    }
#define SERVE_WRITE(name, bytes)                                                                                       \
    void name(void *address);                                                                                          \
    void name(void *address)                                                                                           \
    {                                                                                                                  \
        plain_write(address, (bytes), __builtin_return_address(0));                                                    \
    }

SERVE_READ(__tsan_read1, 1)
SERVE_READ(__tsan_read2, 2)
SERVE_READ(__tsan_read4, 4)
SERVE_READ(__tsan_read8, 8)
SERVE_READ(__tsan_read16, 16)
SERVE_READ(__tsan_unaligned_read2, 2)
SERVE_READ(__tsan_unaligned_read4, 4)
SERVE_READ(__tsan_unaligned_read8, 8)
SERVE_READ(__tsan_unaligned_read16, 16)
SERVE_READ(__tsan_volatile_read1, 1)
SERVE_READ(__tsan_volatile_read4, 4)
SERVE_READ(__tsan_volatile_read8, 8)
SERVE_WRITE(__tsan_write1, 1)
SERVE_WRITE(__tsan_write2, 2)
SERVE_WRITE(__tsan_write4, 4)
SERVE_WRITE(__tsan_write8, 8)
SERVE_WRITE(__tsan_write16, 16)
SERVE_WRITE(__tsan_unaligned_write2, 2)
SERVE_WRITE(__tsan_unaligned_write4, 4)
SERVE_WRITE(__tsan_unaligned_write8, 8)
SERVE_WRITE(__tsan_unaligned_write16, 16)
SERVE_WRITE(__tsan_volatile_write1, 1)
SERVE_WRITE(__tsan_volatile_write4, 4)
SERVE_WRITE(__tsan_volatile_write8, 8)

void __tsan_read_range(void *address, size_t bytes);
void __tsan_read_range(void *address, size_t bytes)
{
    plain_read(address, bytes, __builtin_return_address(0));
}

void __tsan_write_range(void *address, size_t bytes);
void __tsan_write_range(void *address, size_t bytes)
{
    plain_write(address, bytes, __builtin_return_address(0));
}

/*
 * Compilers make calls of libc's of what copies or clears a whole struct. The linker leads those of the older ones here
 * (CMakeLists.txt); newer ones of clang call ThreadSanitizer's by name.
 */
#define SERVE_SET(name)                                                                                                \
    void *name(void *to, int byte, size_t bytes);                                                                      \
    void *name(void *to, int byte, size_t bytes)                                                                       \
    {                                                                                                                  \
        plain_write(to, bytes, __builtin_return_address(0));                                                           \
        return memset(to, byte, bytes);                                                                                \
    }
#define SERVE_COPY(name)                                                                                               \
    void *name(void *to, const void *from, size_t bytes);                                                              \
    void *name(void *to, const void *from, size_t bytes)                                                               \
    {                                                                                                                  \
        plain_read(from, bytes, __builtin_return_address(0));                                                          \
        plain_write(to, bytes, __builtin_return_address(0));                                                           \
        return memcpy(to, from, bytes);                                                                                \
    }

SERVE_SET(__wrap_memset)
SERVE_SET(__tsan_memset)
SERVE_COPY(__wrap_memcpy)
SERVE_COPY(__tsan_memcpy)

/* Calls that say nothing the explorer needs. */
void __tsan_init(void);
void __tsan_init(void)
{
}

void __tsan_func_entry(void *caller);
void __tsan_func_entry(void *caller)
{
    (void)caller;
}

void __tsan_func_exit(void);
void __tsan_func_exit(void)
{
}
