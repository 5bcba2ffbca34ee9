#include "build.h"

#if EXPLORE_HAS_SANITIZER

/* Volatile, so that the compiler does not make calls of libc out of the loops. */
void explore_copy(void *to, const void *from, unsigned long bytes)
{
    volatile unsigned char *target = to;
    const volatile unsigned char *source = from;

    if (target < source)
        for (unsigned long i = 0; i < bytes; i++)
            target[i] = source[i];
    else
        for (unsigned long i = bytes; i > 0; i--)
            target[i - 1] = source[i - 1];
}

void explore_zero(void *at, unsigned long bytes)
{
    volatile unsigned char *target = at;

    for (unsigned long i = 0; i < bytes; i++)
        target[i] = 0;
}

#endif
