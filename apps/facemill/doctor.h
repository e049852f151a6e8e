/* doctor's findings: one line each, in sections. */
#ifndef FM_DOCTOR_H
#define FM_DOCTOR_H

#include "output.h"
#include "program.h"

/* NOTE: works, and there is something better. */
enum verdict { VERDICT_INFO, VERDICT_GOOD, VERDICT_NOTE, VERDICT_MISSING, VERDICT_SKIPPED, VERDICT_BAD };

struct doctor {
    struct program *program;
    struct output output;
    const char *section; /* the present one */
    int bad;             /* VERDICT_BAD so far */
    int providers;       /* available */
};
/* `id` says what kind of finding it is, in lower case and underscores: its section in docs/troubleshooting.md. `remedy`
   may be NULL. */
void fm_doctor_add(struct doctor *doctor, enum verdict verdict, const char *id, const char *name, const char *remedy,
                   const char *format, ...) __attribute__((format(printf, 6, 7)));
void fm_doctor_section(struct doctor *doctor, const char *title);

/* The sections. */
void fm_doctor_machine(struct doctor *doctor);
void fm_doctor_accelerators(struct doctor *doctor);
void fm_doctor_libraries(struct doctor *doctor);
void fm_doctor_selftest(struct doctor *doctor);

/* An encoded picture of 16 x 16 pixels, one colour per quadrant. NULL behind the last. */
struct sample {
    const char *name;
    const uint8_t *bytes;
    size_t size;
};
const struct sample *fm_doctor_sample(size_t index);

#endif
