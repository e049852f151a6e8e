/* Values: what the words behind an option may be, by the option's type. Pure. */
#include "config/config.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool parse_integer(const char *text, int64_t *value) {
    char *end = NULL;
    if (!text[0] || text[0] == ' ' || text[0] == '+')
        return false;
    errno = 0;
    long long parsed = strtoll(text, &end, 10);
    *value = parsed;
    return errno == 0 && *end == 0;
}

static bool parse_number(const char *text, double *value) {
    char *end = NULL;
    if (!text[0] || strspn(text, "+-.0123456789eE") != strlen(text))
        return false; /* no hexadecimal, "inf" or "nan" */
    *value = strtod(text, &end);
    return *end == 0 && isfinite(*value);
}

bool fm_value_flag(const char *text, bool *value) {
    static const char *const yes[] = {"yes", "true", "1", "on"}, *const no[] = {"no", "false", "0", "off"};
    for (int i = 0; i < 4; i++) {
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            *value = strcmp(text, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

bool fm_value_bytes(const char *text, uint64_t *value) {
    static const char units[] = "KMGT";
    char *end = NULL;
    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    int shift = 0;
    if (*end) {
        const char *unit = strchr(units, *end & ~0x20);
        if (!unit || end[1])
            return false;
        shift = 10 * (int)(unit - units + 1);
    }
    *value = (uint64_t)number << shift;
    return errno == 0 && number <= (uint64_t)INT64_MAX >> shift;
}

bool fm_value_pair(const char *text, size_t *colon, size_t *equals) {
    const char *sign = strchr(text, '=');
    if (!sign)
        return false;
    *equals = (size_t)(sign - text);
    /* A provider's own name has a colon (ort:cuda): the last one before '=' is the border. */
    for (size_t i = *equals; i-- > 1;) {
        if (text[i] == ':') {
            *colon = i;
            return i + 1 < *equals;
        }
    }
    return false;
}

static bool check_choice(const char *choices, const char *text) {
    size_t length = strlen(text);
    for (const char *word = choices; word && length && !strchr(text, '|'); word = strchr(word, '|')) {
        word += *word == '|';
        if (strncmp(word, text, length) == 0 && (word[length] == '|' || word[length] == 0))
            return true;
    }
    return false;
}

static bool check_sizes(const struct option_row *row, const char *text) {
    int count = 0;
    for (;;) {
        char *end = NULL;
        if (*text < '0' || *text > '9' || ++count > FM_MAX_DET_SIZES)
            return false;
        unsigned long size = strtoul(text, &end, 10);
        if ((double)size < row->low || (double)size > row->high || size % 32 != 0)
            return false;
        if (*end == 0)
            return true;
        if (*end != ',')
            return false;
        text = end + 1;
    }
}

/* What a row takes, in words. */
static void describe(const struct option_row *row, char *expected, size_t size) {
    switch (row->type) {
    case OPTION_FLAG:
        snprintf(expected, size, "yes or no");
        break;
    case OPTION_INTEGER:
        snprintf(expected, size, "a whole number from %.0f to %.0f", row->low, row->high);
        break;
    case OPTION_NUMBER:
        snprintf(expected, size, "a number from %g to %g", row->low, row->high);
        break;
    case OPTION_BYTES:
        snprintf(expected, size, "a size in bytes such as 1048576, 512M or 2G");
        break;
    case OPTION_CHOICE:
        snprintf(expected, size, "one of %s", row->choices);
        break;
    case OPTION_SIZES:
        snprintf(expected, size, "1 to %d sizes such as 640 or 128,640: multiples of 32 from %.0f to %.0f",
                 FM_MAX_DET_SIZES, row->low, row->high);
        break;
    case OPTION_DEVICE:
        snprintf(expected, size, "cpu, or the index of a device from 0 to %.0f", row->high);
        break;
    case OPTION_PAIR:
        snprintf(expected, size, "%s",
                 strncmp(row->value_name, "FILE:", 5) == 0
                     ? "FILE:KEY=VALUE such as adaface.onnx:order=bgr"
                     : "PROVIDER:KEY=VALUE such as ort:cuda:cudnn_conv_algo_search=HEURISTIC");
        break;
    case OPTION_TEXT:
    case OPTION_LIST:
        snprintf(expected, size, "%s", row->value_name);
        break;
    }
}

static bool check(const struct option_row *row, const char *text) {
    int64_t whole = 0;
    double number = 0;
    uint64_t bytes = 0;
    bool flag = false;
    size_t colon = 0, equals = 0;
    switch (row->type) {
    case OPTION_FLAG:
        return fm_value_flag(text, &flag);
    case OPTION_INTEGER:
        return parse_integer(text, &whole) && (double)whole >= row->low && (double)whole <= row->high;
    case OPTION_NUMBER:
        return parse_number(text, &number) && number >= row->low && number <= row->high;
    case OPTION_BYTES:
        return fm_value_bytes(text, &bytes) && (double)bytes >= row->low;
    case OPTION_CHOICE:
        return check_choice(row->choices, text);
    case OPTION_SIZES:
        return check_sizes(row, text);
    case OPTION_DEVICE:
        return strcmp(text, "cpu") == 0 ||
               (parse_integer(text, &whole) && (double)whole >= row->low && (double)whole <= row->high);
    case OPTION_PAIR:
        return fm_value_pair(text, &colon, &equals);
    case OPTION_TEXT:
    case OPTION_LIST:
        return text[0] != 0;
    }
    return false;
}

bool fm_value_check(const struct option_row *row, const char *text, char *expected, size_t size) {
    bool fits = check(row, text);
    if (!fits)
        describe(row, expected, size);
    return fits;
}
