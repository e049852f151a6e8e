"""Whether shapes and counts are true: every value of a graph is asked of ONNX Runtime, which runs the graph on zeros, and
multiply-adds and memory are counted again from its answers. Everything must be equal.

    check_cost.py ONNX_COST MAKE_TEST_PACK
"""
import glob
import json
import math
import os
import subprocess
import sys
import tempfile

import numpy
import onnx
import onnxruntime

onnxruntime.set_default_logger_severity(4)
MINI = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "packs", "mini", "*.onnx")
WEIGHTS = {"Conv": 1, "ConvInteger": 1, "QLinearConv": 3, "ConvTranspose": 1, "MatMul": 1, "MatMulInteger": 1,
           "QLinearMatMul": 3, "Gemm": 1}
VARIANTS = ("stock", "batched", "unknown", "normalised", "foreign", "det_10g")


def f32(*dims):
    return numpy.full(dims, 0.5, numpy.float32)


def i64(*values):
    return numpy.array(values, numpy.int64)


# Operator, opset, shape of its first input, its other inputs, attributes: what the models above do not have.
X = (1, 4, 9, 7)
CASES = [
    ("Conv", 11, X, [f32(6, 2, 3, 2)], dict(group=2, strides=[2, 3], dilations=[2, 1], pads=[1, 0, 2, 1])),
    ("Conv", 11, X, [f32(6, 4, 3, 3)], dict(auto_pad="SAME_UPPER", strides=[2, 2])),
    ("Conv", 11, X, [f32(6, 4, 3, 3)], dict(auto_pad="SAME_LOWER", strides=[3, 1])),
    ("Conv", 11, X, [f32(6, 4, 3, 3)], dict(auto_pad="VALID")),
    ("Conv", 11, (1, 4, 30), [f32(8, 4, 5)], dict(strides=[3])),
    ("Conv", 11, (1, 2, 6, 7, 8), [f32(3, 2, 2, 3, 3)], {}),
    ("ConvTranspose", 11, X, [f32(4, 3, 3, 3)], dict(strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1])),
    ("ConvTranspose", 11, X, [f32(4, 3, 2, 4)], dict(group=2, strides=[3, 2], dilations=[1, 2])),
    ("ConvTranspose", 11, X, [f32(4, 3, 3, 3)], dict(auto_pad="SAME_UPPER", strides=[2, 2])),
    ("ConvTranspose", 11, X, [f32(4, 3, 3, 3)], dict(output_shape=[20, 15], strides=[2, 2])),
    ("MaxPool", 12, X, [], dict(kernel_shape=[3, 2], strides=[2, 2], ceil_mode=1, pads=[1, 0, 1, 0])),
    ("MaxPool", 12, X, [], dict(kernel_shape=[2, 2], strides=[5, 4], ceil_mode=1, pads=[1, 1, 1, 1])),
    ("MaxPool", 12, X, [], dict(kernel_shape=[2, 2], strides=[3, 3], ceil_mode=1)),
    ("MaxPool", 12, X, [], dict(kernel_shape=[3, 3], dilations=[2, 2])),
    ("AveragePool", 11, X, [], dict(kernel_shape=[2, 3], strides=[2, 2], ceil_mode=1)),
    ("AveragePool", 11, X, [], dict(kernel_shape=[3, 3], auto_pad="SAME_UPPER", strides=[2, 2])),
    ("LpPool", 11, X, [], dict(kernel_shape=[2, 2])),
    ("GlobalMaxPool", 11, X, [], {}),
    ("Upsample", 9, X, [numpy.array([1, 1, 2, 2.5], numpy.float32)], dict(mode="nearest")),
    ("Resize", 10, X, [numpy.array([1, 1, .7, 1.3], numpy.float32)], {}),
    ("Resize", 13, X, [f32(0), numpy.array([1, 1, 1 / 3, 2], numpy.float32)], {}),
    ("Resize", 13, X, [f32(0), f32(0), i64(1, 4, 20, 3)], {}),
    ("Resize", 18, X, [f32(0), f32(0), i64(20, 3)], dict(axes=[2, 3])),
    ("Pad", 10, X, [], dict(pads=[0, 1, 2, 3, 0, 0, -2, 1])),
    ("Pad", 13, X, [i64(0, 0, 1, 1, 0, 0, 2, 2)], {}),
    ("Pad", 18, X, [i64(1, 2, -1, 3), f32(), i64(-1, 2)], {}),
    ("DepthToSpace", 13, X, [], dict(blocksize=2)),
    ("SpaceToDepth", 13, (1, 3, 8, 6), [], dict(blocksize=2)),
    ("Gemm", 13, (5, 3), [f32(5, 7), f32(7)], dict(transA=1)),
    ("Gemm", 13, (3, 5), [f32(7, 5)], dict(transB=1)),
    ("MatMul", 13, (2, 1, 3, 4), [f32(5, 4, 6)], {}),
    ("MatMul", 13, (4,), [f32(3, 4, 6)], {}),
    ("MatMul", 13, (3, 4), [f32(4)], {}),
    ("MatMul", 13, (4,), [f32(4)], {}),
    ("Split", 11, X, [], dict(axis=1, split=[1, 3])),
    ("Split", 13, X, [i64(2, 3, 4)], dict(axis=2)),
    ("Split", 11, X, [], dict(axis=1)),
    ("Split", 18, X, [], dict(axis=2, num_outputs=2)),
    ("Slice", 9, X, [], dict(starts=[1, -3], ends=[9223372036854775807, -1], axes=[1, 2])),
    ("Slice", 13, X, [i64(-1, 6), i64(-9223372036854775807, 0), i64(2, 3), i64(-1, -2)], {}),
    ("Slice", 13, X, [i64(3, 0), i64(2, 100), i64(-1, -2), i64(1, 4)], {}),
    ("Slice", 13, X, [i64(1, 1), i64(2, 9)], {}),
    ("Squeeze", 11, (1, 4, 1, 3), [], {}),
    ("Squeeze", 13, (1, 4, 1, 3), [i64(-2)], {}),
    ("Unsqueeze", 13, (4, 3), [i64(0, -1)], {}),
    ("Flatten", 13, X, [], dict(axis=-1)),
    ("Flatten", 13, X, [], dict(axis=0)),
    ("Transpose", 13, X, [], {}),
    ("Reshape", 13, X, [i64(0, -1, 7)], {}),
    ("Expand", 13, (1, 4, 1, 7), [i64(3, 1, 9, 1)], {}),
    ("Expand", 13, (4, 1), [i64(2, 1, 5)], {}),
    ("Tile", 13, X, [i64(1, 2, 1, 3)], {}),
    ("Gather", 13, X, [numpy.array([[0, 2, 1]], numpy.int64)], dict(axis=2)),
    ("Gather", 13, X, [numpy.array(3, numpy.int64)], dict(axis=-1)),
    ("GatherElements", 13, (3, 4), [numpy.zeros((2, 4), numpy.int64)], {}),
    ("ReduceMean", 13, X, [], dict(axes=[2, -1])),
    ("ReduceMean", 13, X, [], dict(keepdims=0)),
    ("ReduceMean", 18, X, [i64(1, 3)], dict(keepdims=0)),
    ("ReduceSum", 13, X, [i64(-1)], {}),
    ("ReduceSum", 13, X, [], dict(noop_with_empty_axes=1)),
    ("ReduceL2", 13, X, [], dict(axes=[1], keepdims=1)),
    ("ArgMax", 13, X, [], dict(axis=1, keepdims=0)),
    ("TopK", 11, X, [i64(3)], dict(axis=2)),
    ("Shape", 15, X, [], dict(start=1, end=-1)),
    ("Size", 13, X, [], {}),
    ("Pow", 13, (3, 1), [f32(4)], {}),
    ("Max", 13, (3, 1), [f32(4), f32(2, 1, 1)], {}),
    ("Greater", 13, (3, 1), [f32(1, 4)], {}),
    ("PRelu", 13, X, [f32(4, 1, 1)], {}),
    ("Clip", 13, X, [f32(), f32()], {}),
    ("Cast", 13, X, [], dict(to=10)),
    ("Dropout", 13, X, [], {}),
    ("LayerNormalization", 17, X, [f32(7), f32(7)], {}),
    ("InstanceNormalization", 13, X, [f32(4), f32(4)], {}),
    ("QuantizeLinear", 13, X, [f32(), numpy.array(3, numpy.int8)], {}),
    ("DynamicQuantizeLinear", 13, X, [], {}),
]
OUTPUTS = {"Split": 2, "TopK": 2, "Dropout": 2, "DynamicQuantizeLinear": 3}


