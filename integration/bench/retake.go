package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// A virtual machine may hand free memory back to its host, after seconds in which nobody used it, and gets it again page by
// page, in the time of whoever first writes to it. Which reads that hits depends on what ran before, so memory is taken back
// before anything cold is measured.

const retaken = 2 << 30 // bytes: what a large file takes in the page cache, and as much again

// retake writes to as much memory as the next measurement uses, and frees it.
func retake() {
	n := min(retaken, available()/2)
	if n <= 0 {
		return
	}
	m, err := unix.Mmap(-1, 0, int(n), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return
	}
	_ = unix.Madvise(m, unix.MADV_HUGEPAGE) // freed in large pieces, or what is allocated next lies scattered
	for i := 0; i < len(m); i += 4096 {
		m[i] = 1
	}
	_ = unix.Munmap(m)
}

// available is how many bytes the kernel could give.
func available() int64 {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var kib int64
		if rest, ok := strings.CutPrefix(lines.Text(), "MemAvailable:"); ok {
			_, _ = fmt.Sscan(rest, &kib)
			return kib << 10
		}
	}
	return 0
}
