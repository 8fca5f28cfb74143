# SPDX-License-Identifier: MIT
# Count tests in automake's .log files: cmocka's own lines and TAP-like ones.  Skipped tests count as failed.
# Prints "PASSED FAILED" last, and before it one line for each failed test:  awk -f count.awk FILE.log...
# A file whose .trs (variable results, "FILE.log=FAIL ...") says otherwise than its lines counts one more.

function fail(name) {
    failed++
    failed_here++
    print "failed: " file ": " name
}

function end_of_file() {
    if (file == "")
        return
    if (running != "")
        fail(running " did not end")
    if (result[file] != "PASS" && failed_here == 0)
        fail("the whole program: " (result[file] == "" ? "no result" : result[file]))
    if (result[file] == "PASS" && passed_here == 0 && failed_here == 0)
        fail("it passed without a test")
    running = ""
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
    in_summary = 0
}
/^\[==========\] Running / { in_summary = 0 }
/^\[==========\] [0-9]+ test\(s\) run/ { in_summary = 1 }
in_summary { next }
/^\[ RUN      \] / {
    if (running != "")
        fail(running " did not end")
    running = $4
}
/^\[       OK \] / { passed++; passed_here++; running = "" }
/^\[  FAILED  \] / { fail($4); running = "" }
/^\[  SKIPPED \] / { fail($4 " was skipped"); running = "" }
/^ok( |$)/ { passed++; passed_here++ }
/^not ok( |$)/ { fail(substr($0, 8)) }
END {
    end_of_file()
    print passed + 0, failed + 0
}
