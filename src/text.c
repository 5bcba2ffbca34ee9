#include "text.h"

void hs_text_clear(struct hs_text *text)
{
    text->length = 0;
    text->bytes[0] = '\0';
}

static void add_byte(struct hs_text *text, char byte)
{
    if (text->length + 1 < sizeof text->bytes) {
        text->bytes[text->length++] = byte;
        text->bytes[text->length] = '\0';
    }
}

void hs_text_add(struct hs_text *text, const char *string)
{
    while (*string != '\0')
        add_byte(text, *string++);
}

void hs_text_add_bytes(struct hs_text *text, const char *string, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (string[i] >= ' ' && string[i] <= '~')
            add_byte(text, string[i]);
        else
            add_byte(text, '?');
    }
}

static void add_number(struct hs_text *text, uint64_t number, unsigned base)
{
    char digits[24];
    size_t count = 0;

    do {
        digits[count++] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number != 0);
    while (count > 0)
        add_byte(text, digits[--count]);
}

void hs_text_add_decimal(struct hs_text *text, uint64_t number)
{
    add_number(text, number, 10);
}

void hs_text_add_hex(struct hs_text *text, uint64_t number)
{
    hs_text_add(text, "0x");
    add_number(text, number, 16);
}

void hs_text_add_address(struct hs_text *text, const void *address)
{
    hs_text_add_hex(text, (uintptr_t)address);
}
