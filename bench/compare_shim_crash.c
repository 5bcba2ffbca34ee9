/* An allocator that works for a while: libc's, until so many blocks have been asked for. */
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>

enum { BLOCKS = 5000 };

extern void *__libc_malloc(size_t bytes);
void *malloc(size_t bytes);

void *malloc(size_t bytes)
{
    static atomic_int count;

    if (atomic_fetch_add(&count, 1) >= BLOCKS)
        (void)raise(SIGSEGV);
    return __libc_malloc(bytes);
}
