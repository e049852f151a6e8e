/* Multipart: a form's body is cut at its boundary, and each part's headers are copied once, so that names can be
   unescaped and ended where they stand. As strict as the body has to be to mean one thing only: lines end with CRLF
   (RFC 2046 5.1.1; a bare LF could as well belong to a picture), every part has a name (RFC 7578 4.2), nothing is
   encoded or nested (4.3, 4.7). As forgiving as clients need: text before the first and behind the last boundary, white
   space behind one, boundaries of any visible characters (many send "*****"), folded headers, values without quotes,
   backslashes of Windows paths, filename* (RFC 5987). Every byte is looked at a bounded number of times. Pure. */
#include "http/multipart.h"

#include <string.h>
#include <strings.h>

#define BOUNDARY 70               /* characters, RFC 2046 5.1.1 */
#define HEADERS ((size_t)8 << 10) /* bytes of one part */
#define FIRST_PARTS 4

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

static char *skip_blanks(char *at) {
    while (is_blank(*at))
        at++;
    return at;
}

static void trim_end(char *start, char *end) {
    while (end > start && is_blank(end[-1]))
        end--;
    *end = 0;
}

bool fm_http_type_is(const char *type, const char *wanted) {
    size_t length = strlen(wanted);
    while (is_blank(*type))
        type++;
    return strncasecmp(type, wanted, length) == 0 && (!type[length] || type[length] == ';' || is_blank(type[length]));
}

/* ------------------------------------------------------------------- parameters */

/* A quoted string behind its first quote, unescaped where it stands; NULL when it never ends. Only quotes and
   backslashes are escaped by those who escape: the others are a path's. */
static char *end_quoted(char *at) {
    char *out = at;
    for (; *at && *at != '"'; at++) {
        if (*at == '\\' && (at[1] == '"' || at[1] == '\\'))
            at++;
        *out++ = *at;
    }
    if (!*at)
        return NULL;
    *out = 0;
    return skip_blanks(at + 1);
}

/* Take the next `; name=value` off *at; a word alone has the value "". False at the end, and with *at NULL where quotes
   do not match. */
static bool next_parameter(char **at, char **name, char **value) {
    char *next = skip_blanks(*at);
    while (*next == ';')
        next = skip_blanks(next + 1);
    if (!*next)
        return false;
    char *equals = next + strcspn(next, "=;"), *end;
    *name = next;
    *value = *equals == '=' ? skip_blanks(equals + 1) : equals;
    if (*equals == '=' && **value == '"') {
        end = end_quoted(++*value);
        *at = end && (!*end || *end == ';') ? end : NULL;
    } else {
        end = *value + strcspn(*value, ";");
        *at = *end ? end + 1 : end;
        trim_end(*value, end);
    }
    trim_end(*name, equals);
    return *at != NULL;
}

