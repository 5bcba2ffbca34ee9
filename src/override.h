/*
 * override: the standard names of the malloc family.
 *
 * One object file defines them all, so that a program never gets a block from one allocator and hands it to another.
 * Builds under a sanitizer leave it out (override_none.c): there the sanitizer's own malloc stays in place.
 */
#ifndef HS_OVERRIDE_H
#define HS_OVERRIDE_H

/* Finds out whether the process's malloc is this library's, as it is not where the library was loaded later than libc;
 * hs_os_break_is_ours is settled by that. Called once libc can be asked. */
void hs_override_settle(void);

#endif
