/* make_seeds FOLDER: writes what the fuzzers start from into FOLDER/NAME of each. Everything is made
   here, by the image tests' samples and from what is written below, so that no picture or model of others is needed. */
#include "base/os.h"
#include "base/text.h"
#include "fuzz/zip_maker.h"
#include "image/samples.h"
#include "onnx/graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void stop(const char *what, const fm_error *error) {
    fprintf(stderr, "make_seeds: %s: %s\n", what, error->message);
    exit(1);
}

static void save(const char *folder, const char *kind, const char *name, const void *bytes, size_t size) {
    char path[4096];
    fm_error error = {0};
    snprintf(path, sizeof path, "%s/%s", folder, kind);
    if (fm_folder_make(path, &error))
        stop(path, &error);
    snprintf(path, sizeof path, "%s/%s/%s", folder, kind, name);
    if (fm_file_write(path, bytes, size, &error))
        stop(path, &error);
}

/* ------------------------------------------------------------------ images */

/* Every format and variant that the image tests know, and each cut off in the middle. */
static void save_images(const char *folder) {
    for (size_t i = 0;; i++) {
        struct sample sample;
        char name[64];
        sample_make(i, &sample);
        if (!sample.name)
            break;
        snprintf(name, sizeof name, "%zu.%s", i, sample.name);
        save(folder, "image", name, sample.file.bytes, sample.file.size);
        snprintf(name, sizeof name, "%zu_cut.%s", i, sample.name);
        save(folder, "image", name, sample.file.bytes, sample.file.size / 2);
        fm_buffer_reset(&sample.file);
    }
}

/* ------------------------------------------------------------------ graphs */

