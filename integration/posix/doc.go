// Package posix runs POSIX test suites made by others against a real mount of the real binary (`make posix`).
//
// Nothing is fetched: a suite is run when a variable names where it lies, built. MEGADISK_PJDFSTEST is the folder of
// pjdfstest (with its program and its folder tests), MEGADISK_PJDFSTEST_ONLY a pattern that picks some of its files;
// MEGADISK_FSX and MEGADISK_FSSTRESS are programs, which MEGADISK_LONG=1 lets work for longer.
//
// What a suite asks for and MEGA's data model can't hold is listed in docs/POSIX.md, case by case with the reason; the test
// fails when a case fails that isn't listed, and when one is listed that passes.
package posix
