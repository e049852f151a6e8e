/* How ONNX Runtime ends when one of its allocations fails: nothing of facemill is in this program. Each of the
   allocations of six runs of a network fails in turn, in a process of its own; prints how many of them ended by a
   signal.

   cc -O1 -I FOLDER_OF_onnxruntime_c_api.h bench/starve_runtime.c -o starve_runtime -ldl
   ./starve_runtime LIBRARY MODEL HEIGHT WIDTH     (glibc only) */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <onnxruntime_c_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RUNS = 6, OUTPUTS = 16, SIDE = 640 };

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t),
    *__libc_memalign(size_t, size_t);
static int counting;
static long met, failing = -1;

static int fails(void) {
    if (!counting || met++ != failing)
        return 0;
    errno = ENOMEM;
    return 1;
}
void *malloc(size_t size) {
    return fails() ? NULL : __libc_malloc(size);
}
void *calloc(size_t count, size_t size) {
    return fails() ? NULL : __libc_calloc(count, size);
}
void *realloc(void *block, size_t size) {
    return fails() ? NULL : __libc_realloc(block, size);
}
void *aligned_alloc(size_t alignment, size_t size) {
    return fails() ? NULL : __libc_memalign(alignment, size);
}
void *memalign(size_t alignment, size_t size) {
    return fails() ? NULL : __libc_memalign(alignment, size);
}
int posix_memalign(void **block, size_t alignment, size_t size) {
    *block = fails() ? NULL : __libc_memalign(alignment, size);
    return *block ? 0 : ENOMEM;
}

/* Opens the network and runs it; the allocations of the runs are counted. */
static void run(char **argv) {
    static char bytes[64 << 20];
    static float pixels[3 * SIDE * SIDE];
    void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    FILE *file = fopen(argv[2], "rb");
    if (!library || !file)
        _exit(2);
    const size_t size = fread(bytes, 1, sizeof bytes, file);
    const int64_t dims[4] = {1, 3, atoi(argv[3]), atoi(argv[4])};
    const OrtApi *ort = ((const OrtApiBase *(*)(void))dlsym(library, "OrtGetApiBase"))()->GetApi(12);
    OrtEnv *env = NULL;
    OrtSessionOptions *options = NULL;
    OrtSession *session = NULL;
    OrtAllocator *allocator = NULL;
    OrtMemoryInfo *memory = NULL;
    OrtValue *input = NULL;
    char *input_name = NULL, *names[OUTPUTS];
    size_t count = 0;
    if (dims[2] > SIDE || dims[3] > SIDE || ort->CreateEnv(ORT_LOGGING_LEVEL_FATAL, "starve", &env) ||
        ort->CreateSessionOptions(&options) || ort->SetIntraOpNumThreads(options, 1) ||
        ort->CreateSessionFromArray(env, bytes, size, options, &session) ||
        ort->GetAllocatorWithDefaultOptions(&allocator) ||
        ort->SessionGetInputName(session, 0, allocator, &input_name) || ort->SessionGetOutputCount(session, &count) ||
        count > OUTPUTS || ort->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory) ||
        ort->CreateTensorWithDataAsOrtValue(memory, pixels, sizeof(float) * 3 * (size_t)(dims[2] * dims[3]), dims, 4,
                                            ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &input))
        _exit(2);
    for (size_t i = 0; i < count; i++)
        if (ort->SessionGetOutputName(session, i, allocator, &names[i]))
            _exit(2);
    for (int i = 0; i < RUNS; i++) {
        OrtValue *outputs[OUTPUTS] = {NULL};
        counting = 1;
        OrtStatus *status = ort->Run(session, NULL, (const char *const *)&input_name, (const OrtValue *const *)&input,
                                     1, (const char *const *)names, count, outputs);
        counting = 0;
        if (status)
            ort->ReleaseStatus(status);
        for (size_t k = 0; k < count; k++)
            if (outputs[k])
                ort->ReleaseValue(outputs[k]);
    }
}

/* How a process ends in which allocation `which` fails; *total becomes the number it met. */
static int ended(char **argv, long which, long *total) {
    int ends[2], how = 0;
    if (pipe(ends))
        exit(2);
    const pid_t child = fork();
    if (child == 0) {
        failing = which;
        run(argv);
        _exit(write(ends[1], &met, sizeof met) == sizeof met ? 0 : 2);
    }
    close(ends[1]);
    if (read(ends[0], total, sizeof *total) != sizeof *total)
        *total = -1;
    close(ends[0]);
    waitpid(child, &how, 0);
    return how;
}

int main(int argc, char **argv) {
    long total = 0, ignored = 0, died = 0;
    if (argc != 5 || ended(argv, -1, &total) != 0)
        return fprintf(stderr, "usage: starve_runtime LIBRARY MODEL HEIGHT WIDTH\n"), 2;
    for (long i = 0; i < total; i++)
        died += WIFSIGNALED(ended(argv, i, &ignored)) != 0;
    printf("%ld allocations in %d runs, each failing once: %ld processes ended by a signal\n", total, RUNS, died);
    return 0;
}