def write_case(path, op, opset, shape, others, attributes):
    helper = onnx.helper
    names = ["x"] + [f"c{i}" for i in range(len(others))]
    count = len(attributes.get("split", [])) or (others[0].size if op == "Split" and others else OUTPUTS.get(op, 1))
    outputs = [f"y{i}" for i in range(count)]
    graph = helper.make_graph([helper.make_node(op, names, outputs, **attributes)], op,
                              [helper.make_tensor_value_info("x", 1, shape)],
                              [onnx.ValueInfoProto(name=o) for o in outputs],
                              [onnx.numpy_helper.from_array(a, f"c{i}") for i, a in enumerate(others)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    with open(path, "wb") as out:
        out.write(model.SerializeToString())


def check_cases(root, onnx_cost):
    failures = 0
    for number, case in enumerate(CASES):
        path = f"{root}/{number}_{case[0]}.onnx"
        write_case(path, *case)
        try:
            wrong = check(path, onnx_cost)[3]
        except (subprocess.CalledProcessError, RuntimeError, onnxruntime.capi.onnxruntime_pybind11_state.Fail,
                onnxruntime.capi.onnxruntime_pybind11_state.InvalidGraph,
                onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument) as failure:
            wrong = [str(failure)]
        failures += bool(wrong)
        if wrong:
            print("case", number, *case[:3], case[4], "; ".join(wrong))
    print(f"{failures} of {len(CASES)} operators differ")
    return failures


def run_all(model, name, shape, kind):
    """Shape and bytes of every value that a node makes, as the runtime has them."""
    inside = onnx.ModelProto()
    inside.CopyFrom(model)
    del inside.graph.output[:]
    names = [o for n in model.graph.node for o in n.output if o]
    inside.graph.output.extend(onnx.ValueInfoProto(name=o) for o in names)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 2
    options.enable_cpu_mem_arena = False
    session = onnxruntime.InferenceSession(inside.SerializeToString(), options, providers=["CPUExecutionProvider"])
    answers = session.run(names, {name: numpy.zeros(shape, kind)})
    return {o: (list(a.shape), a.nbytes) for o, a in zip(names, answers)}


def count_macs(model, measures):
    convolutions = products = 0
    for node in model.graph.node:
        if node.op_type not in WEIGHTS or node.domain:
            continue
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        first, weights, out = (measures[v][0] for v in (node.input[0], node.input[WEIGHTS[node.op_type]], node.output[0]))
        if node.op_type == "ConvTranspose":
            convolutions += math.prod(first) * math.prod(weights[1:])
        elif "Conv" in node.op_type:
            convolutions += math.prod(out) * math.prod(weights[1:])
        else:
            products += math.prod(out) * first[0 if attributes.get("transA") else -1]
    return convolutions, products


def count_peak(model, measures, name):
    constant = {o for n in model.graph.node if n.op_type == "Constant" for o in n.output}
    constant |= {t.name for t in model.graph.initializer}
    last = {v: i for i, n in enumerate(model.graph.node) for v in n.input}
    kept = {o.name for o in model.graph.output}
    alive, peak = {name}, measures[name][1]
    for i, node in enumerate(model.graph.node):
        alive |= {o for o in node.output if o and o not in constant}
        peak = max(peak, sum(measures[v][1] for v in alive))
        alive = {v for v in alive if v in kept or v == name and name not in last or last.get(v, -1) > i}
    return peak


def count_weights(model):
    tensors = list(model.graph.initializer)
    tensors += [a.t for n in model.graph.node if n.op_type == "Constant" for a in n.attribute if a.name == "value"]
    return sum(onnx.numpy_helper.to_array(t).nbytes for t in tensors)


def check(path, onnx_cost):
    ours = json.loads(subprocess.run([onnx_cost, path], check=True, capture_output=True, text=True).stdout)
    model = onnx.load(path)
    weights = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    fed = [i for i in model.graph.input if i.name not in weights][0]
    kind = onnx.helper.tensor_dtype_to_np_dtype(fed.type.tensor_type.elem_type)
    measures = run_all(model, fed.name, ours["input"], kind)
    wrong = [f"{o}: {ours['shapes'].get(o)} is {measures[o][0]}" for o in measures if ours["shapes"].get(o) != measures[o][0]]
    measures.update({k: (list(v.shape), v.nbytes) for k, v in weights.items()})
    measures[fed.name] = (ours["input"], math.prod(ours["input"]) * numpy.dtype(kind).itemsize)
    convolutions, products = count_macs(model, measures)
    figures = {"convolution_macs": convolutions, "product_macs": products, "weight_bytes": count_weights(model),
               "activation_bytes": count_peak(model, measures, fed.name), "not_followed": 0}
    wrong += [f"{key}: {ours[key]} is {value}" for key, value in figures.items() if ours[key] != value]
    return figures, ours["input"], len(measures), wrong + ([ours["note"]] if ours["note"] else [])


def main():
    onnx_cost, make_test_pack = sys.argv[1:3]
    failures = 0
    with tempfile.TemporaryDirectory() as root:
        for pack in VARIANTS:
            subprocess.run([make_test_pack, f"{root}/packs/{pack}", "--variant", pack], check=True)
        paths = glob.glob(os.environ.get("FM_SHARED", "") + "/models/*.onnx") + glob.glob(MINI) + glob.glob(root + "/packs/*/*.onnx")
        for path in sorted(paths):
            figures, shape, values, wrong = check(path, onnx_cost)
            failures += bool(wrong)
            print("%-40s %-14s %4d values %11.3f MMAC %8.2f MiB weights %8.2f MiB alive  %s" % (
                "/".join(path.split("/")[-2:]), "x".join(map(str, shape)), values,
                (figures["convolution_macs"] + figures["product_macs"]) / 1e6, figures["weight_bytes"] / 2**20,
                figures["activation_bytes"] / 2**20, "; ".join(wrong[:4]) or "equal"))
        print(f"{failures} of {len(paths)} files differ")
        failures += check_cases(root, onnx_cost)
    return failures > 0


sys.exit(main())
