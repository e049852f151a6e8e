/* Tensor descriptions: element sizes and counts, with every product checked. Pure; any thread. */
#include "base/tensor.h"

#include "base/memory.h"

size_t fm_dtype_size(enum dtype dtype) {
    switch (dtype) {
    case DTYPE_U8:
    case DTYPE_I8:
    case DTYPE_BOOL:
        return 1;
    case DTYPE_F16:
    case DTYPE_BF16:
        return 2;
    case DTYPE_F32:
    case DTYPE_I32:
        return 4;
    case DTYPE_I64:
    case DTYPE_F64:
        return 8;
    case DTYPE_NONE:
        break;
    }
    return 0;
}

const char *fm_dtype_name(enum dtype dtype) {
    switch (dtype) {
    case DTYPE_F32:
        return "f32";
    case DTYPE_U8:
        return "u8";
    case DTYPE_I8:
        return "i8";
    case DTYPE_I32:
        return "i32";
    case DTYPE_I64:
        return "i64";
    case DTYPE_BOOL:
        return "bool";
    case DTYPE_F16:
        return "f16";
    case DTYPE_F64:
        return "f64";
    case DTYPE_BF16:
        return "bf16";
    case DTYPE_NONE:
        return "none";
    }
    return "unknown";
}

bool fm_tensor_elements(const struct tensor *tensor, size_t *elements) {
    if (tensor->rank < 0 || tensor->rank > FM_MAX_RANK) {
        return false;
    }
    bool empty = false;
    size_t product = 1;
    for (int i = 0; i < tensor->rank; i++) {
        if (tensor->dims[i] < 0 || (uint64_t)tensor->dims[i] > SIZE_MAX) {
            return false;
        }
        empty = empty || tensor->dims[i] == 0;
    }
    for (int i = 0; i < tensor->rank && !empty; i++) {
        if (!fm_size_multiply(product, (size_t)tensor->dims[i], &product)) {
            return false;
        }
    }
    *elements = empty ? 0 : product;
    return true;
}

bool fm_tensor_size(const struct tensor *tensor, size_t *bytes) {
    size_t elements, element_size = fm_dtype_size(tensor->dtype);
    return element_size > 0 && fm_tensor_elements(tensor, &elements) && fm_size_multiply(elements, element_size, bytes);
}
