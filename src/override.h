/*
 * override: the standard names of the malloc family.
 *
 * One object file defines them all, so that a program never gets a block from one allocator and hands it to another.
 * Builds under a sanitizer leave it out (override_none.c): there the sanitizer's own malloc stays in place.
 */
#ifndef HS_OVERRIDE_H
#define HS_OVERRIDE_H

/* Does nothing; referring to it makes the linker take the standard names out of the archive with the rest. */
void hs_override_keep(void);

#endif
