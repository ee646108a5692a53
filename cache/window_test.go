package cache

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const (
	kib = int64(1 << 10)
	mib = int64(1 << 20)
)

// read is a step of a table: a read, and what should be fetched ahead of it.
type windowStep struct {
	off, n   int64
	from, to int64
	jumped   bool
}

func TestWindowTable(t *testing.T) {
	const size = 64 * mib
	for name, steps := range map[string][]windowStep{
		"a single read looks no further": {
			{off: 0, n: 4 * kib},
		},
		"sequential: doubles, and asks again half-way": {
			{off: 0, n: 128 * kib},
			{off: 128 * kib, n: 128 * kib, from: 256 * kib, to: 512 * kib},
			{off: 256 * kib, n: 128 * kib, from: 512 * kib, to: 384*kib + 512*kib},
			{off: 384 * kib, n: 128 * kib},
			{off: 512 * kib, n: 128 * kib, from: 896 * kib, to: 640*kib + 1024*kib},
			{off: 640 * kib, n: 128 * kib},
			{off: 768 * kib, n: 128 * kib},
			{off: 896 * kib, n: 128 * kib, from: 1664 * kib, to: 1024*kib + 2048*kib},
			{off: 1024 * kib, n: 128 * kib},
		},
		"random": {
			{off: 9 * mib, n: 4 * kib}, {off: 44 * mib, n: 4 * kib}, {off: 3 * mib, n: 4 * kib},
			{off: 60 * mib, n: 4 * kib}, {off: 20 * mib, n: 4 * kib}, {off: 30 * mib, n: 4 * kib},
		},
		"backward": {
			{off: 10 * mib, n: 128 * kib}, {off: 10*mib - 128*kib, n: 128 * kib},
			{off: 10*mib - 256*kib, n: 128 * kib}, {off: 10*mib - 384*kib, n: 128 * kib},
		},
		"strided, a small step": {
			{off: 0, n: 4 * kib}, {off: 256 * kib, n: 4 * kib}, {off: 512 * kib, n: 4 * kib}, {off: 768 * kib, n: 4 * kib},
		},
		"strided, a large step": {
			{off: 0, n: 4 * kib}, {off: 2 * mib, n: 4 * kib}, {off: 4 * mib, n: 4 * kib}, {off: 6 * mib, n: 4 * kib},
		},
		"the kernel's requests out of order": {
			{off: 0, n: 128 * kib},
			{off: 256 * kib, n: 128 * kib, from: 384 * kib, to: 640 * kib},
			{off: 128 * kib, n: 128 * kib},
			{off: 384 * kib, n: 128 * kib, from: 640 * kib, to: 512*kib + 512*kib},
		},
		"up to the end and not further": {
			{off: size - 256*kib, n: 64 * kib},
			{off: size - 192*kib, n: 64 * kib, from: size - 128*kib, to: size},
			{off: size - 128*kib, n: 128 * kib},
		},
		"unaligned": {
			{off: 1000, n: 100_000},
			{off: 101_000, n: 100_000, from: 201_000, to: 512 * kib},
		},
		"the same bytes again and again": {
			{off: 0, n: 4 * kib}, {off: 0, n: 4 * kib}, {off: 0, n: 4 * kib}, {off: 2 * kib, n: 2 * kib},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var s streams
			for i, step := range steps {
				a := s.next(step.off, step.off+step.n, size, windowMax)
				s.starve()
				require.Equal(t, step.from, a.From, "step %d", i)
				require.Equal(t, step.to, a.To, "step %d", i)
				require.Equal(t, step.jumped, a.Jumped, "step %d", i)
				s.settle(a, a.To)
			}
		})
	}
}

// run reads [off, off+n) sequentially and gives the last advice that named something.
func run(s *streams, off, n, size, limit int64) (last advice) {
	for end := off + n; off < end; off += 128 * kib {
		a := s.next(off, off+128*kib, size, limit)
		s.starve()
		s.settle(a, a.To)
		if a.From < a.To {
			last = a
		}
	}
	return last
}

func TestWindowReachesItsMaximumAndKeepsIt(t *testing.T) {
	var s streams
	last := run(&s, 0, 64*mib, 1<<40, 1<<40)
	require.EqualValues(t, windowMax, s.s[s.last].window)
	require.EqualValues(t, partMax, last.Part)
	ahead := s.s[s.last].ahead - s.s[s.last].pos
	require.LessOrEqual(t, ahead, int64(windowMax)+UnitSize)
	require.GreaterOrEqual(t, ahead, int64(windowMax)/2)
}

