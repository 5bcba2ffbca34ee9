/* An allocator that is slow without doubt: libc's, with a loop before each block. */
#include <stddef.h>

extern void *__libc_malloc(size_t bytes);
void *malloc(size_t bytes);

void *malloc(size_t bytes)
{
    for (volatile int i = 0; i < 200; i++)
        continue;
    return __libc_malloc(bytes);
}
