/* Tensor: shape, element type and where the bytes are. A plain description; ownership is the holder's. */
#ifndef FM_BASE_TENSOR_H
#define FM_BASE_TENSOR_H

#include <facemill/facemill.h>

#define FM_MAX_RANK 8

/* Values are ONNX's TensorProto.DataType. */
enum dtype {
    DTYPE_NONE = 0,
    DTYPE_F32 = 1,
    DTYPE_U8 = 2,
    DTYPE_I8 = 3,
    DTYPE_I32 = 6,
    DTYPE_I64 = 7,
    DTYPE_BOOL = 9,
    DTYPE_F16 = 10,
    DTYPE_F64 = 11,
    DTYPE_BF16 = 16
};

struct tensor {
    enum dtype dtype;
    int rank;
    int64_t dims[FM_MAX_RANK];
    void *bytes;     /* 64-byte aligned and padded when ours */
    size_t capacity; /* bytes that may be used */
    fm_memory memory;
    int device;
};

/* Bytes of one element; 0 for DTYPE_NONE and unknown types. */
size_t fm_dtype_size(enum dtype dtype);
const char *fm_dtype_name(enum dtype dtype); /* "f32" */
/* Product of the dims, negative dims refused; false on overflow. */
FM_MUST_USE bool fm_tensor_elements(const struct tensor *tensor, size_t *elements);
FM_MUST_USE bool fm_tensor_size(const struct tensor *tensor, size_t *bytes);

#endif
