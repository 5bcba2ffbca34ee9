/*
 * explored_libc: included by the compiler before each source of the explored library, so that calls of libc which touch
 * its memory, or end the process, arrive at the explorer.
 */
#ifndef EXPLORED_LIBC_H
#define EXPLORED_LIBC_H

#include <stdlib.h>
#include <string.h>

#include "explored_calls.h"

#define memset explored_memset
#define memcpy explored_memcpy
#define memmove explored_memmove
#define abort explored_abort

#endif
