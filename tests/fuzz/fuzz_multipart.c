/* Fuzzer: forms. The input's first line is the Content-Type, the rest the body. Parts lie inside the body, in order and
   apart; names end; what a form has is found by its name. */
#include "http/multipart.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void require(bool holds) {
    if (!holds)
        abort();
}

static void check_part(const struct http_form *form, size_t index, const uint8_t *body, size_t size) {
    const struct http_part *part = &form->parts[index];
    const uint8_t *before = index ? form->parts[index - 1].bytes + form->parts[index - 1].size : body;
    require(part->bytes >= before && part->bytes + part->size <= body + size);
    require(part->name && part->type && strlen(part->name) <= size && strlen(part->type) <= size);
    require(!part->filename || strlen(part->filename) <= size);
    require(strncasecmp(part->type, "multipart/", 10) != 0);
    const struct http_part *found = fm_http_form_part(form, part->name);
    require(found && found <= part && strcmp(found->name, part->name) == 0);
}

static void check_text(struct http_form *form, const char *name) {
    const struct http_part *part = fm_http_form_part(form, name);
    const char *text = fm_http_form_text(form, name);
    require((text != NULL) == (part->size == 0 || !memchr(part->bytes, 0, part->size)));
    require(!text || (strlen(text) == part->size && memcmp(text, part->bytes, part->size) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    const uint8_t *end = size ? memchr(bytes, '\n', size) : NULL;
    size_t length = end ? (size_t)(end - bytes) : size;
    const uint8_t *body = end ? end + 1 : bytes + size;
    size_t body_size = size - (size_t)(body - bytes);
    struct http_form form;
    fm_error error = {0};
    char *type = malloc(length + 1);
    require(type != NULL);
    if (length)
        memcpy(type, bytes, length);
    type[length] = 0;
    fm_status status = fm_http_form_parse(type, body, body_size, &form, &error);
    require(status == FM_OK || (status == FM_INVALID_ARGUMENT && error.status == status && error.message[0]));
    require(form.count <= HTTP_PARTS);
    for (size_t i = 0; i < form.count; i++)
        check_part(&form, i, body, body_size);
    if (status == FM_OK && form.count > 0) {
        check_text(&form, form.parts[form.count - 1].name);
        require(fm_http_type_is(type, "multipart/form-data"));
    }
    fm_http_form_reset(&form);
    free(type);
    return 0;
}
