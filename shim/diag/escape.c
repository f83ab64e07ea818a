/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "diag/escape.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static bool is_plain(unsigned char c)
{
    return c >= ' ' && c <= '~' && c != '\'' && c != '"' && c != '\\' && c != '`';
}

static size_t escaped_len(const unsigned char *text, size_t len)
{
    size_t sum = 0;
    for (size_t i = 0; i < len; i++)
        sum += is_plain(text[i]) ? 1 : ESCAPE_BYTE_MAX;
    return sum;
}

const char *escape_peer(char *out, size_t size, const void *text, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    static const char cut[] = "...";
    const unsigned char *from = text;
    const bool fits = escaped_len(from, len) < size;
    const size_t room = fits ? size - 1 : size - sizeof cut;
    char *end = out;
    for (size_t i = 0; i < len && escaped_len(from + i, 1) <= room - (size_t)(end - out); i++) {
        if (is_plain(from[i])) {
            *end++ = (char)from[i];
            continue;
        }
        const char escaped[ESCAPE_BYTE_MAX] = {'\\', 'x', digits[from[i] >> 4], digits[from[i] & 15]};
        memcpy(end, escaped, sizeof escaped);
        end += sizeof escaped;
    }
    strcpy(end, fits ? "" : cut);
    return out;
}

/* Bytes of the UTF-8 sequence (RFC 3629, 4) that begins here, and its code point; 0 if there is none. */
static size_t decode(const unsigned char *at, size_t left, uint32_t *code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = at[0] < 0x80 ? 1 : at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : at[0] >= 0xc0 ? 2 : 0;
    if (len == 0 || len > left || at[0] >= 0xf8)
        return 0;
    *code = len == 1 ? at[0] : at[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        *code = *code << 6 | (at[i] & 0x3f);
    }
    bool surrogate = *code >= 0xd800 && *code < 0xe000;
    return *code >= least[len] && *code <= 0x10ffff && !surrogate ? len : 0;
}

/* Control characters, C1 ones too (a terminal takes U+009B for ESC [), and the format characters that set the
 * direction of writing or break lines (Unicode: Bidi_Control, U+2028, U+2029, and those that are invisible).
 */
static bool is_harmful(uint32_t code)
{
    return code < ' ' || (code >= 0x7f && code < 0xa0) || code == 0xad || code == 0x61c ||
           (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2060 && code <= 0x206f) || code == 0xfeff || (code >= 0xe0000 && code <= 0xe007f);
}

void escape_line(char *line, size_t len)
{
    for (size_t at = 0; at < len;) {
        uint32_t code = 0;
        const size_t sequence = decode((const unsigned char *)line + at, len - at, &code);
        const size_t step = sequence > 0 ? sequence : 1;
        if (sequence == 0 || is_harmful(code))
            memset(line + at, '?', step);
        at += step;
    }
}