#define CHECK(call)                                                                                                    \
    do {                                                                                                               \
        if (call)                                                                                                      \
            stop(#call, &error);                                                                                       \
    } while (0)

static void save_graph(const char *folder, const char *name, struct graph *graph) {
    struct buffer file = {0};
    fm_error error = {0};
    CHECK(fm_graph_write(graph, &file, &error));
    save(folder, "onnx", name, file.bytes, file.size);
    fm_buffer_reset(&file);
    fm_graph_close(graph);
}

/* One head of a detector: Conv, Transpose, Reshape, Sigmoid, as SCRFD ends. */
static struct graph *detector_graph(void) {
    static const float weights[2 * 3];
    struct graph *graph = NULL;
    size_t node = 0;
    fm_error error = {0};
    CHECK(fm_graph_create("detector", 11, &graph, &error));
    CHECK(fm_graph_add_input(graph, "input.1", DTYPE_F32, (int64_t[]){1, 3, -1, -1}, 4, &error));
    CHECK(fm_graph_add_tensor(graph, "w", DTYPE_F32, (int64_t[]){2, 3, 1, 1}, 4, weights, &error));
    CHECK(fm_graph_add_tensor(graph, "shape", DTYPE_I64, (int64_t[]){2}, 1, (int64_t[]){-1, 1}, &error));
    CHECK(fm_graph_add_node(graph, "Conv", "conv", "input.1 w", "map", &node, &error));
    CHECK(fm_graph_set_integers(graph, node, "strides", (int64_t[]){8, 8}, 2, &error));
    CHECK(fm_graph_set_integer(graph, node, "group", 1, &error));
    CHECK(fm_graph_add_node(graph, "Transpose", "turn", "map", "cells", &node, &error));
    CHECK(fm_graph_set_integers(graph, node, "perm", (int64_t[]){2, 3, 0, 1}, 4, &error));
    CHECK(fm_graph_add_node(graph, "Reshape", "rows", "cells shape", "logits", NULL, &error));
    CHECK(fm_graph_add_node(graph, "Sigmoid", "score", "logits", "448", NULL, &error));
    CHECK(fm_graph_add_output(graph, "448", DTYPE_F32, (int64_t[]){-1, 1}, 2, &error));
    return graph;
}

static struct graph *recogniser_graph(void) {
    static const float weights[3 * 4];
    struct graph *graph = NULL;
    size_t node = 0;
    fm_error error = {0};
    CHECK(fm_graph_create("recogniser", 13, &graph, &error));
    CHECK(fm_graph_add_input(graph, "data", DTYPE_F32, (int64_t[]){-1, 3, 112, 112}, 4, &error));
    CHECK(fm_graph_add_tensor(graph, "w", DTYPE_F32, (int64_t[]){3, 4}, 2, weights, &error));
    CHECK(fm_graph_add_node(graph, "GlobalAveragePool", "pool", "data", "mean", NULL, &error));
    CHECK(fm_graph_add_node(graph, "Flatten", "flat", "mean", "row", NULL, &error));
    CHECK(fm_graph_add_node(graph, "Gemm", "embed", "row w", "683", &node, &error));
    CHECK(fm_graph_set_float(graph, node, "alpha", 0.5f, &error));
    CHECK(fm_graph_add_output(graph, "683", DTYPE_F32, (int64_t[]){1, 4}, 2, &error));
    return graph;
}

static void save_graphs(const char *folder) {
    struct graph *bytes_in = detector_graph();
    fm_error error = {0};
    save_graph(folder, "detector.onnx", detector_graph());
    save_graph(folder, "recogniser.onnx", recogniser_graph());
    CHECK(fm_graph_make_batch_dynamic(bytes_in, 0, &error));
    CHECK(fm_graph_take_bytes(bytes_in, 0, 127.5f, 1 / 128.0f, &error));
    save_graph(folder, "bytes_in.onnx", bytes_in);
    save(folder, "onnx", "empty.onnx", "", 0);
    save(folder, "onnx", "unknown_fields.onnx", "\x08\x07\x52\x03\x61\x62\x63\x3a\x04\x12\x02\x67\x67", 13);
}

/* ------------------------------------------------------------------ config */

static void save_configs(const char *folder) {
    static const char file[] = "# comment\npack = buffalo_l\nprovider = ort:cuda,ort:cpu\ndet-size = 128,640\n"
                               "det-threshold = 0.5\nprovider-option = ort:cuda:device_id=0\ngpu-mem-limit = 2G\n";
    static const char command[] = "\0--pack=x\0--det-size\000640\0--no-recursive\0--min-confidence\0.5\0--device\0cpu\0"
                                  "--provider-option\0ort:cuda:a=b=c\0--embedding=base64\0--\0-file.jpg\0";
    save(folder, "config", "file", file, sizeof file - 1);
    save(folder, "config", "command", command, sizeof command - 1);
    save(folder, "config", "bad", "pak = x\n= y\nquiet = perhaps\n", 28);
}

/* --------------------------------------------------------------- manifests */

static void save_manifests(const char *folder) {
    static const char own[] =
        "{\"facemill_pack\": 1, \"name\": \"a\", \"display_name\": \"A\", \"version\": \"1\", \"source\": \"s\", "
        "\"licence\": {\"name\": \"MIT\", \"url\": \"u\"}, \"about\": [\"who\", \"terms\"], \"models\": [{\"file\": "
        "\"d.onnx\", \"about\": [\"weak\"], \"sha256\": "
        "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\", \"bytes\": 5, \"task\": \"detection\", "
        "\"family\": \"scrfd\", \"input\": {\"width\": 640, \"height\": 480}, \"pixels\": {\"order\": \"bgr\", "
        "\"mean\": [1, 1, 2.5], \"std\": 128}, \"thresholds\": {\"score\": 0.5, \"nms\": 0.4}}, {\"file\": "
        "\"r.onnx\", \"crop\": {\"side\": 150, \"points\": [[1, 2], [3, 4], [5, 6], [7, 8.5], [9, 1e1]]}, "
        "\"metric\": \"euclidean\", \"thresholds\": {\"match\": 1.1}, \"normalised\": true, \"labels\": [\"a\", "
        "\"b\"], \"license\": {\"name\": \"x\"}, \"other\": [null, {}]}]}";
    static const char v2[] =
        "{\"manifest_version\": 2, \"model_id\": \"raccoon_s\", \"license\": \"MODEL.LICENSE\", \"display_name\": "
        "\"R\", \"tasks\": {\"detection\": {\"file\": \"a/./d.onnx\", \"preprocessing\": \"embedded\"}, "
        "\"verification\": {\"file\": \"v.onnx\", \"expansion\": 1.3}, \"recognition\": {\"file\": \"r.onnx\", "
        "\"preprocessing\": {\"mean\": 127.5, \"std\": 127.5}, \"input_size\": [112, 112], "
        "\"embedding_dimension\": 512}}}";
    save(folder, "manifest", "own", own, sizeof own - 1);
    save(folder, "manifest", "insightface", v2, sizeof v2 - 1);
    save(folder, "manifest", "cut", own, 100);
    save(folder, "manifest", "other", "{\"manifest_version\": 3, \"name\": \"x\"}", 34);
}

/* ------------------------------------------------------------------ archives */

static void save_archives(const char *folder) {
    static const struct zip_entry plain[] = {{"p/det.onnx", "abc", 3, 0, 0, 0100644, 0},
                                             {"p/rec.onnx", "defg", 4, 0, 8, 0100644, 0},
                                             {"p/manifest.json", "{}", 2, 0, 0, 0, 0},
                                             {"LICENSE", "terms", 5, 0, 8, 0, 0},
                                             {"p/", "", 0, 0, 0, 0040755, 0}};
    static const struct zip_entry deep[] = {{"manifest.json", "{}", 2, 0, 0, 0, 0}, {"a/b/n.onnx", "n", 1, 0, 0, 0, 0}};
    static const struct zip_entry climbs[] = {{"../x.onnx", "x", 1, 0, 0, 0, 0}};
    static const struct zip_entry link[] = {{"l.onnx", "/etc", 4, 0, 0, 0120777, 0}};
    static const struct zip_entry twice[] = {{"x.onnx", "x", 1, 0, 0, 0, 0}, {"x.onnx", "y", 1, 0, 0, 0, 0}};
    static const struct zip_entry secret[] = {{"x.onnx", "x", 1, 1, 0, 0, 0}};
    static const struct zip_entry liar[] = {{"x.onnx", "xxxx", 4, 0, 8, 0, -2}, {"y.txt", "y", 1, 0, 0, 0, 9}};
    const struct {
        const char *name;
        const struct zip_entry *entries;
        size_t count;
    } seeds[] = {{"plain", plain, 5}, {"deep", deep, 2},     {"climbs", climbs, 1}, {"link", link, 1},
                 {"twice", twice, 2}, {"secret", secret, 1}, {"liar", liar, 2},     {"empty", plain, 0}};
    struct buffer bytes = {0};
    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) {
        zip_make(seeds[i].entries, seeds[i].count, &bytes);
        save(folder, "zip", seeds[i].name, bytes.bytes, bytes.size);
    }
    fm_buffer_reset(&bytes);
}

