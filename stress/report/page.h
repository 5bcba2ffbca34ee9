/* page: page.html before and after the place where the report's data goes; made at build time by embed.cmake. */
#ifndef STRESS_PAGE_H
#define STRESS_PAGE_H

#include <stddef.h>

extern const unsigned char stress_page_head[], stress_page_tail[];
extern const size_t stress_page_head_bytes, stress_page_tail_bytes;

#endif