static int hex_digit(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* RFC 5987's UTF-8'language'percent-encoded, decoded where it stands; NULL for another character set or damage. */
static char *decode_extended(char *value) {
    char *language = strchr(value, '\''), *text = language ? strchr(language + 1, '\'') : NULL;
    if (!text || strncasecmp(value, "utf-8'", 6) != 0)
        return NULL;
    char *out = ++text, *start = out;
    for (; *text; text++) {
        if (*text != '%') {
            *out++ = *text;
            continue;
        }
        int high = hex_digit(text[1]), low = high >= 0 ? hex_digit(text[2]) : -1;
        if (low < 0 || high + low == 0)
            return NULL;
        *out++ = (char)(high * 16 + low);
        text += 2;
    }
    *out = 0;
    return start;
}

/* ------------------------------------------------------------------------ parts */

struct reader {
    const uint8_t *bytes;
    size_t size, at;
    char line[BOUNDARY + 5]; /* CRLF--boundary */
    size_t line_size, room;
    struct http_form *form;
    fm_error *error;
};

static fm_status fail_part(const struct reader *reader, const char *words) {
    return fm_fail(reader->error, FM_INVALID_ARGUMENT, "part %zu of the form %s", reader->form->count + 1, words);
}

static fm_status fail_memory(fm_error *error) {
    return fm_fail(error, FM_OUT_OF_MEMORY, "no memory to read the form");
}

static fm_status read_boundary(struct reader *reader, const char *type) {
    char *copy = NULL, *at, *name, *value, *boundary = NULL;
    if (!fm_http_type_is(type, "multipart/form-data"))
        return fm_fail(reader->error, FM_INVALID_ARGUMENT,
                       "Content-Type is '%.80s', expected multipart/form-data with a boundary", type);
    if ((copy = fm_arena_copy(&reader->form->arena, type)) == NULL)
        return fail_memory(reader->error);
    at = copy + strcspn(copy, ";");
    while (!boundary && next_parameter(&at, &name, &value))
        boundary = strcasecmp(name, "boundary") == 0 ? value : NULL;
    size_t length = boundary ? strlen(boundary) : 0;
    bool visible = length >= 1 && length <= BOUNDARY && boundary[length - 1] != ' ';
    for (size_t i = 0; visible && i < length; i++)
        visible = boundary[i] >= ' ' && boundary[i] <= '~';
    if (!visible)
        return fm_fail(reader->error, FM_INVALID_ARGUMENT,
                       "Content-Type of the form names no boundary of 1 to 70 visible characters; add "
                       "'; boundary=...'");
    memcpy(reader->line, "\r\n--", 4);
    memcpy(reader->line + 4, boundary, length);
    reader->line_size = 4 + length;
    return FM_OK;
}

/* What stands behind a boundary's characters: two hyphens (*last), or white space and the end of the line, behind which
 *after is. Anything else is contents that begin alike. */
static bool is_delimiter(const struct reader *reader, size_t at, size_t *after, bool *last) {
    const uint8_t *bytes = reader->bytes;
    *last = reader->size - at >= 2 && bytes[at] == '-' && bytes[at + 1] == '-';
    while (!*last && at < reader->size && is_blank((char)bytes[at]))
        at++;
    *after = at + 2;
    return *last || (reader->size - at >= 2 && bytes[at] == '\r' && bytes[at + 1] == '\n');
}

/* The next delimiter whose CRLF is at or behind `from`; *start is where that is. */
static bool find_delimiter(const struct reader *reader, size_t from, size_t *start, size_t *after, bool *last) {
    const uint8_t *bytes = reader->bytes, *found;
    while (from < reader->size && (found = memchr(bytes + from, '\r', reader->size - from)) != NULL) {
        from = (size_t)(found - bytes);
        if (reader->size - from < reader->line_size)
            return false;
        if (memcmp(found, reader->line, reader->line_size) == 0 &&
            is_delimiter(reader, from + reader->line_size, after, last)) {
            *start = from;
            return true;
        }
        from++;
    }
    return false;
}

static bool find_first(const struct reader *reader, size_t *after, bool *last) {
    size_t start, length = reader->line_size - 2; /* without its CRLF */
    if (reader->size >= length && memcmp(reader->bytes, reader->line + 2, length) == 0 &&
        is_delimiter(reader, length, after, last))
        return true;
    return find_delimiter(reader, 0, &start, after, last);
}

/* Copy the headers at reader->at, a NUL behind each and one more at the end, folded ones made one; reader->at becomes
   the CRLF of the empty line. */
static fm_status copy_headers(struct reader *reader, char **headers) {
    const uint8_t *bytes = reader->bytes + reader->at;
    size_t left = reader->size - reader->at, size = 0, at = 0;
    bool end = false;
    left = left < HEADERS ? left : HEADERS;
    for (size = 0; !end && size + 1 < left; size++) {
        if (!bytes[size] || bytes[size] == '\n' || (bytes[size] == '\r' && bytes[size + 1] != '\n'))
            return fail_part(reader,
                             "has a header line that does not end with CRLF, or a byte that no header may have");
        if (bytes[size] != '\r')
            continue;
        end = size == at; /* an empty line */
        at = size + 2;
        size++;
    }
    if (!end)
        return fail_part(reader, "has headers that do not end within 8192 bytes, or is cut off there");
    size -= 2;
    char *out = *headers = fm_arena_alloc(&reader->form->arena, size + 2);
    if (out == NULL)
        return fail_memory(reader->error);
    for (at = 0; at < size; at++) {
        bool line_end = bytes[at] == '\r', fold = line_end && is_blank((char)bytes[at + 2]);
        *out++ = (char)(fold ? ' ' : line_end ? 0 : bytes[at]);
        at += line_end;
    }
    reader->at += size;
    return FM_OK;
}

static fm_status take_disposition(const struct reader *reader, char *value, struct http_part *part) {
    char *at = value + strcspn(value, ";"), *name, *text, *extended_name = NULL, *extended = NULL;
    if (!fm_http_type_is(value, "form-data"))
        return fail_part(reader, "has a Content-Disposition other than form-data");
    while (next_parameter(&at, &name, &text)) {
        if (!part->name && strcasecmp(name, "name") == 0)
            part->name = text;
        else if (!part->filename && strcasecmp(name, "filename") == 0)
            part->filename = text;
        else if (!extended_name && strcasecmp(name, "name*") == 0)
            extended_name = decode_extended(text);
        else if (!extended && strcasecmp(name, "filename*") == 0)
            extended = decode_extended(text);
    }
    if (at == NULL)
        return fail_part(reader, "has a Content-Disposition whose quotes do not match");
    part->name = extended_name ? extended_name : part->name;
    part->filename = extended ? extended : part->filename; /* RFC 6266 4.3: the better one where both are */
    return FM_OK;
}

static bool is_plain_encoding(const char *value) {
    return fm_http_type_is(value, "binary") || fm_http_type_is(value, "8bit") || fm_http_type_is(value, "7bit");
}

static fm_status take_header(const struct reader *reader, char *line, struct http_part *part) {
    char *colon = strchr(line, ':');
    if (!colon || colon == line)
        return fail_part(reader, "has a header line without a name and a colon");
    char *value = skip_blanks(colon + 1);
    trim_end(line, colon);
    trim_end(value, value + strlen(value));
    if (strcasecmp(line, "content-disposition") == 0)
        return take_disposition(reader, value, part);
    if (strcasecmp(line, "content-transfer-encoding") == 0 && !is_plain_encoding(value))
        return fail_part(reader, "is encoded (Content-Transfer-Encoding); send its bytes as they are");
    if (strcasecmp(line, "content-type") == 0 && strncasecmp(value, "multipart/", 10) == 0)
        return fail_part(reader, "is a multipart itself; give each file a part of the form");
    if (strcasecmp(line, "content-type") == 0)
        part->type = value;
    return FM_OK;
}

static fm_status read_headers(struct reader *reader, struct http_part *part) {
    char *line = NULL;
    fm_status status = copy_headers(reader, &line);
    *part = (struct http_part){.type = ""};
    while (status == FM_OK && *line) {
        char *next = line + strlen(line) + 1;
        status = take_header(reader, line, part);
        line = next;
    }
    if (status == FM_OK && !part->name)
        status = fail_part(reader, "has no name; add 'Content-Disposition: form-data; name=...'");
    return status;
}

static fm_status add_part(struct reader *reader, const struct http_part *part) {
    struct http_form *form = reader->form;
    if (form->count == HTTP_PARTS)
        return fm_fail(reader->error, FM_INVALID_ARGUMENT, "the form has more than %d parts; send several requests",
                       HTTP_PARTS);
    if (form->count == reader->room) {
        size_t room = reader->room ? reader->room * 2 : FIRST_PARTS;
        struct http_part *parts = fm_arena_alloc(&form->arena, room * sizeof *parts);
        if (parts == NULL)
            return fail_memory(reader->error);
        if (form->count)
            memcpy(parts, form->parts, form->count * sizeof *parts);
        form->parts = parts;
        reader->room = room;
    }
    form->parts[form->count++] = *part;
    return FM_OK;
}

static fm_status read_part(struct reader *reader, bool *last) {
    struct http_part part;
    size_t end, after;
    fm_status status = read_headers(reader, &part);
    if (status != FM_OK)
        return status;
    /* the empty line's CRLF may be the delimiter's own: a part of no bytes */
    if (!find_delimiter(reader, reader->at, &end, &after, last))
        return fail_part(reader,
                         "never ends: the boundary that Content-Type names does not follow on a line of its own");
    size_t start = end == reader->at ? end : reader->at + 2;
    part.bytes = reader->bytes + start;
    part.size = end - start;
    reader->at = after;
    return add_part(reader, &part);
}

fm_status fm_http_form_parse(const char *type, const uint8_t *body, size_t size, struct http_form *form,
                             fm_error *error) {
    struct reader reader = {.bytes = body, .size = size, .form = form, .error = error};
    bool last = false;
    *form = (struct http_form){0};
    fm_status status = read_boundary(&reader, type);
    if (status == FM_OK && !find_first(&reader, &reader.at, &last))
        status = fm_fail(error, FM_INVALID_ARGUMENT,
                         "the form has no line '%s', which its Content-Type says begins a part; lines end with CRLF",
                         reader.line + 2);
    while (status == FM_OK && !last)
        status = read_part(&reader, &last);
    return status;
}

void fm_http_form_reset(struct http_form *form) {
    fm_arena_reset(&form->arena);
    *form = (struct http_form){0};
}

const struct http_part *fm_http_form_part(const struct http_form *form, const char *name) {
    for (size_t i = 0; i < form->count; i++)
        if (strcmp(form->parts[i].name, name) == 0)
            return &form->parts[i];
    return NULL;
}

const char *fm_http_form_text(struct http_form *form, const char *name) {
    const struct http_part *part = fm_http_form_part(form, name);
    if (!part || (part->size && memchr(part->bytes, 0, part->size)))
        return NULL;
    char *text = fm_arena_alloc(&form->arena, part->size + 1);
    if (text && part->size)
        memcpy(text, part->bytes, part->size);
    return text;
}
