/*
 * meter: counts the pages of a buffer that a piece of code touches.
 *
 * A search that looks at many blocks touches many pages; how many does not depend on the speed of the machine. While
 * the meter runs the buffer is out of reach; each first touch of a page faults, is counted, and opens that page. Beyond
 * METER_PAGES_MAX it opens the whole buffer and counts no further.
 */
#ifndef METER_H
#define METER_H

#include <stddef.h>

enum { METER_PAGES_MAX = 4000 };

/* Watches whole pages: `base` and `bytes` are multiples of the page size. One buffer at a time, in one thread. */
void meter_open(char *base, size_t bytes);
void meter_close(void);

void meter_begin(void);
/* The pages touched since meter_begin. */
size_t meter_end(void);

#endif
