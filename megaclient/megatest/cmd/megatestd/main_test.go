package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megatest"
)

func TestAccountFlag(t *testing.T) {
	for flag, want := range map[string]struct {
		email, password string
		opts            int
		bad             bool
	}{
		"a@b.c:secret":                  {"a@b.c", "secret", 0, false},
		"a@b.c:secret:v1":               {"a@b.c", "secret", 1, false},
		"a@b.c:secret:keys,mfa=123456":  {"a@b.c", "secret", 2, false},
		"a@b.c":                         {bad: true},
		"a@b.c:secret:nonsense":         {bad: true},
		"a@b.c:secret:v1,nonsense,keys": {bad: true},
	} {
		var a accounts
		err := a.Set(flag)
		if want.bad {
			require.Error(t, err, flag)
			require.Empty(t, a, flag)
			continue
		}
		require.NoError(t, err, flag)
		require.Equal(t, want.email, a[0].email)
		require.Equal(t, want.password, a[0].password)
		require.Len(t, a[0].opts, want.opts)
	}
}

func TestSample(t *testing.T) {
	s := megatest.NewServer()
	defer s.Close()
	a := s.AddAccount("a@b.c", "password")
	fill(a)
	tree := a.Tree()
	require.Len(t, tree, 4)
	for path, e := range tree {
		require.NoError(t, e.Err, path)
	}
	require.Len(t, a.Versions(tree["Documents/notes.txt"].Handle), 2)
}
