/*
 * text: building a line without stdio, which may allocate and take locks.
 *
 * A text is a buffer of fixed size; what does not fit is cut, and it always ends in a zero byte.
 */
#ifndef HS_TEXT_H
#define HS_TEXT_H

#include <stddef.h>
#include <stdint.h>

enum { HS_TEXT_BYTES = 320 };

struct hs_text {
    size_t length;
    char bytes[HS_TEXT_BYTES];
};

void hs_text_clear(struct hs_text *text);
void hs_text_add(struct hs_text *text, const char *string);
/* Adds at most `length` bytes of `string`, unprintable ones as '?'. */
void hs_text_add_bytes(struct hs_text *text, const char *string, size_t length);
void hs_text_add_decimal(struct hs_text *text, uint64_t number);
void hs_text_add_hex(struct hs_text *text, uint64_t number);
void hs_text_add_address(struct hs_text *text, const void *address);

#endif
