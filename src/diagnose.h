/*
 * diagnose: what is wrong with a pointer that is no live block.
 *
 * free and realloc verify a pointer with the region map and the tag alone. Only when that fails does anything here
 * run: it walks the region, and the large mappings, to tell a second free from an interior pointer, a foreign one
 * from an overwritten tag, and reports it (report.h).
 *
 * Locks: all of one arena, or a large set's, while it looks; none while it reports.
 */
#ifndef HS_DIAGNOSE_H
#define HS_DIAGNOSE_H

#include <stdbool.h>
#include <stdint.h>

/* Reports the misuse of `payload` by `operation`: "free", "realloc", and so on. */
void hs_diagnose(const void *payload, const char *operation);

/* Looks, under all locks of its arena, at a block that a cache holds, left in the state `as_left`, and that did not
 * look sound: true if it is. Reports it otherwise; the cache then drops it. */
bool hs_diagnose_cached(const void *payload, uint8_t as_left);

/* Reports a wrong size or alignment given to free_sized or free_aligned_sized. */
void hs_diagnose_size(const void *payload, const char *what, unsigned long long given, unsigned long long least,
                      unsigned long long most);

#endif
