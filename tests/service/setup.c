/* SPDX-License-Identifier: MIT */
#include "tests/lib/expect.h"
#include "tests/lib/home.h"
int main(void) { return 0; }
