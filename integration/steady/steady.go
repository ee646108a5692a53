// Package steady gives tests their random numbers: the same in every ordinary run, so that what is red once is red again,
// and others in every long one (MEGADISK_LONG, which looks for what is not known yet). MEGADISK_SEED names a seed.
package steady

import (
	"flag"
	"math/rand/v2"
	"os"
	"strconv"
)

// Seed is what a test's random numbers begin with.
func Seed() uint64 {
	if n, err := strconv.ParseUint(os.Getenv("MEGADISK_SEED"), 10, 64); err == nil {
		return n
	}
	if os.Getenv("MEGADISK_LONG") != "" {
		return rand.Uint64()
	}
	return 1
}

// Rapid gives the seed to the property tests of a package. Its TestMain calls it; -rapid.seed still comes after it.
func Rapid() {
	if err := flag.Set("rapid.seed", strconv.FormatUint(Seed(), 10)); err != nil {
		panic(err)
	}
}
