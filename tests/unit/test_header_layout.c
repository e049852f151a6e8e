/* The public structs that a caller reads: each field stays where it is for ever, and new ones come behind the last. A
   program built against this header must understand the structs of every later library, so a failure here is mended
   in facemill.h, not here; for a new field a line is added. */
#include <stddef.h>

#include <facemill/facemill.h>

#define AT(type, field, offset) _Static_assert(offsetof(type, field) == (offset), #type "." #field " has moved")
#define P sizeof(void *)

AT(fm_face, box, 0);
AT(fm_face, score, 16);
AT(fm_face, landmarks, 20);
AT(fm_face, embedding, (60 + P - 1) / P * P);
AT(fm_face, embedding_size, (60 + P - 1) / P * P + P);
AT(fm_face, embedding_norm, (60 + P - 1) / P * P + P + 4);
AT(fm_face, rivals, (60 + P - 1) / P * P + P + 8);
AT(fm_face, rival_shift, (60 + P - 1) / P * P + P + 12);

AT(fm_error, status, 0);
AT(fm_error, message, 4);
_Static_assert(sizeof(fm_error) == 2048, "fm_error has another size");

AT(fm_timings, struct_size, 0);
AT(fm_timings, queue_ms, 8);
AT(fm_timings, read_ms, 16);
AT(fm_timings, decode_ms, 24);
AT(fm_timings, letterbox_ms, 32);
AT(fm_timings, detect_ms, 40);
AT(fm_timings, postprocess_ms, 48);
AT(fm_timings, align_ms, 56);
AT(fm_timings, embed_ms, 64);
AT(fm_timings, total_ms, 72);

AT(fm_stats, struct_size, 0);
AT(fm_stats, images, 8);
AT(fm_stats, faces, 16);
AT(fm_stats, errors, 24);
AT(fm_stats, queue_depth, 32);
AT(fm_stats, queue_capacity, 36);
AT(fm_stats, detect_batches, 40);
AT(fm_stats, embed_batches, 112);
AT(fm_stats, stage_ms, 184);
AT(fm_stats, memory_bytes, 248);
AT(fm_stats, memory_peak_bytes, 256);
AT(fm_stats, oom_retries, 264);
AT(fm_stats, cancelled, 272);
AT(fm_stats, expired, 280);
AT(fm_stats, detect_items, 288);
AT(fm_stats, embed_items, 296);

AT(fm_model_info, task, 0);
AT(fm_model_info, family, P);
AT(fm_model_info, file, 2 * P);
AT(fm_model_info, provider, 3 * P);
AT(fm_model_info, detail, 4 * P);
AT(fm_model_info, passed_over, 5 * P);
AT(fm_model_info, batch_note, 6 * P);
AT(fm_model_info, precision, 7 * P);
AT(fm_model_info, sha256, 8 * P);
AT(fm_model_info, max_batch, 9 * P);
AT(fm_model_info, lanes, 9 * P + 4);
AT(fm_model_info, input_u8, 9 * P + 8);
AT(fm_model_info, loaded, 9 * P + 9);
AT(fm_model_info, elsewhere, (9 * P + 10 + P - 1) / P * P);

AT(fm_pack_info, name, 0);
AT(fm_pack_info, path, P);
AT(fm_pack_info, reason, 2 * P);
AT(fm_pack_info, id, 3 * P);
AT(fm_pack_info, manifest, 4 * P);
AT(fm_pack_info, licence, 5 * P);
AT(fm_pack_info, licence_url, 6 * P);
AT(fm_pack_info, match_threshold, 7 * P);
AT(fm_pack_info, metric, 8 * P);

AT(fm_model_file, file, 0);
AT(fm_model_file, path, P);
AT(fm_model_file, sha256, 2 * P);
AT(fm_model_file, task, 3 * P);
AT(fm_model_file, family, 4 * P);
AT(fm_model_file, note, 5 * P);
AT(fm_model_file, input, 6 * P);
AT(fm_model_file, outputs, 7 * P);
AT(fm_model_file, operators, 8 * P);
AT(fm_model_file, bytes, (9 * P + 7) / 8 * 8);
AT(fm_model_file, parameters, (9 * P + 7) / 8 * 8 + 8);
AT(fm_model_file, opset, (9 * P + 7) / 8 * 8 + 16);
AT(fm_model_file, node_count, (9 * P + 7) / 8 * 8 + 24);
AT(fm_model_file, status, (9 * P + 7) / 8 * 8 + 28);
AT(fm_model_file, expected_sha256, (9 * P + 7) / 8 * 8 + 32);
AT(fm_model_file, licence, (9 * P + 7) / 8 * 8 + 32 + P);
AT(fm_model_file, typical_input, (9 * P + 7) / 8 * 8 + 32 + 2 * P);
AT(fm_model_file, macs, (9 * P + 7) / 8 * 8 + 32 + (3 * P + 7) / 8 * 8);
AT(fm_model_file, weight_bytes, (9 * P + 7) / 8 * 8 + 40 + (3 * P + 7) / 8 * 8);
AT(fm_model_file, activation_bytes, (9 * P + 7) / 8 * 8 + 48 + (3 * P + 7) / 8 * 8);
AT(fm_model_file, cost_note, (9 * P + 7) / 8 * 8 + 56 + (3 * P + 7) / 8 * 8);
AT(fm_model_file, about, (9 * P + 7) / 8 * 8 + 56 + (3 * P + 7) / 8 * 8 + P);
AT(fm_model_file, pack_about, (9 * P + 7) / 8 * 8 + 56 + (3 * P + 7) / 8 * 8 + 2 * P);

AT(fm_provider_info, name, 0);
AT(fm_provider_info, available, P);
AT(fm_provider_info, detail, 2 * P);
AT(fm_provider_info, reason, 3 * P);
AT(fm_provider_info, remedy, 4 * P);

int main(void) {
    return 0; /* that it compiled is the test */
}
