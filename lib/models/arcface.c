/* ArcFace: recognise embedders of an aligned square crop and describe them (RECIPES D2). Pure. */
#include <stdio.h>
#include <string.h>

#include "models/align.h"
#include "models/route.h"

#define FIRST_NODES 8 /* where insightface looks for a normalisation inside the graph */
#define SMALLEST_EMBEDDING 64
#define SMALLEST_SIDE 16
#define LARGEST_SIDE 4096

/* ------------------------------------------------------- size of the embedding */

/* Columns that the node itself decides, by its constant; -1 when it does not tell. */
static int64_t columns_made(const struct graph *graph, size_t node) {
    const char *op = fm_graph_node_operator(graph, node);
    int64_t dims[FM_MAX_RANK] = {0}, transposed = 0;
    int rank = fm_graph_constant_dims(graph, fm_graph_node_input(graph, node, 1), dims);
    if (strcmp(op, "Gemm") == 0 && rank == 2) {
        (void)fm_graph_node_integers(graph, node, "transB", &transposed, 1);
        return transposed != 0 ? dims[0] : dims[1];
    }
    if (strcmp(op, "MatMul") == 0 && rank == 2) {
        return dims[1];
    }
    bool first = (strcmp(op, "Conv") == 0 && rank == 4) || (strcmp(op, "BatchNormalization") == 0 && rank == 1);
    return first ? dims[0] : -1;
}

/* Values per embedding, from the last layer rather than the declaration, which may be symbolic. 0 when unknown: behind
   a flatten the layer's columns are no longer the embedding's. */
static int embedding_size(const struct graph *graph) {
    struct graph_value output = fm_graph_output(graph, 0);
    const char *value = output.name;
    for (int step = 0; step < 6; step++) {
        size_t node = fm_graph_producer(graph, value);
        int64_t columns = node != SIZE_MAX ? columns_made(graph, node) : -1;
        if (columns > 0 && columns <= 65536) {
            return (int)columns;
        }
        if (node == SIZE_MAX || strcmp(fm_graph_node_operator(graph, node), "Reshape") == 0 ||
            strcmp(fm_graph_node_operator(graph, node), "Flatten") == 0) {
            break;
        }
        value = fm_graph_node_input(graph, node, 0);
    }
    int64_t declared = output.rank > 1 ? output.dims[output.rank - 1] : -1;
    return declared > 0 && declared <= 65536 ? (int)declared : 0;
}

/* ------------------------------------------------------------------- match */

/* Side of the square crop: the graph's, or where that is open the manifest's. 0: none, or not a square. */
static int side_of(const struct graph_value *input, const struct manifest_model *said) {
    int64_t side = input->dims[2] > 0 ? input->dims[2] : input->dims[3];
    if (side <= 0 && said != NULL) {
        side = said->crop_side > 0 ? said->crop_side : said->width;
    }
    bool square = (input->dims[2] < 0 || input->dims[2] == side) && (input->dims[3] < 0 || input->dims[3] == side);
    bool open = input->dims[2] < 0 || input->dims[3] < 0;
    return side > 0 && side <= LARGEST_SIDE && square && (!open || said != NULL) ? (int)side : 0;
}

/* insightface takes sides from 112 in steps of 16 whose template is known; points from a manifest allow any. */
static bool crop_is_known(int side, const struct manifest_model *said) {
    float points[5][2];
    if (said != NULL && said->has_template) {
        return side >= SMALLEST_SIDE;
    }
    return side >= 112 && side % 16 == 0 && fm_align_template(side, points);
}

static void why_not(const struct graph *graph, const struct manifest_model *said, char *why, size_t why_size) {
    struct graph_value input = fm_graph_input(graph, 0), output = fm_graph_output(graph, 0);
    why[0] = 0;
    if (fm_graph_input_count(graph) != 1 || input.dtype != DTYPE_F32 || input.rank != 4 ||
        (input.dims[1] != 3 && input.dims[1] != -1)) {
        snprintf(why, why_size, "its input is not one f32 picture [N,3,H,W]: not used");
        return;
    }
    int side = side_of(&input, said);
    if (side == 0 && (input.dims[2] < 0 || input.dims[3] < 0)) {
        snprintf(why, why_size, "takes pictures of any size and has %zu outputs: neither SCRFD nor ArcFace, not used",
                 fm_graph_output_count(graph));
        return;
    }
    if (!crop_is_known(side, said)) {
        snprintf(why, why_size, "no aligned crop of %lldx%lld is known (112, 128 or a multiple is): not used",
                 (long long)input.dims[3], (long long)input.dims[2]);
        return;
    }
    if (fm_graph_output_count(graph) != 1 || output.dtype != DTYPE_F32 || (output.rank != 2 && output.rank != -1)) {
        snprintf(why, why_size, "its %zu outputs are not one embedding [N,size]: not used",
                 fm_graph_output_count(graph));
        return;
    }
    int size = embedding_size(graph);
    if (size != 0 && (size < SMALLEST_EMBEDDING || size % SMALLEST_EMBEDDING != 0)) {
        snprintf(why, why_size,
                 "its %d output values per face are no embedding (that has 128, 256, 512, ...): not used", size);
    }
}

/* ---------------------------------------------------------------- describe */

static bool starts(const char *name, const char *first, const char *second) {
    return strncmp(name, first, strlen(first)) == 0 || strncmp(name, second, strlen(second)) == 0;
}

/* Old exports carry the normalisation inside. insightface goes by node names; a graph whose input goes straight into
   Sub and on into Mul says the same without names. */
static bool normalises_itself(const struct graph *graph) {
    bool subtracts = false, scales = false;
    const char *input = fm_graph_input(graph, 0).name, *shifted = NULL;
    for (size_t i = 0; i < FIRST_NODES && i < fm_graph_node_count(graph); i++) {
        const char *name = fm_graph_node_name(graph, i), *op = fm_graph_node_operator(graph, i);
        const char *first = fm_graph_node_input(graph, i, 0);
        subtracts = subtracts || starts(name, "Sub", "_minus");
        scales = scales || starts(name, "Mul", "_mul");
        if (strcmp(op, "Sub") == 0 && strcmp(first, input) == 0) {
            shifted = fm_graph_node_output(graph, i, 0);
        } else if (shifted != NULL && strcmp(op, "Mul") == 0 && strcmp(first, shifted) == 0) {
            return true;
        }
    }
    return subtracts && scales;
}

static fm_status describe(const struct graph *graph, struct model *model, fm_error *error) {
    struct graph_value input = fm_graph_input(graph, 0);
    struct recogniser_recipe *recipe = &model->recogniser;
    recipe->side = side_of(&input, model->said);
    recipe->size = embedding_size(graph);
    bool given = model->said != NULL && model->said->has_template; /* fm_model_override puts it in */
    if (!fm_align_template(recipe->side, recipe->template_points) && !given) {
        return fm_fail(error, FM_UNSUPPORTED, "'%s': no aligned crop of side %d is known", model->file, recipe->side);
    }
    bool inside = normalises_itself(graph);
    model->pixels =
        (struct pixel_recipe){.bgr = false, .mean = inside ? 0.0f : 127.5f, .scale = inside ? 1.0f : 1.0f / 127.5f};
    model->batch_fixed = input.dims[0] > 0;
    char why[192];
    model->batch_possible = !fm_batch_blocked(graph, NULL, 0, why, sizeof why);
    if (!model->batch_possible) {
        snprintf(model->batch_note, sizeof model->batch_note, "one face at a time: %s", why);
    }
    return FM_OK;
}

const struct model_family fm_family_arcface = {"arcface", MODEL_RECOGNITION, why_not, describe};