func TestWindowIsNarrowedByItsLimit(t *testing.T) {
	var s streams
	run(&s, 0, 32*mib, 1<<40, 1*mib)
	require.LessOrEqual(t, s.s[s.last].ahead-s.s[s.last].pos, 1*mib+UnitSize)
	last := run(&s, 32*mib, 4*mib, 1<<40, 0)
	require.Zero(t, last, "nothing may be fetched ahead")
}

// A program that reads more slowly than the link never waits, and nothing is gained by looking far ahead.
func TestWindowOfASlowReaderStaysNarrow(t *testing.T) {
	var s streams
	for off := int64(0); off < 64*mib; off += 128 * kib {
		s.settle(s.next(off, off+128*kib, 1<<40, windowMax), 1<<40)
	}
	require.LessOrEqual(t, s.s[s.last].window, int64(windowEager))
	run(&s, 64*mib, 64*mib, 1<<40, 1<<40)
}

func TestTwoStreamsAreToldApart(t *testing.T) {
	var s streams
	a, b := int64(0), 500*mib
	for range 64 {
		run(&s, a, 128*kib, 1<<40, windowMax)
		run(&s, b, 128*kib, 1<<40, windowMax)
		a, b = a+128*kib, b+128*kib
	}
	require.True(t, s.wants(a, a+mib))
	require.True(t, s.wants(b, b+mib))
	require.False(t, s.wants(a+100*mib, a+101*mib))
}

func TestSeekingAwayEndsAStream(t *testing.T) {
	var s streams
	run(&s, 0, 8*mib, 1<<40, windowMax)
	require.True(t, s.active())
	jumped := false
	for i := range int64(idleReads + 1) {
		a := s.next((100+10*i)*mib, (100+10*i)*mib+4*kib, 1<<40, windowMax)
		require.Equal(t, a.From, a.To)
		jumped = jumped || a.Jumped
	}
	require.True(t, jumped)
	require.False(t, s.active())
	require.False(t, s.wants(8*mib, 9*mib))
}

// A stream that could not be given all it asked for asks again for the rest, with a window no wider.
func TestWindowNotGranted(t *testing.T) {
	var s streams
	s.next(0, 128*kib, 1<<40, windowMax)
	a := s.next(128*kib, 256*kib, 1<<40, windowMax)
	s.settle(a, a.From)
	again := s.next(256*kib, 384*kib, 1<<40, windowMax)
	require.Equal(t, 384*kib, again.From)
	require.Equal(t, 640*kib, again.To)
}

func TestWindowProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, 1<<33).Draw(t, "size")
		limit := rapid.Int64Range(0, 32*mib).Draw(t, "limit")
		var s streams
		off := int64(0)
		for range rapid.IntRange(1, 200).Draw(t, "reads") {
			if off >= size || rapid.IntRange(0, 9).Draw(t, "seek") == 0 {
				off = rapid.Int64Range(0, size-1).Draw(t, "off")
			}
			end := min(size, off+rapid.Int64Range(1, mib).Draw(t, "n"))
			a := s.next(off, end, size, limit)
			require.LessOrEqual(t, a.To, size)
			require.LessOrEqual(t, a.From, a.To)
			require.LessOrEqual(t, a.To-a.From, max(windowMin, min(windowMax, limit))+UnitSize)
			if a.From < a.To {
				require.True(t, a.To == size || a.To%UnitSize == 0)
				require.Positive(t, a.Part)
			}
			s.settle(a, a.To)
			off = end
		}
	})
}

// Who need not read what was fetched ahead for it goes on in the same stream; who skips anything else begins another.
func TestWhatWasFetchedAheadCanBeSkipped(t *testing.T) {
	const size = 1 << 30
	var s streams
	off := int64(0)
	read := func() {
		a := s.next(off, off+UnitSize, size, windowMax)
		s.starve()
		s.settle(a, a.To)
		off += UnitSize
	}
	for range 40 {
		read()
	}
	one, ahead := s.last, s.s[s.last].ahead
	require.Greater(t, ahead-off, int64(reorder))
	s.skip(off, ahead)
	off = ahead
	read()
	require.Equal(t, one, s.last)
	require.Positive(t, s.s[one].window)
	s.skip(off, off+2*windowMax)
	off += 2 * windowMax
	read()
	require.NotEqual(t, one, s.last)
}
