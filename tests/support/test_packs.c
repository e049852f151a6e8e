/* Test packs: folders of made networks, as rows of one table; and files that are wrong in a known way. */
#include <stdio.h>
#include <string.h>

#include "base/os.h"
#include "support/onnx_maker.h"

/* ------------------------------------------------- a model with data elsewhere, byte by byte */

static bool put_number(struct buffer *out, uint64_t value) {
    uint8_t bytes[10];
    size_t used = 0;
    do {
        bytes[used++] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
    } while (value != 0);
    return fm_buffer_append(out, bytes, used, 0);
}

static bool put_integer(struct buffer *out, uint32_t field, uint64_t value) {
    return put_number(out, (uint64_t)field << 3) && put_number(out, value);
}

static bool put_bytes(struct buffer *out, uint32_t field, const void *bytes, size_t size) {
    return put_number(out, ((uint64_t)field << 3) | 2) && put_number(out, size) &&
           fm_buffer_append(out, bytes, size, 0);
}

static bool put_text(struct buffer *out, uint32_t field, const char *text) {
    return put_bytes(out, field, text, strlen(text));
}

/* Our reader refuses such files, so it cannot write one: field numbers are those of onnx.proto. */
fm_status fm_maker_external(struct buffer *onnx, fm_error *error) {
    struct buffer entry = {0}, tensor = {0}, graph = {0}, opset = {0};
    bool made = put_text(&entry, 1, "location") && put_text(&entry, 2, "weights.bin") && put_integer(&tensor, 1, 4) &&
                put_integer(&tensor, 2, 1) && put_text(&tensor, 8, "weights") &&
                put_bytes(&tensor, 13, entry.bytes, entry.size) && put_integer(&tensor, 14, 1) &&
                put_text(&graph, 2, "external") && put_bytes(&graph, 5, tensor.bytes, tensor.size) &&
                put_integer(&opset, 2, 11) && put_integer(onnx, 1, 7) && put_bytes(onnx, 7, graph.bytes, graph.size) &&
                put_bytes(onnx, 8, opset.bytes, opset.size);
    fm_buffer_reset(&entry);
    fm_buffer_reset(&tensor);
    fm_buffer_reset(&graph);
    fm_buffer_reset(&opset);
    return made ? FM_OK : fm_fail(error, FM_OUT_OF_MEMORY, "no memory for a small model");
}

/* ------------------------------------------------------------------------- packs */

static fm_status save(const char *folder, const char *name, const struct buffer *onnx, size_t size, fm_error *error) {
    char path[4096];
    if (!fm_path_join(path, sizeof path, folder, name)) {
        return fm_fail(error, FM_INVALID_ARGUMENT, "the path of '%s' is too long", name);
    }
    return fm_file_write(path, onnx->bytes, size, error);
}

static fm_status save_detector(const char *folder, enum maker_detector kind, fm_error *error) {
    struct buffer onnx = {0};
    fm_status status = fm_maker_detector(kind, &onnx, error);
    if (status == FM_OK) {
        status = save(folder, "detector.onnx", &onnx, onnx.size, error);
    }
    fm_buffer_reset(&onnx);
    return status;
}

static fm_status save_embedder(const char *folder, enum maker_embedder kind, fm_error *error) {
    struct buffer onnx = {0};
    fm_status status = fm_maker_embedder(kind, &onnx, error);
    if (status == FM_OK) {
        status = save(folder, "embedder.onnx", &onnx, onnx.size, error);
    }
    fm_buffer_reset(&onnx);
    return status;
}

static fm_status save_pair(const char *folder, enum maker_detector detector, enum maker_embedder embedder,
                           fm_error *error) {
    fm_status status = save_detector(folder, detector, error);
    return status == FM_OK ? save_embedder(folder, embedder, error) : status;
}

static fm_status write_stock(const char *folder, fm_error *error) {
    return save_pair(folder, MAKER_STOCK, MAKER_PLAIN, error);
}

static fm_status write_batched(const char *folder, fm_error *error) {
    return save_pair(folder, MAKER_BATCHED, MAKER_PLAIN, error);
}

static fm_status write_unknown(const char *folder, fm_error *error) {
    return save_pair(folder, MAKER_UNKNOWN, MAKER_ONE_BATCH, error);
}

static fm_status write_foreign(const char *folder, fm_error *error) {
    return save_pair(folder, MAKER_STOCK, MAKER_FOREIGN, error);
}

static fm_status write_normalised(const char *folder, fm_error *error) {
    return save_pair(folder, MAKER_NO_POINTS, MAKER_NORMALISED, error);
}

static fm_status write_detector(const char *folder, fm_error *error) {
    return save_detector(folder, MAKER_STOCK, error);
}

static fm_status write_det_10g(const char *folder, fm_error *error) {
    struct buffer onnx = {0};
    fm_status status = fm_maker_det_10g(1, 1, &onnx, error);
    if (status == FM_OK) {
        status = save(folder, "detector.onnx", &onnx, onnx.size, error);
    }
    fm_buffer_reset(&onnx);
    return status == FM_OK ? save_embedder(folder, MAKER_PLAIN, error) : status;
}

/* Good networks beside files that are not: the pack opens, and its notes name the others. */
static fm_status write_damaged(const char *folder, fm_error *error) {
    struct buffer onnx = {0}, other = {0};
    fm_status status = write_stock(folder, error);
    if (status == FM_OK) {
        status = fm_maker_embedder(MAKER_PLAIN, &onnx, error);
    }
    if (status == FM_OK) {
        status = save(folder, "a_cut_off.onnx", &onnx, onnx.size / 2, error);
    }
    if (status == FM_OK) {
        status = fm_maker_external(&other, error);
    }
    if (status == FM_OK) {
        status = save(folder, "b_external.onnx", &other, other.size, error);
    }
    fm_buffer_reset(&onnx);
    fm_buffer_reset(&other);
    return status;
}

static const struct maker_pack packs[] = {
    {"stock", "detector as det_500m (batch 1 declared, rank 2 heads), embedder that declares [1,512]", write_stock},
    {"batched", "detector as scrfd_500m_bnkps (dynamic batch, rank 3 heads), embedder", write_batched},
    {"unknown", "heads whose row order is not understood, embedder with the batch written in: one at a time",
     write_unknown},
    {"foreign", "embedder with a node (LpPool 'foreign_pool') that OpenVINO leaves to the CPU", write_foreign},
    {"normalised", "detector without points, embedder that normalises its pixels itself", write_normalised},
    {"detector", "a detector alone", write_detector},
    {"det_10g", "the structure of det_10g with seeded random weights (15 MB), embedder", write_det_10g},
    {"damaged", "as stock, beside a file that is cut off and one with its data elsewhere", write_damaged},
};

const struct maker_pack *fm_maker_pack(size_t index) {
    return index < sizeof packs / sizeof packs[0] ? &packs[index] : NULL;
}

fm_status fm_maker_write(const char *folder, const char *name, fm_error *error) {
    for (size_t i = 0; fm_maker_pack(i) != NULL; i++) {
        if (strcmp(packs[i].name, name) == 0) {
            fm_status status = fm_folder_make(folder, error);
            return status == FM_OK ? packs[i].write(folder, error) : status;
        }
    }
    return fm_fail(error, FM_NOT_FOUND, "there is no test pack '%s'; see --help", name);
}
