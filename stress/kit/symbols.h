/*
 * symbols: what a person calls an address of code: function, file and line, as addr2line says, or the module it lies
 * in and where.
 *
 * Which modules there are is noted beforehand, since the loader's own functions take its lock, which a thread that
 * hangs may hold. Nothing after that allocates, and nothing waits for longer than a few seconds. Where addr2line is
 * missing a module and an offset are left, which is what addr2line wants to be asked.
 *
 *     kit_symbols_prepare, kit_symbols_want ..., kit_symbols_find, kit_text_add_symbol ...
 */
#ifndef KIT_SYMBOLS_H
#define KIT_SYMBOLS_H

#include <stdbool.h>
#include <stdint.h>

#include "text.h"

/* While all is well. May be called again, when there are more modules. */
void kit_symbols_prepare(void);

/* Begins with no address; wants one more. What is wanted beyond the first thousand stays without a name. */
void kit_symbols_clear(void);
void kit_symbols_want(uintptr_t address);

/* Looks up all that are wanted. False where addr2line cannot be run. */
bool kit_symbols_find(void);

/* Adds the lines of an address, each indented by `indent`; more than one where functions were inlined. */
void kit_text_add_symbol(struct kit_text *text, uintptr_t address, const char *indent);

#endif
