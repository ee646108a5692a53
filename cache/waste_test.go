package cache

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What was fetched ahead for a reader that closes is waste, until somebody reads it all the same.
func TestWasteIsCountedAndTakenBack(t *testing.T) {
	f := makeFile(t, 8<<20)
	cl := newCloud(f)
	c := cl.open(t)
	r := c.NewReader(f.File)
	for off := int64(0); off < 1<<20; off += UnitSize {
		require.NoError(t, readWith(t, r, f, off, UnitSize))
	}
	c.atRest(t, cl)
	moved := cl.moved(t)
	require.Greater(t, moved, int64(1<<20))
	require.Zero(t, c.Stats().Wasted, "it may still be read")
	r.Close()
	require.Equal(t, moved-1<<20, c.Stats().Wasted)
	readAll(t, c, f)
	require.Zero(t, c.Stats().Wasted)
	require.EqualValues(t, f.Size, cl.moved(t))
}

func TestNothingIsFetchedAheadWhenItCosts(t *testing.T) {
	for name, stop := range map[string]func(c *Cache){
		"metered":        func(c *Cache) { c.SetMetered(true) },
		"no quota":       func(c *Cache) { c.PauseAhead(time.Now().Add(time.Hour)) },
		"budget used up": func(c *Cache) { c.stats.Fetched, c.stats.Wasted = 2*wasteStart, wasteStart+wasteStart/wasteShare },
	} {
		t.Run(name, func(t *testing.T) {
			f := makeFile(t, 8<<20)
			cl := newCloud(f)
			c := cl.open(t)
			stop(c)
			r := c.NewReader(f.File)
			defer r.Close()
			for off := int64(0); off < 1<<20; off += UnitSize {
				require.NoError(t, readWith(t, r, f, off, UnitSize))
			}
			require.EqualValues(t, 1<<20, cl.moved(t))
		})
	}
	t.Run("and again when it doesn't", func(t *testing.T) {
		f := makeFile(t, 8<<20)
		cl := newCloud(f)
		c := cl.open(t)
		c.PauseAhead(time.Now().Add(-time.Second))
		c.SetMetered(true)
		c.SetMetered(false)
		readAll(t, c, f)
		require.Less(t, len(cl.calls()), 40)
	})
}

// Somebody who reads a little here and there in large files, and never on, wastes no more than is allowed.
func TestWasteStaysWithinItsBudget(t *testing.T) {
	f := makeFile(t, 64<<20)
	cl := newCloud(f)
	c := cl.open(t)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		r := c.NewReader(f.File)
		off := rng.Int64N(f.Size/UnitSize-16) * UnitSize
		for n := range int64(6) {
			require.NoError(t, readWith(t, r, f, off+n*UnitSize, UnitSize))
		}
		r.Close()
	}
	cl.moved(t)
	st := c.Stats()
	require.Positive(t, st.Wasted)
	require.LessOrEqual(t, st.Wasted, int64(wasteStart)+(st.Fetched-st.Wasted)/wasteShare+2<<20)
}
