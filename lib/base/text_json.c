/* JSON written into a growing text: structure, strings, and numbers as the shortest decimal that reads back.
   Numbers dominate (512 per face), hence the exact integer search instead of trying printf and strtod. */
#include "base/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NUMBER 48       /* sign, 20 digits, point, zeros, exponent */
#define MIN_EXPONENT (-118) /* of two: 2^(2 - exponent) and MAX_SCALED leave room in 128 bits */
#define MAX_SCALED (~(uint128)0 >> 5)
#define LIKELY_DECIMALS 6 /* one fewer than most embedding values need */

__extension__ typedef unsigned __int128 uint128;

static void add_chars(struct json *json, const char *chars) {
    fm_text_add_bytes(json->text, chars, strlen(chars));
}

/* Length of the well-formed UTF-8 sequence at `s` (RFC 3629: shortest form, no surrogates, up to U+10FFFF), or minus
   the number of bytes that one U+FFFD stands for. Reads no byte behind the NUL. */
static int utf8_length(const unsigned char *s) {
    unsigned low = 0x80, high = 0xBF;
    int more;
    if (s[0] < 0x80) {
        return 1;
    } else if (s[0] >= 0xC2 && s[0] <= 0xDF) {
        more = 1;
    } else if (s[0] >= 0xE0 && s[0] <= 0xEF) {
        more = 2;
        low = s[0] == 0xE0 ? 0xA0 : low;
        high = s[0] == 0xED ? 0x9F : high;
    } else if (s[0] >= 0xF0 && s[0] <= 0xF4) {
        more = 3;
        low = s[0] == 0xF0 ? 0x90 : low;
        high = s[0] == 0xF4 ? 0x8F : high;
    } else {
        return -1;
    }
    for (int i = 1; i <= more; i++, low = 0x80, high = 0xBF) {
        if (s[i] < low || s[i] > high) {
            return -i;
        }
    }
    return more + 1;
}

void fm_text_add_utf8(struct text *text, const char *string, size_t length) {
    const unsigned char *next = (const unsigned char *)string, *plain = next, *end = next + length;
    while (next < end) {
        int size = utf8_length(next);
        if (size < 0 || next + size > end) {
            fm_text_add_bytes(text, (const char *)plain, (size_t)(next - plain));
            fm_text_add_bytes(text, "\xEF\xBF\xBD", 3);
            plain = next + abs(size);
        }
        next += abs(size);
    }
    if (plain < end) {
        fm_text_add_bytes(text, (const char *)plain, (size_t)(end - plain));
    }
}

static void add_escaped(struct json *json, unsigned char byte) {
    static const char short_forms[] = "b\bf\fn\nr\rt\t\"\"\\\\";
    for (const char *form = short_forms; *form != '\0'; form += 2) {
        if ((unsigned char)form[1] == byte) {
            fm_text_add_bytes(json->text, (char[]){'\\', form[0]}, 2);
            return;
        }
    }
    fm_text_add(json->text, "\\u%04x", byte);
}

static void add_quoted(struct json *json, const char *string) {
    const unsigned char *next = (const unsigned char *)string, *plain = next;
    add_chars(json, "\"");
    for (;;) {
        int length = utf8_length(next);
        if (length > 0 && *next >= 0x20 && *next != '"' && *next != '\\') {
            next += length;
            continue;
        }
        fm_text_add_bytes(json->text, (const char *)plain, (size_t)(next - plain));
        if (*next == '\0') {
            break;
        }
        if (length < 0) {
            add_chars(json, "\xEF\xBF\xBD");
        } else {
            add_escaped(json, *next);
        }
        next += abs(length);
        plain = next;
    }
    add_chars(json, "\"");
}

/* What stands before a value: a comma, and the key inside objects. */
static void begin_value(struct json *json, const char *key) {
    if (json->comma) {
        add_chars(json, ",");
    }
    json->comma = true;
    if (key != NULL) {
        add_quoted(json, key);
        add_chars(json, ":");
    }
}

static void open_with(struct json *json, const char *key, const char *bracket) {
    begin_value(json, key);
    add_chars(json, bracket);
    json->comma = false;
}

static void close_with(struct json *json, const char *bracket) {
    add_chars(json, bracket);
    json->comma = true;
}

void fm_json_object_open(struct json *json, const char *key) {
    open_with(json, key, "{");
}

void fm_json_object_close(struct json *json) {
    close_with(json, "}");
}

void fm_json_array_open(struct json *json, const char *key) {
    open_with(json, key, "[");
}

void fm_json_array_close(struct json *json) {
    close_with(json, "]");
}

void fm_json_string(struct json *json, const char *key, const char *value) {
    begin_value(json, key);
    if (value != NULL) {
        add_quoted(json, value);
    } else {
        add_chars(json, "null");
    }
}

void fm_json_integer(struct json *json, const char *key, int64_t value) {
    begin_value(json, key);
    fm_text_add(json->text, "%" PRId64, value);
}

void fm_json_bool(struct json *json, const char *key, bool value) {
    begin_value(json, key);
    add_chars(json, value ? "true" : "false");
}

/* A positive binary number mantissa * 2^exponent; `even_gap` false where the neighbour below is nearer than the one
   above (mantissa a power of two). */
struct binary {
    uint64_t mantissa;
    int exponent;
    bool even_gap;
};

/* `value` times 10^decimals, in quarters of its last place: `scaled` quarters, of which `power` are 10^decimals. */
struct scaled {
    uint128 scaled, power;
    int decimals;
};

static struct scaled scale(struct binary value, int decimals) {
    struct scaled at = {.scaled = (uint128)value.mantissa << 2, .power = 1, .decimals = decimals};
    for (int i = 0; i < decimals; i++) {
        at.scaled *= 10;
        at.power *= 10;
    }
    return at;
}

