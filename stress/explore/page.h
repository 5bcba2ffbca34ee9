/*
 * page: a recorded execution as an HTML page of its own, which loads nothing.
 */
#ifndef EXPLORE_PAGE_H
#define EXPLORE_PAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "program.h"

/* Writes the recorded execution (engine_events); "-" is standard output. False, with errno, where that fails. */
bool page_write(const char *path, const struct program *program, const char *token, const char *failure);

/* page.html before and after the place of the data; made at build time by stress/report/embed.cmake. */
extern const unsigned char stress_page_head[], stress_page_tail[];
extern const size_t stress_page_head_bytes, stress_page_tail_bytes;

#endif
