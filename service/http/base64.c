/* Base64 in: four digits at a time while they are all digits, one at a time around white space and the end. Pure. */
#include "http/multipart.h"

#include <string.h>
#include <strings.h>

enum { NONE = 255, BLANK = 254 };

static uint8_t digit_of(uint8_t c) {
    if (c >= 'A' && c <= 'Z')
        return (uint8_t)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (uint8_t)(c - 'a' + 26);
    if (c >= '0' && c <= '9')
        return (uint8_t)(c - '0' + 52);
    if (c == '+' || c == '-')
        return 62;
    if (c == '/' || c == '_')
        return 63;
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' ? BLANK : NONE;
}

struct decoder {
    uint8_t digits[256];
    const uint8_t *text;
    size_t length, at;
    uint8_t *out;
    size_t size, room;
    uint32_t bits; /* of the group that is open */
    int open;      /* its digits so far */
};

static void decode_groups(struct decoder *decoder) {
    const uint8_t *digits = decoder->digits;
    while (decoder->length - decoder->at >= 4 && decoder->room - decoder->size >= 3) {
        const uint8_t *next = decoder->text + decoder->at;
        uint32_t a = digits[next[0]], b = digits[next[1]], c = digits[next[2]], d = digits[next[3]];
        if ((a | b | c | d) >= 64)
            return;
        uint8_t *out = decoder->out + decoder->size;
        out[0] = (uint8_t)(a << 2 | b >> 4);
        out[1] = (uint8_t)(b << 4 | c >> 2);
        out[2] = (uint8_t)(c << 6 | d);
        decoder->at += 4;
        decoder->size += 3;
    }
}

static bool put(struct decoder *decoder, uint32_t byte) {
    if (decoder->size == decoder->room)
        return false;
    decoder->out[decoder->size++] = (uint8_t)byte;
    return true;
}

/* One more digit; false when a byte finds no room. */
static bool take_digit(struct decoder *decoder, uint32_t digit) {
    decoder->bits = decoder->bits << 6 | digit;
    decoder->open = (decoder->open + 1) & 3;
    return decoder->open == 1 || put(decoder, decoder->bits >> (decoder->open == 2   ? 4
                                                                : decoder->open == 3 ? 2
                                                                                     : 0) &
                                                  255);
}

/* Everything up to the end or the first `=`; FM_INVALID_ARGUMENT leaves `at` at what is no digit. */
static fm_status decode_digits(struct decoder *decoder) {
    while (decoder->at < decoder->length) {
        if (decoder->open == 0)
            decode_groups(decoder);
        if (decoder->at == decoder->length || decoder->text[decoder->at] == '=')
            break;
        uint8_t digit = decoder->digits[decoder->text[decoder->at]];
        if (digit == NONE)
            return FM_INVALID_ARGUMENT;
        if (digit != BLANK && !take_digit(decoder, digit))
            return FM_LIMIT;
        decoder->at++;
    }
    return FM_OK;
}

/* No padding at all, or what completes the group; white space anywhere. Leaves `at` at what is too much. */
static bool check_padding(struct decoder *decoder) {
    int wanted = decoder->open == 2 ? 2 : decoder->open == 3 ? 1 : 0, found = 0;
    for (; decoder->at < decoder->length; decoder->at++) {
        uint8_t c = decoder->text[decoder->at];
        if (c == '=' ? ++found > wanted : decoder->digits[c] != BLANK)
            return false;
    }
    return decoder->open != 1 && (found == 0 || found == wanted);
}

static fm_status fail_place(const struct decoder *decoder, fm_error *error) {
    if (decoder->at < decoder->length)
        return fm_fail(error, FM_INVALID_ARGUMENT, "not base64: character %zu (0x%02x) does not belong there",
                       decoder->at + 1, decoder->text[decoder->at]);
    return fm_fail(error, FM_INVALID_ARGUMENT, "not base64: it is cut off after %zu characters", decoder->length);
}

/* Where the text of a data: URI begins, or 0. */
static size_t data_start(const char *text, size_t length) {
    size_t start = length;
    if (length < 5 || strncasecmp(text, "data:", 5) != 0)
        return 0;
    while (start > 0 && text[start - 1] != ',')
        start--;
    return start;
}

fm_status fm_base64_read(const char *text, size_t length, uint64_t limit, struct buffer *bytes, fm_error *error) {
    struct decoder decoder = {.text = (const uint8_t *)text, .length = length, .at = data_start(text, length)};
    size_t most = (length - decoder.at) / 4 * 3 + 3;
    most = most > limit ? (size_t)limit : most;
    if (!fm_buffer_resize(bytes, most))
        return fm_fail(error, FM_OUT_OF_MEMORY, "no memory for %zu bytes of base64", most);
    decoder.out = bytes->bytes;
    decoder.room = most;
    for (int c = 0; c < 256; c++)
        decoder.digits[c] = digit_of((uint8_t)c);
    fm_status status = decode_digits(&decoder);
    if (status == FM_OK && !check_padding(&decoder))
        status = FM_INVALID_ARGUMENT;
    if (!fm_buffer_resize(bytes, status == FM_OK ? decoder.size : 0)) /* shrinks: nothing is allocated */
        return fm_fail(error, FM_OUT_OF_MEMORY, "no memory for base64");
    if (status == FM_LIMIT)
        return fm_fail(error, FM_LIMIT, "base64 of more than the %llu bytes allowed", (unsigned long long)limit);
    return status == FM_OK ? FM_OK : fail_place(&decoder, error);
}
