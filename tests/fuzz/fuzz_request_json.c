/* Fuzzer: JSON and MessagePack requests with pictures in them, and base64. The first byte says which. What was read
   keeps its limits, and base64 that was read is written and read again as the same bytes. */
#include "http/extract.h"
#include "http/msgpack.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT ((uint64_t)1 << 16)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void require(bool holds) {
    if (!holds)
        abort();
}

static void check_base64(const char *string, size_t length) {
    struct buffer bytes = {0}, again = {0};
    struct text text = {0};
    fm_error error = {0};
    fm_status status = fm_base64_read(string, length, LIMIT, &bytes, &error);
    require(status == FM_OK || ((status == FM_INVALID_ARGUMENT || status == FM_LIMIT) && error.message[0]));
    require(bytes.size <= LIMIT && (status == FM_OK || bytes.size == 0));
    if (status == FM_OK) {
        fm_text_add_base64(&text, bytes.bytes, bytes.size);
        require(fm_base64_read(fm_text_chars(&text), text.length, LIMIT, &again, &error) == FM_OK);
        require(again.size == bytes.size && memcmp(again.bytes, bytes.bytes, bytes.size) == 0);
    }
    fm_text_reset(&text);
    fm_buffer_reset(&again);
    fm_buffer_reset(&bytes);
}

static void check_request(const struct extract_request *request) {
    require(isfinite(request->threshold) && llabs(request->limit_faces) <= 1000000000);
    require(llabs(request->min_face_size) <= 1000000000);
    require(request->count <= EXTRACT_PICTURES && request->header_count <= EXTRACT_HEADERS);
    for (size_t i = 0; i < request->count; i++) {
        const struct extract_picture *picture = &request->pictures[i];
        require(!request->urls || picture->text);
        require(!picture->text || strlen(picture->text) == picture->size);
        if (picture->text) {
            check_base64(picture->text, picture->size);
        } else if (picture->size) {
            volatile uint8_t last = picture->bytes[picture->size - 1]; /* the sanitizer sees whether it is there */
            (void)last;
        }
    }
    for (size_t i = 0; i < request->header_count; i++) {
        require(request->headers[i][0][0] && !strpbrk(request->headers[i][0], "\r\n: "));
        require(!strpbrk(request->headers[i][1], "\r\n"));
    }
}

static void check_read(bool good, struct extract_request *request, const struct extract_failure *failure) {
    require(good || (failure->type && failure->error.status && failure->error.message[0]));
    if (good)
        check_request(request);
    fm_extract_reset(request);
}

/* Every item by itself: inside the document, and stepping over one ends inside it. */
static void check_items(const uint8_t *bytes, size_t size) {
    struct msgpack_reader reader = {bytes, bytes + size};
    struct msgpack_item item;
    while (fm_msgpack_next(&reader, &item)) {
        require(reader.at > bytes && reader.at <= reader.end);
        require(!item.bytes || (item.bytes > bytes && item.bytes + item.size == reader.at));
        struct msgpack_reader over = reader;
        require(!fm_msgpack_skip(&over, &item) || (over.at >= reader.at && over.at <= over.end));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct extract_request request;
    struct extract_failure failure;
    if (size == 0)
        return 0;
    switch (bytes[0] % 3) {
    case 0:
        check_read(fm_extract_read_json(bytes + 1, size - 1, &request, &failure), &request, &failure);
        break;
    case 1:
        check_read(fm_extract_read_msgpack(bytes + 1, size - 1, &request, &failure), &request, &failure);
        check_items(bytes + 1, size - 1);
        break;
    default:
        check_base64((const char *)bytes + 1, size - 1);
    }
    return 0;
}