/* ---------------------------------------------------------------- requests */

static void save_requests(const char *folder) {
    static const char form[] =
        "multipart/form-data; boundary=\"b c\"\nbefore\r\n--b c\r\nContent-Disposition: form-data; name=\"file\"; "
        "filename=\"a\\\"b.jpg\"; filename*=utf-8''%e2%82%ac.jpg\r\nContent-Type: image/jpeg\r\n\r\n\xFF\xD8\r\n--b\r\n"
        "\r\n--b c \t\r\ncontent-disposition:\r\n form-data;name=text\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        "0.5\r\n--b c--\r\nafter";
    static const char many[] =
        "multipart/form-data;boundary=b\n--b\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n--b"
        "\r\nContent-Disposition: form-data; name=a\r\n\r\n--b\r\n\r\n\r\n--b--";
    static const char json[] =
        "\0{\"images\": {\"data\": [\"Zm9v\", \"data:image/png;base64,Zg==\"], \"urls\": null}, \"threshold\": "
        "\"0.5\", \"embed_only\": 1, \"return_face_data\": \"yes\", \"return_landmarks\": true, \"limit_faces\": 2, "
        "\"min_face_size\": 3.0, \"extract_ga\": null, \"img_req_headers\": {\"User-Agent\": \"a b\"}, \"other\": "
        "[{}]}";
    static const char urls[] = "\0{\"images\": {\"urls\": [\"http://a.example/b.jpg\"]}, \"verbose_timings\": true}";
    static const char packed[] =
        "\1\x84\xA6images\x82\xA4"
        "data\x93\xC4\x03\xFF\xD8\xFF\xA3xyz\xDA\x00\x01k\xA4urls\xC0\xA9threshold\xCB\x3F\xE0\x00"
        "\x00\x00\x00\x00\x00\xABlimit_faces\xD0\xFF\xA1x\xDC\x00\x03\x01\xC2\x81\xA1y\xCA\x3F\x80"
        "\x00\x00";
    static const char headers[] = "\1\x82\xA6images\x81\xA4urls\x91\xA1u\xAFimg_req_headers\x81\xA1"
                                  "a\xD9\x01z";
    static const char base64[] = "\2data:;base64,Zm9v\r\nYm-_Zg= =";
    save(folder, "multipart", "form", form, sizeof form - 1);
    save(folder, "multipart", "many", many, sizeof many - 1);
    save(folder, "multipart", "cut", form, sizeof form - 20);
    save(folder, "request_json", "json", json, sizeof json - 1);
    save(folder, "request_json", "urls", urls, sizeof urls - 1);
    save(folder, "request_json", "packed", packed, sizeof packed - 1);
    save(folder, "request_json", "headers", headers, sizeof headers - 1);
    save(folder, "request_json", "base64", base64, sizeof base64 - 1);
}