/* Is there a whole number of 10^-decimals so near to `value` that it reads back as it? The nearest goes to *digits. */
static bool reads_back(struct binary value, struct scaled at, uint64_t *digits) {
    int shift = 2 - value.exponent;
    bool closed = value.mantissa % 2 == 0; /* ties read back to even: the ends of the interval belong to it */
    uint128 nearest = (at.scaled + ((uint128)1 << (shift - 1))) >> shift;
    for (uint128 candidate = nearest; candidate <= nearest + !value.even_gap; candidate++) {
        uint128 place = candidate << shift;
        bool below = place < at.scaled;
        uint128 distance = below ? at.scaled - place : place - at.scaled;
        uint128 reach = below && !value.even_gap ? at.power : 2 * at.power;
        if (distance < reach || (closed && distance == reach)) {
            *digits = (uint64_t)candidate;
            return true;
        }
    }
    return false;
}

/* The fewest decimals at which some digits * 10^-decimals read back as `value`; of those, the nearest. False when the
   search does not fit 128 bits (very small values, or larger than the mantissa). */
static bool shortest_decimal(struct binary value, uint64_t *digits, int *decimals) {
    if (value.exponent > 0 || value.exponent < MIN_EXPONENT) {
        return false;
    }
    struct scaled at = scale(value, LIKELY_DECIMALS); /* what fails with many fails with fewer: skip those */
    if (reads_back(value, at, digits)) {
        at = scale(value, 0);
    }
    for (; at.scaled <= MAX_SCALED; at.scaled *= 10, at.power *= 10, at.decimals++) {
        if (reads_back(value, at, digits)) {
            *decimals = at.decimals;
            return true;
        }
    }
    return false;
}

/* Write digits * 10^-decimals. Small and large ones get an exponent, as in 1.25e-7. */
static char *put_decimal(char *out, uint64_t digits, int decimals) {
    char reversed[24];
    int count = 0, point;
    for (; digits > 0; digits /= 10) {
        reversed[count++] = (char)('0' + digits % 10);
    }
    point = count - decimals; /* digits before the point */
    bool scientific = point < -4 || decimals < 0;
    int exponent = point - 1;
    if (scientific) {
        point = 1;
    }
    if (point <= 0) {
        *out++ = '0', *out++ = '.';
        for (int i = point; i < 0; i++) {
            *out++ = '0';
        }
    }
    for (int i = 0; i < count; i++) {
        if (i == point && i > 0) {
            *out++ = '.';
        }
        *out++ = reversed[count - 1 - i];
    }
    return scientific ? out + snprintf(out, 8, "e%d", exponent) : out;
}

/* The C library's way, for what the search does not cover: rounded to 1, 2, 3 ... digits until it reads back. No
   decimal point is read or written, since the program's locale may spell it otherwise. */
static void shortest_printed(double value, bool is_float, uint64_t *digits, int *decimals) {
    char printed[MAX_NUMBER];
    for (int precision = 1; precision <= 17; precision++) {
        snprintf(printed, sizeof printed, "%.*e", precision - 1, value);
        uint64_t nearest = 0;
        const char *next = printed;
        for (; *next != 'e'; next++) {
            nearest = *next >= '0' && *next <= '9' ? nearest * 10 + (uint64_t)(*next - '0') : nearest;
        }
        *decimals = precision - 1 - atoi(next + 1);
        for (*digits = nearest; *digits <= nearest + 1; ++*digits) { /* above a power of two the gap is wider */
            snprintf(printed, sizeof printed, "%" PRIu64 "e%d", *digits, -*decimals);
            double read = is_float ? (double)strtof(printed, NULL) : strtod(printed, NULL);
            if (read >= value && read <= value) {
                return;
            }
        }
    }
}

static void add_number(struct json *json, double value, struct binary binary, bool is_float) {
    char number[MAX_NUMBER], *out = number;
    uint64_t digits = 0;
    int decimals = 0;
    if (!isfinite(value)) {
        add_chars(json, "null");
        return;
    }
    if (binary.mantissa == 0) {
        add_chars(json, signbit(value) ? "-0.0" : "0"); /* "-0" would read back as an integer, without its sign */
        return;
    }
    if (!shortest_decimal(binary, &digits, &decimals)) {
        shortest_printed(fabs(value), is_float, &digits, &decimals);
    }
    if (value < 0) {
        *out++ = '-';
    }
    out = put_decimal(out, digits, decimals);
    fm_text_add_bytes(json->text, number, (size_t)(out - number));
}

void fm_json_number(struct json *json, const char *key, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint64_t fraction = bits & ((UINT64_C(1) << 52) - 1);
    int exponent = (int)(bits >> 52 & 0x7FF);
    struct binary binary = {
        .mantissa = exponent > 0 ? fraction | UINT64_C(1) << 52 : fraction,
        .exponent = (exponent > 0 ? exponent : 1) - 1075,
        .even_gap = fraction != 0 || exponent <= 1,
    };
    begin_value(json, key);
    add_number(json, value, binary, false);
}

void fm_json_float(struct json *json, const char *key, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t fraction = bits & ((UINT32_C(1) << 23) - 1);
    int exponent = (int)(bits >> 23 & 0xFF);
    struct binary binary = {
        .mantissa = exponent > 0 ? fraction | UINT32_C(1) << 23 : fraction,
        .exponent = (exponent > 0 ? exponent : 1) - 150,
        .even_gap = fraction != 0 || exponent <= 1,
    };
    begin_value(json, key);
    add_number(json, (double)value, binary, true);
}
