/* Libraries that are no plugins, one for each macro. */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#ifndef SYMBOL
#define SYMBOL supervm_plugin_foreign
#endif
#ifndef SYMBOL_BYTES
#define SYMBOL_BYTES 4096
#endif

/* Big enough to be a header, and no header. */
_Alignas(16) char SYMBOL[SYMBOL_BYTES] = "not a header";
#ifdef SECOND_SYMBOL
_Alignas(16) char SECOND_SYMBOL[SYMBOL_BYTES] = "not a header";
#endif

#ifdef UNRESOLVED
void a_function_that_nobody_has(void);
void calls_it(void) { a_function_that_nobody_has(); }
#endif

#ifdef CONSTRUCTOR
__attribute__((constructor)) static void constructor(void) {
    /* What a library prints must not be taken for what the probe reports. */
    puts("{\"descriptor\":{}}");
    fflush(stdout);
    CONSTRUCTOR;
}
#endif
