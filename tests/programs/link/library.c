/* What main.c loads: its malloc is resolved when it is, long after the program was linked. */
#include <stdlib.h>

void *make(size_t bytes)
{
    return malloc(bytes);
}
