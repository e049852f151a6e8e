/* Wire: a walk over the protobuf bytes of an ONNX file before anything is decoded. The decoder recurses as deep as the
   file says and merges fields that come twice; both are refused here, where it costs no memory. Pure; any thread. */
#include <string.h>

#include "onnx/message.h"

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct walk {
    const uint8_t *start;
    const char *label;
    fm_error *error;
};

static fm_status damaged(const struct walk *walk, const uint8_t *at, const char *what) {
    return fm_fail(walk->error, FM_BAD_MODEL, "'%s' is not a valid ONNX file: %s at byte %zu; fetch the file again",
                   walk->label, what, (size_t)(at - walk->start));
}

/* Bytes of the varint at `at`; 0 when it does not end in time. */
static size_t read_varint(const uint8_t *at, const uint8_t *end, uint64_t *value) {
    *value = 0;
    for (size_t i = 0; i < 10 && at + i < end; i++) {
        *value |= (uint64_t)(at[i] & 0x7f) << (7 * i);
        if (at[i] < 0x80) {
            return i + 1;
        }
    }
    return 0;
}

struct wire_field {
    uint32_t id;
    uint32_t wire;
    const uint8_t *payload;
    size_t size;
};

static fm_status read_field(const struct walk *walk, const uint8_t **at, const uint8_t *end, struct wire_field *field) {
    uint64_t tag = 0, value = 0;
    size_t used = read_varint(*at, end, &tag);
    if (used == 0 || used > 5 || tag >> 3 == 0 || tag >> 3 > 0x1fffffff) {
        return damaged(walk, *at, "no field tag");
    }
    field->id = (uint32_t)(tag >> 3);
    field->wire = (uint32_t)(tag & 7);
    field->payload = *at + used;
    size_t left = (size_t)(end - field->payload);
    switch (field->wire) {
    case WIRE_VARINT:
        field->size = read_varint(field->payload, end, &value);
        if (field->size == 0) {
            return damaged(walk, field->payload, "an endless number");
        }
        break;
    case WIRE_FIXED64:
        field->size = 8;
        break;
    case WIRE_FIXED32:
        field->size = 4;
        break;
    case WIRE_BYTES:
        used = read_varint(field->payload, end, &value);
        if (used == 0 || value > left - used) {
            return damaged(walk, field->payload, "a length that reaches beyond its message");
        }
        field->payload += used;
        field->size = (size_t)value;
        left -= used;
        break;
    default:
        return damaged(walk, *at, "an unknown wire type");
    }
    if (field->size > left) {
        return damaged(walk, field->payload, "a number that is cut off");
    }
    *at = field->payload + field->size;
    return FM_OK;
}

/* Refuse a singular field's second appearance: the decoder would merge or replace what it had. */
static bool first_time(const ProtobufCMessageDescriptor *type, const ProtobufCFieldDescriptor *field, uint64_t *seen) {
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        return true;
    }
    uint64_t bit = (uint64_t)1 << (field - type->fields);
    bool first = (*seen & bit) == 0;
    *seen |= bit;
    return first;
}

static fm_status walk_message(const struct walk *walk, const ProtobufCMessageDescriptor *type, const uint8_t *at,
                              const uint8_t *end, int depth) {
    uint64_t seen = 0;
    if (depth > ONNX_MAX_DEPTH) {
        return damaged(walk, at, "graphs nested too deeply");
    }
    while (at < end) {
        struct wire_field found = {0};
        const uint8_t *here = at;
        fm_status status = read_field(walk, &at, end, &found);
        if (status != FM_OK) {
            return status;
        }
        const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field(type, found.id);
        if (field == NULL) {
            continue;
        }
        if (!first_time(type, field, &seen)) {
            return damaged(walk, here, "a field that may come once and comes twice");
        }
        bool bytes = found.wire == WIRE_BYTES;
        if (field->type == PROTOBUF_C_TYPE_STRING && bytes && memchr(found.payload, 0, found.size) != NULL) {
            return damaged(walk, here, "a name with a NUL byte");
        }
        if (field->type == PROTOBUF_C_TYPE_MESSAGE && bytes) {
            status = walk_message(walk, field->descriptor, found.payload, at, depth + 1);
            if (status != FM_OK) {
                return status;
            }
        }
    }
    return FM_OK;
}

fm_status fm_wire_check(const uint8_t *bytes, size_t size, const char *label, fm_error *error) {
    struct walk walk = {bytes, label, error};
    return walk_message(&walk, &fm_onnx__model__descriptor, bytes, bytes + size, 0);
}
