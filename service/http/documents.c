/* Documents that the worker serves as they stand in the tree: their bytes become read-only data, each ended by NUL. */
#include "http/v1.h"

#define TEXT_OF(name) #name
#define TEXT(name) TEXT_OF(name)
#define SYMBOL(name) TEXT(__USER_LABEL_PREFIX__) #name
#ifdef __APPLE__
#define READ_ONLY ".const_data\n"
#define BACK ".text\n"
#else
#define READ_ONLY ".section .rodata\n"
#define BACK ".previous\n"
#endif

/* FM_HTTP_FOLDER is the build's: where this file is. */
#define DOCUMENT(name, file)                                                                                           \
    __asm__(READ_ONLY ".globl " SYMBOL(name) "\n" SYMBOL(name) ":\n.incbin \"" FM_HTTP_FOLDER "/" file                 \
                                                               "\"\n.byte 0\n" BACK)

DOCUMENT(fm_page, "page.html");
DOCUMENT(fm_openapi, "openapi.json");