/* ---------------------------------------------------------------- replies */

#define POINTS "\"landmarks\":[[1,2],[3,4],[5,6],[7,8],[9,0.5]]"

/* Behind a first byte that says as what they are read. */
static void save_replies(const char *folder) {
    static const struct {
        const char *name, *text;
    } seeds[] = {
        {"ours", "@{\"width\":640,\"height\":480,\"faces\":[{\"box\":[1.5,-2,3e1,40],\"score\":0.75," POINTS
                 ",\"embedding\":\"zczMPQAAgL8=\",\"embedding_norm\":1.5},{\"box\":[1,2,3,4],\"score\":1," POINTS
                 ",\"embedding\":null}],\"request_id\":\"r\"}"},
        {"array", "@{\"width\":1,\"height\":2,\"faces\":[{\"box\":[1,2,3,4],\"score\":0,\"landmarks\":null,"
                  "\"embedding\":[0.25,-1]}]}"},
        {"gpu", "A{\"faces\":[{\"bbox_x\":1,\"bbox_y\":-2,\"bbox_width\":3,\"bbox_height\":4,\"embedding\":[1,2.5],"
                "\"confidence\":0.5," POINTS "}],\"image_width\":640,\"image_height\":480,\"processing_time_ms\":1.5}"},
        {"refused", "B{\"error\":{\"code\":\"truncated\",\"message\":\"ends early\",\"details\":{}},"
                    "\"request_id\":\"r\"}"},
        {"detail", "R{\"detail\":\"not \\u001b yet \xC3\xA9\"}"},
        {"models", "C{\"version\":\"0.1.0\",\"pack\":{\"name\":\"mini\",\"id\":\"00ff\"},\"models\":[]}"},
        {"health", "C{\"status\":\"healthy\",\"gpu_available\":false,\"model_loaded\":true,\"device\":\"CPU\"}"},
    };
    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++)
        save(folder, "reply", seeds[i].name, seeds[i].text, strlen(seeds[i].text));
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: make_seeds FOLDER\n");
        return 2;
    }
    save_images(argv[1]);
    save_graphs(argv[1]);
    save_configs(argv[1]);
    save_manifests(argv[1]);
    save_archives(argv[1]);
    save_requests(argv[1]);
    save_replies(argv[1]);
    return 0;
}
