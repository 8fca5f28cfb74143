# SPDX-License-Identifier: MIT
# Count tests in automake's .log files, by cmocka's own lines and TAP-like ones:
#   awk -v results="FILE.log=PASS OTHER.log=FAIL" -f count.awk FILE.log OTHER.log
# Prints a line for each failed test, and last "PASSED FAILED".  A cmocka test passed when it said OK; one that only
# began (failed, skipped, crashed) failed.  A program whose result says otherwise than its lines counts one more.

function fail(name) {
    failed++
    failed_here++
    print "failed: " file ": " name
}

function end_of_file(    name) {
    if (file == "")
        return
    for (name in begun) {
        while (begun[name]-- > finished[name])
            fail(name)
    }
    if (result[file] != "PASS" && failed_here == 0)
        fail("the whole program: " (result[file] == "" ? "no result" : result[file]))
    if (result[file] == "PASS" && passed_here == 0 && failed_here == 0)
        fail("it passed without a test")
    delete begun
    delete finished
    passed_here = failed_here = 0
}

BEGIN {
    n = split(results, pairs, " ")
    for (i = 1; i <= n; i++) {
        at = index(pairs[i], "=")
        result[substr(pairs[i], 1, at - 1)] = substr(pairs[i], at + 1)
    }
}
FNR == 1 {
    end_of_file()
    file = FILENAME
    seen[file] = 1
}
/^\[ RUN      \] / { begun[$4]++ }
/^\[       OK \] / { passed++; passed_here++; finished[$4]++ }
/^ok( |$)/ { passed++; passed_here++ }
/^not ok( |$)/ {
    sub(/^not ok ?(- )?/, "")
    fail($0)
}
END {
    end_of_file()
    for (i = 1; i < ARGC; i++) {
        if (!(ARGV[i] in seen) && ARGV[i] !~ /=/) {
            file = ARGV[i]
            fail("it said nothing")
        }
    }
    print passed + 0, failed + 0
}
