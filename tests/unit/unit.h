/* cmocka and what it wants before it. */
#ifndef FM_TESTS_UNIT_H
#define FM_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
