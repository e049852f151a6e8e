/* What a project that uses an installed facemill might do first: say which version it got, and decode a picture. */
#include <facemill/facemill.h>
#include <stdio.h>

int main(int argc, char **argv) {
    fm_error error = {FM_OK, ""};
    fm_image *image = NULL;
    fm_input input = fm_input_file(argc > 1 ? argv[1] : "");
    if (fm_image_decode(&input, NULL, &image, &error))
        return printf("%s\n", error.message), 1;
    fm_pixels pixels = fm_image_pixels(image);
    printf("facemill %s: %d x %d\n", fm_version(), pixels.width, pixels.height);
    fm_image_free(image);
    return 0;
}
