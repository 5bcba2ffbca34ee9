/*
 * symbols: the variables of the explored library, by the symbol table of its file; those that are no other file's, too,
 * of which the dynamic linker knows nothing.
 */
#ifndef EXPLORE_SYMBOLS_H
#define EXPLORE_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>

struct symbol {
    const char *name;
    size_t offset; /* of the address in it */
};

/* False of an address in no variable, or where the file has no table. */
bool symbols_find(const void *address, struct symbol *symbol);

#endif
