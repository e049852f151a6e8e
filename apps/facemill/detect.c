/* facemill detect: faces and landmarks of every input, without embeddings. */
#include "job.h"

int fm_command_detect(struct program *program) {
    return fm_faces_run(program, FM_COMPUTE_DETECT);
}
