/* Growing text: formatted and plain appends, base64. Owned by one thread.
   A failed allocation is remembered in the text, so that writers check once, at the end. */
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MIN_CAPACITY ((size_t)256)

/* Room for `more` characters and the NUL; false (and failed) when there is none. */
static bool text_reserve(struct text *text, size_t more) {
    size_t needed;
    if (text->failed) {
        return false;
    }
    if (!fm_size_add(text->length, more, &needed) || !fm_size_add(needed, 1, &needed)) {
        text->failed = true;
        return false;
    }
    if (needed <= text->capacity) {
        return true;
    }
    size_t doubled = text->capacity > SIZE_MAX / 2 ? needed : text->capacity * 2;
    size_t capacity = needed > doubled ? needed : doubled;
    capacity = capacity < MIN_CAPACITY ? MIN_CAPACITY : capacity;
    char *chars = fm_alloc_aligned(capacity); /* not zeroed, unlike fm_alloc: large texts are written once */
    if (chars == NULL) {
        text->failed = true;
        return false;
    }
    if (text->chars != NULL) {
        memcpy(chars, text->chars, text->length);
    }
    chars[text->length] = '\0';
    fm_free_aligned(text->chars);
    text->chars = chars;
    text->capacity = capacity;
    return true;
}

void fm_text_add(struct text *text, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    size_t room = text->capacity - text->length;
    int length = vsnprintf(text->chars != NULL ? text->chars + text->length : NULL, room, format, arguments);
    if (text->failed || length < 0) {
        text->failed = true;
    } else if ((size_t)length < room) {
        text->length += (size_t)length;
    } else if (text_reserve(text, (size_t)length)) {
        vsnprintf(text->chars + text->length, (size_t)length + 1, format, again);
        text->length += (size_t)length;
    }
    if (text->chars != NULL) {
        text->chars[text->length] = '\0'; /* a failed call leaves what was there before */
    }
    va_end(again);
    va_end(arguments);
}

void fm_text_add_bytes(struct text *text, const char *bytes, size_t size) {
    if (!text_reserve(text, size)) {
        return;
    }
    if (size > 0) {
        memcpy(text->chars + text->length, bytes, size);
    }
    text->length += size;
    text->chars[text->length] = '\0';
}

void fm_text_clear(struct text *text) {
    text->length = 0;
    text->failed = false;
    if (text->chars != NULL) {
        text->chars[0] = '\0';
    }
}

void fm_text_reset(struct text *text) {
    fm_free_aligned(text->chars);
    *text = (struct text){0};
}

const char *fm_text_chars(const struct text *text) {
    return text->chars != NULL ? text->chars : "";
}

void fm_text_add_base64(struct text *text, const void *bytes, size_t size) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t length;
    if (!fm_size_multiply(size / 3 + (size % 3 > 0), 4, &length) || !text_reserve(text, length)) {
        text->failed = true;
        return;
    }
    const uint8_t *next = bytes;
    char *out = text->chars + text->length;
    for (size_t left = size; left > 0;) {
        size_t taken = left < 3 ? left : 3;
        uint32_t group = (uint32_t)next[0] << 16 | (taken > 1 ? (uint32_t)next[1] << 8 : 0) | (taken > 2 ? next[2] : 0);
        out[0] = digits[group >> 18];
        out[1] = digits[group >> 12 & 63];
        out[2] = taken > 1 ? digits[group >> 6 & 63] : '=';
        out[3] = taken > 2 ? digits[group & 63] : '=';
        out += 4;
        next += taken;
        left -= taken;
    }
    *out = '\0';
    text->length += length;
}
