/*
 * visible_memory: what a tool is told of the memory that the heap has, whatever lies in it. visible.h tells the idea.
 *
 * One backend for each tool, chosen when the library is built; all define the same names. What is said here of memory
 * that is not the heap's any more is said before it goes back, since from then on the addresses may be anybody's.
 *
 *   hs_memory_close   the heap's, and no program's: every access by one is a fault
 *   hs_memory_open    anybody's again: it is about to go back to the OS, or to the caller whose buffer it was
 *   hs_memory_hide    our own records, in which pointers to blocks are left behind that nobody holds any more
 *   hs_memory_root    a search for leaks is to look for pointers in [base, base + bytes) where it looked, up to now, in
 *                     [base, base + old_bytes); 0: nowhere
 */
#ifndef HS_VISIBLE_MEMORY_H
#define HS_VISIBLE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(HS_VISIBLE_ADDRESS)
#include "visible_asan.h"
#elif defined(HS_VISIBLE_MEMORY)
#include "visible_msan.h"
#elif defined(HS_VISIBLE_THREAD)
#include "visible_tsan.h"
#elif defined(HS_VISIBLE_VALGRIND)
#include "visible_valgrind.h"
#else
#include "visible_native.h"
#endif

#endif
